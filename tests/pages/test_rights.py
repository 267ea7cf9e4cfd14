"""Every address × every role: who may open what (X4). A new address without a line here fails."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from messenger.models import MessageDraft, PreferenceBatch, Role, RosterImport, User
from messenger.urls import urlpatterns as messenger_urls
from tests.launch.sending import draft
from tests.pages.cast import ADMINISTRATOR, READ_ONLY, SECRETARY, client_of, make_user
from voice.urls import urlpatterns as voice_urls

ROLES = ("stranger", "superuser", "administrator", "secretary", "reader", "nobody")
SIGN_IN = 302  # to the sign-in page
# Address → method and the answer to each role, in the order of ROLES. Drafts are the user's own.
EVERYONE = (SIGN_IN, 200, 200, 200, 200, 200)
SENDERS = (SIGN_IN, 200, 200, 200, 403, 403)
ALARMS = (SIGN_IN, 200, 200, 403, 403, 403)  # and everything else of administrators alone
READERS = (SIGN_IN, 200, 200, 200, 200, 403)
GONE = (SIGN_IN, 302, 302, 302, 403, 403)  # a redirect of our own after a POST
TABLE: dict[str, tuple[str, tuple[int, ...]]] = {
    "home": ("GET", EVERYONE),
    "home_now": ("GET", EVERYONE),
    "login": ("GET", (200, 302, 302, 302, 302, 302)),
    "logout": ("POST", (302,) * 6),
    "theme": ("POST", (302,) * 6),
    "styleguide": ("GET", (404,) * 6),
    "general_new": ("GET", SENDERS),
    "general_estimate": ("POST", SENDERS),
    "general_write": ("GET", SENDERS),
    "general_check": ("GET", SENDERS),
    "general_confirm": ("POST", GONE),
    "general_discard": ("POST", GONE),
    "emergency_new": ("GET", ALARMS),
    "emergency_estimate": ("POST", ALARMS),
    "emergency_write": ("GET", ALARMS),
    "emergency_check": ("GET", ALARMS),
    "emergency_confirm": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "emergency_discard": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "people": ("GET", READERS),
    "person": ("GET", READERS),
    "person_history": ("GET", READERS),
    "person_relationships": ("GET", READERS),
    "person_relate": ("POST", (SIGN_IN, 302, 302, 302, 403, 403)),
    "batches": ("GET", ALARMS),
    "batch_new": ("GET", ALARMS),
    "batch": ("GET", ALARMS),
    "batch_now": ("GET", ALARMS),
    "batch_undo": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "imports": ("GET", ALARMS),
    "import_detail": ("GET", ALARMS),
    "import_now": ("GET", ALARMS),
    "import_again": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "settings": ("GET", ALARMS),
    "access": ("GET", ALARMS),
    "role_new": ("GET", ALARMS),
    "role": ("GET", ALARMS),
    "role_remove": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "access_user": ("GET", ALARMS),
    "access_take": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "voice_settings": ("GET", ALARMS),
    "voice_account": ("POST", (SIGN_IN, 422, 422, 403, 403, 403)),
    "voice_test": ("POST", (SIGN_IN, 302, 302, 403, 403, 403)),
    "voice_hosting": ("POST", (SIGN_IN, 302, 403, 403, 403, 403)),
    "setup": ("GET", ALARMS),
    "alarms": ("GET", EVERYONE),
    "status": ("GET", ALARMS),
    "restored": ("GET", (SIGN_IN, 302, 302, 403, 403, 403)),
    "status_now": ("GET", ALARMS),
}
OWN_PAGES = ("write", "check", "confirm", "discard")


def test_every_address_has_a_line() -> None:
    patterns = [*messenger_urls, *voice_urls]
    assert all(isinstance(pattern, URLPattern) for pattern in patterns)
    assert {getattr(pattern, "name", None) for pattern in patterns} == set(TABLE)


@pytest.fixture
def cast(world: Any) -> dict[str, User | None]:
    return {
        "stranger": None,
        "superuser": User.objects.create_superuser("root", password="x"),
        "administrator": make_user("administrator", ADMINISTRATOR),
        "secretary": make_user("secretary", SECRETARY, world.elementary),
        "reader": make_user("reader", READ_ONLY),
        "nobody": make_user("nobody"),
    }


def address(name: str, user: User | None, world: Any) -> str:
    if name.startswith("import_"):
        return reverse(name, args=[RosterImport.objects.create(file_name="x.zip").uuid])
    if name in ("batch", "batch_now", "batch_undo"):
        rule = {"devices": ["cell"], "reasons": 1}
        return reverse(name, args=[PreferenceBatch.objects.create(rule=rule).uuid])
    if name.startswith("person"):
        return reverse(name, args=[world.mom.uuid])
    if name in ("role", "role_remove"):
        return reverse(name, args=[Role.objects.create(name=f"Role {uuid4()}", rights=[]).uuid])
    if name in ("access_user", "access_take"):
        return reverse(name, args=[make_user(f"person-{uuid4()}").uuid])
    tool, _underscore, page = name.partition("_")
    if tool in ("general", "emergency") and page in OWN_PAGES:
        owner = user or make_user(f"owner-of-{name}")
        return reverse(name, args=[draft([world.elementary], tool=tool, user=owner).uuid])
    return reverse(name)


@pytest.mark.parametrize("name", TABLE)
def test_who_may_open_it(name: str, cast: dict[str, User | None], world: Any) -> None:
    method, expected = TABLE[name]
    for role, status in zip(ROLES, expected, strict=True):
        answer = client_of(cast[role]).generic(method, address(name, cast[role], world))
        assert answer.status_code == status, (name, role)
        if role == "stranger" and name not in ("login", "logout", "theme", "styleguide"):
            assert answer["Location"].startswith("/sign-in/?next=")


@pytest.mark.parametrize("name", [name for name, (method, _) in TABLE.items() if method == "POST"])
def test_get_changes_nothing(name: str, cast: dict[str, User | None], world: Any) -> None:
    admin = cast["administrator"]
    assert client_of(admin).get(address(name, admin, world)).status_code == 405


@pytest.mark.parametrize("tool", ["general", "emergency"])
@pytest.mark.parametrize("page", OWN_PAGES)
def test_a_draft_of_somebody_else_is_not_there(
    tool: str, page: str, cast: dict[str, User | None], world: Any
) -> None:
    """The same answer for a draft of another, of the other tool, and one that never was (X5)."""
    admin = client_of(cast["administrator"])
    others = draft([world.elementary], tool=tool, user=cast["superuser"])
    other_tool = draft(
        [world.elementary],
        tool="general" if tool == "emergency" else "emergency",
        user=cast["administrator"],
    )
    never = MessageDraft()
    bodies = set()
    for found in (others, other_tool, never):
        url = reverse(f"{tool}_{page}", args=[found.uuid])
        answer = admin.post(url) if page in ("confirm", "discard") else admin.get(url)
        assert answer.status_code == 404
        bodies.add(re.sub(r'(value|token)="[^"]*"', "", answer.content.decode()))
    assert len(bodies) == 1
    assert MessageDraft.objects.filter(pk__in=[others.pk, other_tool.pk]).count() == 2


def test_settings_are_changed_only_by_those_who_may(world: Any) -> None:
    from messenger.models import RoleAssignment
    from messenger.rights import SETTINGS_VIEW

    viewer = make_user("viewer")
    role = Role.objects.create(name="Viewer", rights=[SETTINGS_VIEW])
    RoleAssignment.objects.create(user=viewer, role=role)
    client: Client = client_of(viewer)
    for name in ("settings", "voice_settings"):
        page = client.get(reverse(name))
        assert page.status_code == 200
        assert b"disabled" in page.content
        assert client.post(reverse(name), {"name": "Taken over"}).status_code == 403
    assert b"id_account-password" not in client.get(reverse("voice_settings")).content


def test_the_rail_shows_what_the_role_opens(cast: dict[str, User | None]) -> None:
    def rail(role: str) -> list[str]:
        page = client_of(cast[role]).get("/").content.decode()
        nav = page[page.index('<nav class="rail"') :]
        return re.findall(r'rail__long">([^<]+)', nav[: nav.index("</nav>")])

    assert rail("nobody") == ["Home"]
    assert rail("reader") == ["Home", "Sent Message Log", "People"]
    assert rail("secretary") == ["Home", "New message", "Sent Message Log", "People"]
    assert rail("administrator") == [
        "Home",
        "New message",
        "Emergency",
        "Sent Message Log",
        "People",
        "Imports",
        "Settings",
        "System status",
    ]
