"""Voice as an add-on that hosting enables, and the contract's lines (A1-01, A1-19)."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messenger import lifecycle
from messenger.models import District, Message
from tests.launch.sending import draft
from tests.pages.cast import client_of, make_user
from tests.pages.test_compose import text_of
from voice.models import VoiceSettings


@pytest.fixture
def hosting(world: Any) -> Client:
    return client_of(make_user("host", "Hosting"))


def contract(**changes: str) -> dict[str, str]:
    filled = {"voice_enabled": "on", "lines": "40", "emergency_lines": "10"} | changes
    return {f"hosting-{name}": value for name, value in filled.items() if value}


@pytest.mark.spec("A1-01")
def test_without_the_add_on_voice_is_offered_nowhere(
    hosting: Client, admin: Any, world: Any
) -> None:
    client = client_of(admin)
    District.objects.update(voice_enabled=False)
    page = text_of(client.get(reverse("voice_settings")))
    assert "A hosting representative turns it on" in page
    assert "User Name" not in page
    for name in ("voice_settings", "voice_account", "voice_test"):
        assert client.post(reverse(name)).status_code == 403
    for tool in ("general", "emergency"):
        ready = draft([world.elementary], user=admin, tool=tool)
        for name in ("new", "check"):
            address = reverse(f"{tool}_{name}", args=[ready.uuid] if name == "check" else [])
            shown = client.get(address)
            assert shown.status_code == 403
            assert "A hosting representative turns it on" in text_of(shown)
        assert client.post(reverse(f"{tool}_confirm", args=[ready.uuid])).status_code == 403
        assert client.post(reverse(f"{tool}_new"), {}).status_code == 403
        with pytest.raises(lifecycle.CannotSend, match="not enabled"):
            lifecycle.confirm(ready, admin)
    assert not Message.objects.exists()
    home = client.get("/").content.decode()
    assert reverse("general_new") not in home
    assert reverse("emergency_new") not in home
    district = client.get(reverse("settings"))
    assert "A hosting representative turns it on" in text_of(district)
    assert reverse("voice_settings") not in district.content.decode()
    assert reverse("voice_settings") in hosting.get(reverse("settings")).content.decode()
    # An administrator cannot turn it on; hosting can, and off again.
    assert client.post(reverse("voice_hosting"), contract()).status_code == 403
    assert not District.current().voice_enabled
    shown = text_of(hosting.post(reverse("voice_hosting"), contract(), follow=True))
    assert "part is saved." in shown
    assert District.current().voice_enabled
    assert "User Name" in text_of(client.get(reverse("voice_settings")))
    hosting.post(reverse("voice_hosting"), contract(voice_enabled=""))
    assert not District.current().voice_enabled


def test_lines_are_shown_to_all_and_changed_by_hosting_alone(hosting: Client, admin: Any) -> None:
    client = client_of(admin)
    assert b"hosting-lines" not in client.get(reverse("voice_settings")).content
    assert client.post(reverse("voice_hosting"), contract(lines="999")).status_code == 403
    hosting.post(reverse("voice_hosting"), contract(lines="35"))
    settings = VoiceSettings.current()
    assert (settings.lines, settings.emergency_lines) == (35, 10)
    assert "Lines 35" in text_of(client.get(reverse("voice_settings")))
    wrong = hosting.post(reverse("voice_hosting"), contract(lines="0"))
    assert wrong.status_code == 422
    assert "lines" in wrong.context["form"].errors
    hosting.post(reverse("voice_hosting"), contract(lines=""))
    assert VoiceSettings.current().lines is None


@pytest.mark.spec("A1-11")
def test_customer_ids_are_shown_and_cannot_be_changed(admin: Any, world: Any) -> None:
    from voice.models import CustomerAccount

    CustomerAccount.objects.create(kind="school", school=world.elementary, customer_id="S-000007")
    page = client_of(admin).get(reverse("voice_settings"))
    assert "S-000007" in text_of(page)
    assert world.elementary.name in text_of(page)
    assert b"customer_id" not in page.content
