"""Settings to adapters: one per process and per settings, none shared across a fork."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from dialer_adapters.contract import CredentialsRefused, DialerAdapter
from dialer_adapters.registry import MOST_KEPT, DialerDoor, adapter_for
from dialer_adapters.shoutpoint.client import ShoutpointAdapter

DOOR = DialerDoor("https://dialer.example.com/soap", "user", "secret")


def test_the_default_speaks_soap_and_is_kept() -> None:
    adapter = adapter_for(DOOR)
    assert isinstance(adapter, ShoutpointAdapter)
    assert isinstance(adapter, DialerAdapter)
    assert adapter_for(replace(DOOR)) is adapter
    assert "CHAINS" in adapter.capabilities


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "another"},
        {"username": "another"},
        {"endpoint_url": "https://other.example.com/soap"},
        {"allowed_hosts": frozenset({"dialer.example.com"})},
        {"allow_loopback": True},
    ],
)
def test_other_settings_are_another_adapter(changes: dict[str, object]) -> None:
    assert adapter_for(replace(DOOR, **changes)) is not adapter_for(DOOR)  # type: ignore[arg-type]


def test_a_dotted_path_names_an_adapter_of_another_package() -> None:
    path = "dialer_adapters.shoutpoint.client.ShoutpointAdapter"
    assert isinstance(adapter_for(replace(DOOR, adapter=path)), ShoutpointAdapter)


@pytest.mark.parametrize("name", ["nobody", "no.such.Adapter", "dialer_adapters.registry.Nothing"])
def test_an_adapter_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        adapter_for(replace(DOOR, adapter=name))


def test_a_forbidden_address_is_a_fault_of_the_settings() -> None:
    with pytest.raises(CredentialsRefused) as caught:
        adapter_for(replace(DOOR, endpoint_url="http://169.254.169.254/"))
    assert caught.value.code == "ENDPOINT_NOT_ALLOWED"


def test_only_the_last_few_are_kept() -> None:
    first = adapter_for(DOOR)
    for number in range(MOST_KEPT):
        adapter_for(replace(DOOR, username=f"user-{number}"))
    assert adapter_for(DOOR) is not first


def test_a_fork_makes_its_own() -> None:
    parents = adapter_for(DOOR)
    child = os.fork()
    if child == 0:
        os._exit(0 if adapter_for(DOOR) is not parents else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert adapter_for(DOOR) is parents


def test_a_password_never_shows() -> None:
    assert "secret" not in repr(DOOR)
