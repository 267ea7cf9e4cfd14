"""Recording in a real browser with a made-up microphone, and axe on the pages of what a call sounds
like."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, BrowserType

from messenger.models import MessageDraft
from tests.browser.test_pages import DESK, PHONE, problems_of
from voice.sound_models import CallerNumber, Prompt, Recording, SpokenWord

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, databases=["default"])]

FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PLAYS = """async (player) => {
    player.preload = "auto";
    await new Promise((play, refuse) => {
        player.onloadedmetadata = play;
        player.onerror = refuse;
        player.load();
    });
    return player.duration;
}"""


@pytest.fixture
def site(live_server: Any) -> Any:
    """A running site with the small world and one of everything on these pages."""
    from tests.browser.scenery import build_scenery

    live_server.scenery = build_scenery()
    Prompt.objects.create(kind="greeting", language="en-US", words="Hello to all families.")
    SpokenWord.objects.create(word="LHS", say_as="L H S")
    CallerNumber.objects.create(number="+18005550142", label="Office", trouble="Not registered.")
    return live_server


@pytest.fixture
def open_context(
    site: Any, browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[Any]:
    """`open_context(width, theme)`: a signed-in browser of its own, with a microphone that hums."""
    flags = [*browser_type_launch_args["args"], *FAKE_MICROPHONE]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": flags})

    def start(width: int = DESK, theme: str = "light") -> BrowserContext:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if theme == "dark" else "light",
            base_url=site.url,
            permissions=["microphone"],
        )
        context.add_cookies(
            [
                {"name": "sessionid", "value": site.scenery.session_key, "url": site.url},
                {"name": "theme", "value": theme, "url": site.url},
            ]
        )
        return context

    yield start
    browser.close()


def test_a_message_is_recorded_heard_and_taken_into_the_draft(open_context: Any) -> None:
    page = open_context().new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(reverse("general_new"))
    page.fill("#id_subject", "Snow day")
    page.locator("[name=schools]").first.check()
    page.get_by_role("button", name="Record here").click()
    stop = page.get_by_role("button", name="Stop recording")
    stop.wait_for()
    # The made-up microphone beeps once a second.
    page.locator("[data-elapsed]").get_by_text("0:02").wait_for()
    stop.click()
    player = page.locator("[data-play]")
    player.wait_for(state="visible")
    assert player.evaluate(PLAYS) > 1.5
    page.get_by_role("button", name="Check the message").click()
    page.get_by_role("heading", name="What is said").wait_for()
    recording = Recording.objects.get()
    assert MessageDraft.objects.latest("pk").content["recording"] == str(recording.uuid)
    whole = page.get_by_label("The call to a person").evaluate(PLAYS)
    assert whole > recording.audio.seconds
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_pages_are_accessible_and_fit(
    open_context: Any, site: Any, width: int, theme: str
) -> None:
    page = open_context(width, theme).new_page()
    addresses = [
        reverse("prompts"),
        reverse("caller_ids"),
        reverse("dictionary") + "?words=LHS+is+closed",
        reverse("general_new"),
        site.scenery.check,
    ]
    for address in addresses:
        page.goto(address)
        assert problems_of(page) == []
