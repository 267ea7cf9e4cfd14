"""The pages in a real browser: axe in both themes and sizes, no sideways scroll, no policy report,
keyboard, no script, and the way from the form to the check page."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from messenger.models import Message

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, databases=["default"])]

PHONE, DESK, NARROWEST = 360, 1280, 320
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def site(live_server: Any, settings: Any) -> Any:
    """A running site with the small world, some messages and an administrator."""
    from tests.browser.scenery import build_scenery

    settings.STYLEGUIDE = True
    live_server.scenery = build_scenery()
    return live_server


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains about: errors of scripts, reports of the policy."""
    return []


@pytest.fixture
def signed_in(site: Any, browser: Browser, complaints: list[str]) -> Iterator[Any]:
    """`signed_in(width, theme)`: a page of a signed-in browser that notes its complaints."""
    opened: list[BrowserContext] = []

    def start(width: int = DESK, theme: str = "light", **more: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if theme == "dark" else "light",
            base_url=site.url,
            **more,
        )
        context.add_cookies(
            [
                {"name": "sessionid", "value": site.scenery.session_key, "url": site.url},
                {"name": "theme", "value": theme, "url": site.url},
            ]
        )
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda said: note(complaints, said))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield start
    for context in opened:
        context.close()


def note(complaints: list[str], said: ConsoleMessage) -> None:
    """Keeps errors and warnings; an answer of 404 or 422 that a test asked for is none."""
    if said.type in ("error", "warning") and "status of 4" not in said.text:
        complaints.append(said.text)


def problems_of(page: Page) -> list[str]:
    """What axe finds, and what is wider than the screen."""
    found = Axe().run(page, options={"runOnly": TAGS}).response["violations"]
    listed = [
        f"{rule['id']}: {node['html'][:160]} ({page.url})"
        for rule in found
        for node in rule["nodes"]
    ]
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > screen:
        listed.append(f"sideways: {wide} > {screen} ({page.url})")
    return listed


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_every_page_is_accessible(
    site: Any, signed_in: Any, complaints: list[str], width: int, theme: str
) -> None:
    """U1 and X9: axe without a finding, no report of the policy, in every theme and size."""
    page: Page = signed_in(width, theme)
    found = []
    for address in site.scenery.addresses:
        page.goto(address)
        found += problems_of(page)
    for tool in ("general", "emergency"):
        page.goto(reverse(f"{tool}_new"))
        page.get_by_role("button", name="Check the message").click()
        page.get_by_text("There is a problem").wait_for()
        found += problems_of(page)
    assert found == []
    assert complaints == []


def test_nothing_needs_scrolling_sideways_on_the_narrowest_screen(
    site: Any, signed_in: Any
) -> None:
    """U3: 320 px is 400 % zoom of a common screen."""
    page: Page = signed_in(NARROWEST)
    wide = []
    for address in site.scenery.addresses:
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(address)
    assert wide == []


def test_signing_in_and_the_account_menu(site: Any, browser: Browser) -> None:
    from tests.pages.cast import PASSWORD

    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/imports/")
    assert problems_of(page) == []
    page.get_by_label("Username").fill("walker")
    page.get_by_label("Password").fill("not it")
    page.keyboard.press("Enter")
    page.get_by_text("You are not signed in").wait_for()
    assert problems_of(page) == []
    page.get_by_label("Username").fill("walker")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/imports/")
    page.locator("summary", has_text="Walker").click()
    page.keyboard.press("Escape")
    assert not page.get_by_role("button", name="Sign out").is_visible()
    page.locator("summary", has_text="Walker").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")
    context.close()


def test_writing_with_the_keyboard_alone(signed_in: Any, site: Any, complaints: list[str]) -> None:
    """U2: the first key reaches the skip link; an error takes the focus and leads to its field."""
    page: Page = signed_in()
    page.goto(reverse("general_new"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "subject"
    page.keyboard.press("Enter")  # submits the empty form
    page.get_by_text("There is a problem").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "id_subject"
    page.keyboard.type("Early dismissal")
    page.keyboard.press("Tab")
    page.keyboard.type("School closes at noon on Friday because of the snow. " * 5)
    page.get_by_text("About 20 s (50 words)").wait_for()
    page.get_by_label("Cedar Elementary").focus()
    page.keyboard.press("Space")
    page.get_by_label("Subject").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/check/")
    assert page.locator("button[data-effect]").inner_text().startswith("Call ")
    assert complaints == []


def test_day_and_time_appear_when_they_are_asked_for(signed_in: Any, site: Any) -> None:
    page: Page = signed_in()
    page.goto(reverse("general_new"))
    assert not page.get_by_label("Day", exact=True).is_visible()
    page.get_by_label("On a day, at a time").check()
    assert page.get_by_label("Day", exact=True).is_visible()


def test_discarding_asks_first(signed_in: Any, site: Any) -> None:
    page: Page = signed_in(PHONE)
    page.goto(site.scenery.check)
    page.get_by_role("button", name="Discard", exact=True).click()
    assert page.get_by_role("button", name="Discard the draft").is_visible()
    assert problems_of(page) == []
    assert page.evaluate("document.activeElement.innerText") == "Keep it"
    page.keyboard.press("Enter")
    assert not page.get_by_role("button", name="Discard the draft").is_visible()
    page.get_by_role("button", name="Discard", exact=True).click()
    page.get_by_role("button", name="Discard the draft").click()
    page.get_by_text("The draft is discarded. Nothing was sent.").wait_for()


def test_the_way_without_script(signed_in: Any, site: Any) -> None:
    """U5: writing, checking, the theme and the dialog work without JavaScript."""
    page: Page = signed_in(java_script_enabled=False)
    page.goto(reverse("general_new"))
    page.get_by_label("Subject").fill("No script")
    page.get_by_label("What the call says").fill("School closes at noon.")
    page.get_by_label("Cedar Elementary").check()
    page.get_by_role("button", name="Check the message").click()
    page.wait_for_url("**/check/")
    page.get_by_role("button", name="Discard", exact=True).click()
    assert page.get_by_role("button", name="Discard the draft").is_visible()
    page.get_by_role("button", name="Keep it").click()
    page.locator("summary", has_text="Appearance").click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.url.endswith("/check/")


def test_an_ended_session_leads_to_the_sign_in_page(signed_in: Any, site: Any) -> None:
    page: Page = signed_in()
    page.goto("/")
    page.context.clear_cookies()
    page.wait_for_url("**/sign-in/?next=/")
    assert page.get_by_role("heading", name="Sign in").count() == 1


def test_home_follows_what_runs_and_can_be_paused(signed_in: Any, site: Any) -> None:
    """2.2.2: the part that updates itself can be paused; focus stays where it was."""
    page: Page = signed_in()
    page.goto("/")
    link = page.get_by_role("link", name="Bus 14 runs late")
    link.focus()
    Message.objects.filter(subject="Bus 14 runs late").update(results_changed_at=timezone.now())
    with page.expect_response(lambda answer: "/now/" in answer.url and answer.status == 200):
        pass
    page.get_by_text("Bus 14 runs late").wait_for()
    assert page.evaluate("document.activeElement.innerText") == "Bus 14 runs late"
    page.get_by_role("link", name="Pause updates").click()
    page.get_by_text("Updates are paused").wait_for()
    assert page.locator("[hx-get]").count() == 0
