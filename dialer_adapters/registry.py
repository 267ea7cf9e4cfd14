"""From settings to the adapter that speaks for them; no other module knows an adapter's class.

An adapter keeps a connection and belongs to the process that made it, so the ready ones are kept
per process id: after a fork the child makes its own. A changed password is another key, thus
another one."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from dialer_adapters.contract import DialerAdapter

ADAPTERS = {
    "shoutpoint": "dialer_adapters.shoutpoint.client.ShoutpointAdapter",
    "shoutpoint-forgetful": "dialer_adapters.shoutpoint.client.ForgetfulShoutpointAdapter",
}
"""Names for the settings. A dotted path may stand in the settings too (ADDING_A_PROVIDER.md)."""
DEFAULT_ADAPTER = "shoutpoint"
MOST_KEPT = 8
"""Two end points of one district, and room for a settings page that tries others."""


class AdapterSettings(Protocol):
    """What an adapter needs to know; any object with these attributes will do."""

    @property
    def adapter(self) -> str: ...
    @property
    def endpoint_url(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def allow_loopback(self) -> bool: ...
    @property
    def allowed_hosts(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class DialerDoor:
    """One door to a dialer account: where, as whom, and what the installation permits.

    `allow_loopback` and `allowed_hosts` (lower case; empty means any public host) come from the
    installation's environment, never from a district's setting.
    """

    endpoint_url: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    adapter: str = DEFAULT_ADAPTER
    allow_loopback: bool = False
    allowed_hosts: frozenset[str] = frozenset()


_Key = tuple[int, str, str, str, str, bool, frozenset[str]]
_kept: OrderedDict[_Key, DialerAdapter] = OrderedDict()
_lock = threading.Lock()


def adapter_for(settings: AdapterSettings) -> DialerAdapter:
    """The adapter for these settings, the same one for the same settings within a process.

    Raises CredentialsRefused("ENDPOINT_NOT_ALLOWED") for an address that may not be used and
    ValueError for an adapter that does not exist. Opens no connection."""
    key = (
        os.getpid(),
        settings.adapter or DEFAULT_ADAPTER,
        settings.endpoint_url,
        settings.username,
        settings.password,
        settings.allow_loopback,
        frozenset(settings.allowed_hosts),
    )
    with _lock:
        adapter = _kept.get(key)
        if adapter is None:
            adapter = _adapter_class(key[1])(
                key[2], key[3], key[4], allow_loopback=key[5], allowed_hosts=key[6]
            )
            _kept[key] = adapter
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return adapter


def looks_up(name: str) -> bool:
    """Whether the adapter of that name can be asked about a request in doubt (see
    `DialerAdapter.looks_up`). Raises ValueError for one that does not exist."""
    return _adapter_class(name or DEFAULT_ADAPTER).looks_up


class _AdapterClass(Protocol):
    looks_up: bool

    def __call__(
        self,
        endpoint_url: str,
        username: str,
        password: str,
        *,
        allow_loopback: bool,
        allowed_hosts: frozenset[str],
    ) -> DialerAdapter: ...


def _adapter_class(name: str) -> _AdapterClass:
    module, _, attribute = ADAPTERS.get(name, name).rpartition(".")
    try:
        found: _AdapterClass = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise ValueError(f"there is no dialer adapter {name!r}") from None
    return found


def _forget_after_fork() -> None:
    """A child neither uses its parent's connections nor inherits its parent's held lock."""
    global _lock
    _lock = threading.Lock()
    _kept.clear()


os.register_at_fork(after_in_child=_forget_after_fork)

if TYPE_CHECKING:
    # Dotted paths escape the type checker, so each adapter of ours is shown to it here.
    from dialer_adapters.shoutpoint.client import ForgetfulShoutpointAdapter, ShoutpointAdapter

    _checked: tuple[_AdapterClass, ...] = (ShoutpointAdapter, ForgetfulShoutpointAdapter)
