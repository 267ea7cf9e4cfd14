"""What holds for every page: signing in, lock-out, theme, policy headers, times in the zone."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from messenger.models import District, User
from tests.launch.sending import draft
from tests.pages.cast import PASSWORD, client_of
from tests.pages.test_compose import fields, text_of


class InlineCode(HTMLParser):
    """Collects what a strict policy would block: inline scripts, styles and handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (tag == "script" and "src" not in given) or tag == "style":
            self.found.append(tag)
        self.found += [
            name
            for name, value in attrs
            if name.startswith("on") or name == "style" or (value or "").startswith("javascript:")
        ]
        for name in ("src", "href", "action"):
            if re.match(r"(https?:)?//", given.get(name) or ""):
                self.foreign.append(given[name] or "")


@pytest.fixture
def pages(admin: Any, world: Any) -> list[Any]:
    """Every kind of page, right and wrong."""
    client = client_of(admin)
    general, emergency = (
        draft([world.elementary], user=admin, tool=tool) for tool in ("general", "emergency")
    )
    return [
        Client().get(reverse("login")),
        client.get("/"),
        client.get(reverse("general_new")),
        client.post(reverse("general_new"), fields(subject="", voice_text="")),
        client.get(reverse("general_check", args=[general.uuid])),
        client.get(reverse("emergency_new")),
        client.get(reverse("emergency_check", args=[emergency.uuid])),
        client.get(reverse("imports")),
        client.get(reverse("settings")),
        client.get(reverse("voice_settings")),
        client.get(reverse("status")),
        client.get("/no-such-page/"),
    ]


def test_no_page_has_inline_code_or_anything_from_elsewhere(pages: list[Any]) -> None:
    for page in pages:
        reader = InlineCode()
        reader.feed(page.content.decode())
        assert (reader.found, reader.foreign) == ([], []), page.request["PATH_INFO"]


def test_every_page_carries_the_policy(pages: list[Any]) -> None:
    for page in pages:
        policy = page["Content-Security-Policy"]
        assert "unsafe" not in policy
        for rule in ("default-src 'self'", "script-src 'self'", "object-src 'none'"):
            assert rule in policy
        for rule in ("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            assert rule in policy
        assert page["X-Frame-Options"] == "DENY"
        assert page["X-Content-Type-Options"] == "nosniff"
        assert page["Referrer-Policy"] == "same-origin"


def test_every_page_has_one_heading_a_title_and_a_language(pages: list[Any]) -> None:
    for page in pages:
        words = page.content.decode()
        assert words.count("<h1>") == 1
        assert re.search(r"<title>\S.* – Messenger</title>", words)
        assert '<html lang="en' in words
        assert 'class="skip" href="#content"' in words


@pytest.fixture
def person(db: Any) -> User:
    cache.clear()
    return User.objects.create_user("maria", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, **more: str) -> Any:
    return client.post(reverse("login"), {"username": "maria", "password": password, **more})


def test_sign_in_and_out(person: User) -> None:
    client = Client()
    assert client.get("/imports/")["Location"] == "/sign-in/?next=/imports/"
    assert sign_in(client, next="/settings/")["Location"] == "/settings/"
    assert "maria" in text_of(client.get("/"))
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout"))["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_wrong_password_says_so_and_leads_nowhere_else(person: User) -> None:
    page = sign_in(Client(), "wrong")
    assert "You are not signed in" in text_of(page)
    assert "wrong" not in page.content.decode().replace("wrong password", "")
    assert sign_in(Client(), next="https://evil.example/")["Location"] == "/"


def test_too_many_tries_are_locked_out_with_a_plain_word(person: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        page = sign_in(Client(), "guess")
    assert page.status_code == 429
    assert "Sign-in with this user name is locked for 15 minutes" in text_of(page)
    assert sign_in(Client()).status_code == 429, "the right password does not open it either"
    other = User.objects.create_user("grace", password=PASSWORD)
    answer = Client().post(reverse("login"), {"username": other.username, "password": PASSWORD})
    assert answer.status_code == 302


def test_the_theme_is_remembered_and_leads_back(db: Any) -> None:
    client = Client()
    answer = client.post(reverse("theme"), {"theme": "dark", "next": "/sign-in/?next=/log/"})
    assert answer["Location"] == "/sign-in/?next=/log/"
    assert 'data-theme="dark"' in client.get(reverse("login")).content.decode()
    for theme in ("system", '"><script>', ""):
        client.cookies["theme"] = theme
        assert "data-theme" not in client.get(reverse("login")).content.decode()
    assert client.post(reverse("theme"), {"next": "//evil.example"})["Location"] == "/"


def test_times_are_shown_in_the_districts_zone(admin: Any, world: Any) -> None:
    District.objects.update(time_zone="Pacific/Honolulu")
    data = fields(world.elementary, when="later", day="2031-07-01", at="09:30")
    sent = client_of(admin).post(reverse("general_new"), data, follow=True)
    assert "07/01/2031 9:30 AM HST" in text_of(sent)
    assert '<time datetime="2031-07-01T09:30:00-10:00">' in sent.content.decode()


def test_a_page_that_breaks_says_what_to_do(admin: Any, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("messenger.views.home._running", broken)
    client = client_of(admin)
    client.raise_request_exception = False
    page = client.get("/")
    assert page.status_code == 500
    assert "look in the Sent Message Log" in text_of(page)
    assert "RuntimeError" not in page.content.decode()


def test_the_style_guide_is_for_development(db: Any, settings: Any) -> None:
    assert Client().get(reverse("styleguide")).status_code == 404
    settings.STYLEGUIDE = True
    assert Client().get(reverse("styleguide")).status_code == 200
