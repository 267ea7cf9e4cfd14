"""The whole way in a browser: sign in, write, check, confirm, watch, cancel, print.

Behind the pages no worker and no beat runs, only `manage.py tick`, which does the work of both:
nothing depends on the broker being heard.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from config.local import programs
from config.local.supervisor import Program
from messenger.models import Delivery, Message, User
from tests.end_to_end.town import Exchange, open_account
from tests.end_to_end.workers import Processes
from tests.pages.cast import ADMINISTRATOR, PASSWORD, make_user
from tests.world import World, build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
]

PATIENCE = 90_000  # milliseconds


@pytest.fixture
def world() -> World:
    return build_world()


@pytest.fixture
def user() -> User:
    made = make_user("dana", ADMINISTRATOR)
    made.set_password(PASSWORD)
    made.save()
    return made


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[None]:
    tick = Program("tick", tuple(programs.manage("tick", "--every", "0.5", "--alone")))
    with Processes([tick], tmp_path):
        yield


@pytest.fixture
def page(browser: Browser, live_server: Any, user: User) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    yield page
    context.close()


def write(page: Page, subject: str) -> None:
    page.get_by_role("link", name=re.compile("^New message")).first.click()
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("What the call says").fill("Picture day is tomorrow.")
    page.get_by_label("The whole district").check()
    page.get_by_label("Subject").press("Enter")
    expect(page.get_by_role("heading", name="Check the message")).to_be_visible()


def test_from_writing_to_the_printed_report(
    world: World, switchboard: Exchange, ticking: None, page: Page
) -> None:
    open_account(switchboard)
    write(page, "Picture day")
    page.get_by_role("button", name=re.compile(r"^Call \d+ families$")).click()
    expect(page.get_by_role("heading", name="Picture day")).to_be_visible()
    # It follows the message by itself, without a click, until it is Sent.
    status = page.locator("#summary-title").locator("xpath=ancestor::section")
    expect(status.get_by_text("Sent", exact=True)).to_be_visible(timeout=PATIENCE)
    message = Message.objects.get()
    assert message.status == Message.Status.SENT
    switchboard.judge(message)
    recipients = Delivery.objects.values("recipient").distinct().count()
    expect(status).to_contain_text(str(recipients))
    # The report opens in a tab of its own and is made in the background.
    page.get_by_label("CSV", exact=True).check()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Print Sent Message Report").click()
    tab = popup.value
    link = tab.locator("#download-report")
    expect(link).to_be_visible(timeout=PATIENCE)
    with tab.expect_download() as waiting:
        link.click()
    assert "Picture day" in Path(waiting.value.path()).read_text(encoding="utf-8-sig")


def test_canceling_what_runs(
    world: World, slow_exchange: Exchange, ticking: None, page: Page
) -> None:
    open_account(slow_exchange)
    write(page, "Bus 14 runs late")
    page.get_by_role("button", name=re.compile(r"^Call \d+ families$")).click()
    page.locator("#cancel-message").click()
    page.get_by_role("button", name=re.compile("^(Stop|Cancel this Message)")).click()
    status = page.locator("#summary-title").locator("xpath=ancestor::section")
    expect(status).to_contain_text(re.compile("was canceled"), timeout=PATIENCE)
    message = Message.objects.get()
    assert message.status in (Message.Status.CANCELED, Message.Status.CANCELED_IP)
    slow_exchange.judge(message)
    assert not Delivery.objects.exclude(state="done").exists()
