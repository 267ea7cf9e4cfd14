"""The log in a browser: live, by keyboard alone, without script; axe has nothing to say."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from messenger.models import Delivery, Message, User
from sentlog.models import Report
from sentlog.reports import making
from tests.sentlog.rows import Ledger, make_message, make_person, make_school

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Status = Message.Status
SCHEMES = [(scheme, width) for scheme in ("light", "dark") for width in (1440, 390)]
Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live_server: Any, administrator: User) -> Any:
    """Pages of a signed-in administrator, in any width, scheme, with or without script."""
    client = Client()
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    name = django_settings.SESSION_COOKIE_NAME
    contexts = []

    def make(path: str, *, width: int = 1440, scheme: Any = "light", script: bool = True) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            color_scheme=scheme,
            java_script_enabled=script,
            viewport={"width": width, "height": 900},
        )
        contexts.append(context)
        context.add_cookies(
            [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
        )
        page = context.new_page()
        page.goto(path)
        return page

    yield make
    for context in contexts:
        context.close()


def tab_to(page: Page, words: str) -> None:
    """Tabs until something that says this has the focus."""
    for _step in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
        )
        if focused == words:
            return
    pytest.fail(f"{words!r} cannot be reached by Tab")


def running_message(rows: int = 8, done: int = 2) -> Message:
    message = make_message(
        status=Status.IN_PROGRESS,
        subject="School is closed because of the weather",
        created_at=timezone.now(),
        scheduled_at=timezone.now(),
        finished_at=None,
        criteria_shown=[["Deliver To", "Messenger Contacts"], ["Grade", "All Grades"]],
    )
    ledger, school = Ledger(message), make_school("Harrison High")
    for number in range(rows):
        ledger.add(
            make_person(f"Family{number}, Parent"),
            "voice",
            f"+1612555{number:04d}",
            student=make_person(f"Family{number}, Kid", is_student=True),
            school=school,
            outcome="successful" if number < done else "",
            code=5 if number < done else None,
            chain=number + 1,
            step=1,
        )
    return message


def finish(message: Message, rows: int, status: str = Status.IN_PROGRESS) -> None:
    """What the collector does: results for the first rows, the mark, maybe the end."""
    Delivery.objects.filter(message=message, id__lte=rows).update(
        state="done", outcome="successful", code=5, tries=1
    )
    Message.objects.filter(pk=message.pk).update(results_changed_at=timezone.now(), status=status)


def test_the_summary_updates_itself_and_stops_at_the_end(open_page: Open, district: Any) -> None:
    message = running_message()
    page = open_page(reverse("log_detail", args=[message.uuid]))
    summary = page.locator("#summary")
    expect(summary.get_by_text("2 of 8")).to_be_visible()
    finish(message, 5)
    expect(summary.get_by_text("5 of 8")).to_be_visible(timeout=15_000)
    expect(page.locator("#announce")).to_contain_text("5 of 8 deliveries have their result")
    finish(message, 8, Status.SENT)
    expect(summary.get_by_text("8 of 8")).to_be_visible(timeout=20_000)
    expect(summary.get_by_role("link", name="Cancel this Message")).to_have_count(0)
    expect(page.get_by_text("Pause updates")).to_have_count(0)
    assert summary.get_attribute("hx-get") is None


def test_paused_the_page_asks_nothing(open_page: Open, district: Any) -> None:
    message = running_message()
    page = open_page(reverse("log_detail", args=[message.uuid]))
    page.get_by_role("link", name="Pause updates").click()
    expect(page.get_by_text("Updates are paused")).to_be_visible()
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert page.locator("#summary").get_attribute("hx-get") is None
    page.get_by_role("button", name="Refresh Status").click()
    expect(page.get_by_text("Nothing has been handed to the dialer yet.")).to_be_visible()
    assert [url.rsplit("/", 2)[1] for url in asked] == ["refresh"]


@pytest.mark.spec("B8-06")
def test_search_select_and_cancel_by_keyboard_alone(open_page: Open, district: Any) -> None:
    make_message(subject="Another one", created_at=timezone.now(), type_label="Attendance")
    message = make_message(
        subject="The one to cancel",
        status=Status.WAITING,
        created_at=timezone.now() - timedelta(days=40),
        scheduled_at=timezone.now() + timedelta(days=1),
    )
    page = open_page("/log/")

    reach = partial(tab_to, page)
    reach("Created from")
    first_day = timezone.localdate() - timedelta(days=41)
    page.keyboard.type(first_day.strftime("%m%d%Y"))
    reach("Find Messages")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 messages")).to_be_visible()
    reach("Filter by Status")
    page.keyboard.type("Waiting")
    expect(page.get_by_text("1 of 2 messages")).to_be_visible()
    assert "status=waiting" in page.url
    focused = page.evaluate("document.activeElement.name")
    assert focused == "status", "the focus stays where somebody works"
    reach("The one to cancel")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{reverse('log_detail', args=[message.uuid])}**")
    reach("Cancel this Message")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cancel this message?")).to_be_visible()
    reach("Cancel this Message")
    page.keyboard.press("Enter")
    expect(page.locator("#summary").get_by_text("Canceled", exact=True)).to_be_visible()
    message.refresh_from_db()
    assert message.status == Status.CANCELED


@pytest.mark.spec("B1-06")
def test_filters_and_heads_change_the_list_in_place(open_page: Open, district: Any) -> None:
    """Typed or chosen, sorted, and back again by the browser's own button; rows by arrow keys."""
    for number, subject in enumerate(("Apples", "Bananas", "Cherries")):
        make_message(subject=subject, created_at=timezone.now() - timedelta(minutes=number))
    page = open_page("/log/")
    page.evaluate("window.same = true")
    rows = page.locator("#log-list .row-link")
    page.get_by_role("link", name="Message Subject").click()
    expect(page.get_by_role("columnheader", name="Message Subject")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name="Message Subject").click()
    expect(rows).to_have_text(["Cherries", "Bananas", "Apples"])
    page.get_by_label("Part of the Message Subject").fill("an")
    page.keyboard.press("Tab")
    expect(rows).to_have_text(["Bananas"])
    assert "sort=-subject" in page.url
    assert "subject=an" in page.url
    assert page.evaluate("window.same"), "the page was never loaded anew"
    page.go_back()
    expect(rows).to_have_text(["Cherries", "Bananas", "Apples"])
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bananas", level=1)).to_be_visible()
    page.get_by_role("link", name="The whole list").click()
    expect(rows).to_have_text(["Cherries", "Bananas", "Apples"])


def test_filters_open_on_a_phone(open_page: Open, district: Any) -> None:
    for subject in ("Apples", "Bananas"):
        make_message(subject=subject, created_at=timezone.now())
    page = open_page("/log/", width=390)
    expect(page.get_by_label("Filter by Sender")).to_be_hidden()
    page.get_by_text("Filter and sort").click()
    page.get_by_label("Part of the Message Subject").fill("app")
    page.keyboard.press("Enter")
    expect(page.locator("#log-list .row-link")).to_have_text(["Apples"])
    expect(page.get_by_label("Filter by Sender")).to_be_visible()
    assert Axe().run(page).response["violations"] == []


@pytest.mark.spec("B8-06")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_several_are_canceled_by_keyboard_alone(
    open_page: Open, district: Any, scheme: str, width: int
) -> None:
    running = running_message()
    kept, waiting = (
        make_message(subject=subject, status=Status.WAITING, created_at=timezone.now())
        for subject in ("Keep me", "Stop me")
    )
    page = open_page("/log/", scheme=scheme, width=width)

    reach = partial(tab_to, page)

    def judge() -> None:
        found = Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide), page.url

    reach("Mark “Stop me” to cancel it")
    page.keyboard.press("Space")
    reach(f"Mark “{running.subject}” to cancel it")
    page.keyboard.press("Space")
    reach("Cancel 2 messages")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 have their result, 6 will be stopped")).to_be_visible()
    judge()
    reach("Stop 2 messages")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 2 messages have stopped")).to_be_visible()
    judge()
    Message.objects.filter(pk=running.pk).update(
        status=Status.CANCELED_IP, results_changed_at=timezone.now()
    )
    expect(page.locator("#announce")).to_have_text("2 of 2 messages have stopped", timeout=15_000)
    expect(page.get_by_text("Pause updates")).to_have_count(0)
    waiting.refresh_from_db()
    kept.refresh_from_db()
    assert (waiting.status, kept.status) == (Status.CANCELED, Status.WAITING)


def test_a_report_by_keyboard_alone(
    open_page: Open, district: Any, tmp_path: Any, settings: Any
) -> None:
    """Options, print, progress in a new tab, the finished page there, and a file that is saved."""
    settings.MEDIA_ROOT = tmp_path
    message = running_message()
    finish(message, 8, Status.SENT)
    page = open_page(reverse("log_detail", args=[message.uuid]))

    def press(page: Page, name: str, key: str) -> None:
        for _step in range(80):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
            )
            if focused.startswith(name):
                return page.keyboard.press(key)
        pytest.fail(f"{name!r} cannot be reached by Tab")

    press(page, "PDF", "ArrowLeft")  # round to the last of the formats
    expect(page.get_by_label("Web page")).to_be_checked()
    with page.expect_popup() as popup:
        press(page, "Print Sent Message Report", "Enter")
    tab = popup.value
    expect(tab.get_by_text("The HTML report is being written.")).to_be_visible()
    making.make(Report.objects.get().pk)
    expect(tab.get_by_role("rowheader", name="Family0, Parent")).to_be_visible(timeout=15_000)
    assert "open=1" in tab.url
    assert tab.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1120px"

    press(page, "Web page", "ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("CSV", exact=True)).to_be_checked()
    with page.expect_popup() as popup:
        press(page, "Print Sent Message Report", "Enter")
    tab = popup.value
    making.make(Report.objects.latest("pk").pk)
    expect(tab.get_by_role("link", name="Download CSV")).to_be_visible(timeout=15_000)
    with tab.expect_download() as download:
        press(tab, "Download CSV", "Enter")
    assert download.value.suggested_filename == "school-is-closed-because-of-the-weather-report.csv"


def test_a_report_is_canceled_by_its_owner(open_page: Open, district: Any) -> None:
    message = running_message()
    page = open_page(reverse("log_detail", args=[message.uuid]))
    expect(page.get_by_label("Failed Delivery: recipients")).to_be_disabled()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Print Sent Message Report").click()
    tab = popup.value
    tab.get_by_role("button", name="Cancel this report").click()
    expect(tab.get_by_text("This report was canceled.")).to_be_visible()
    tab.get_by_role("link", name="My reports").click()
    expect(tab.get_by_role("cell", name="Canceled")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), SCHEMES)
def test_axe_finds_nothing_in_reports(
    open_page: Open,
    district: Any,
    administrator: User,
    tmp_path: Any,
    settings: Any,
    scheme: str,
    width: int,
) -> None:
    settings.MEDIA_ROOT = tmp_path
    message = running_message()
    finish(message, 8, Status.SENT)
    message.schools.set([make_school("One"), make_school("Two")])
    waiting, ready, failed, gone = (
        making.order(message, administrator, "html", "all", ["cell"], by_school=True)
        for _number in range(4)
    )
    making.make(ready.pk)
    Report.objects.filter(pk=failed.pk).update(state="failed", problem="No room on the disk.")
    Report.objects.filter(pk=gone.pk).update(state="expired")
    pages = [reverse("report", args=[r.uuid]) for r in (waiting, ready, failed, gone)]
    pages += [reverse("reports"), f"{pages[1]}file/?open=1"]
    page = open_page(reverse("log_detail", args=[message.uuid]), width=width, scheme=scheme)
    expect(page.get_by_label("Put the rows of each school together")).to_be_visible()
    sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for path in pages:
        page.goto(path)
        if path.endswith("open=1"):
            # A sandbox runs no script: axe looks at the same page outside of it.
            page.goto("about:blank")
            page.set_content(making.path_of(Report.objects.get(pk=ready.pk)).read_text())
        found = Axe().run(page).response["violations"]
        assert [(path, v["id"], v["nodes"][0]["html"]) for v in found] == []
        assert not page.evaluate(sideways), path


def test_everything_works_without_script(open_page: Open, district: Any) -> None:
    message = running_message()
    page = open_page("/log/", script=False)
    page.get_by_label("Filter by Status").select_option("in_progress")
    page.get_by_role("button", name="Find Messages").click()
    page.get_by_role("link", name="Message Subject").click()
    expect(page.get_by_role("columnheader", name="Message Subject")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name=message.subject).click()
    page.get_by_role("button", name="Refresh Status").click()
    expect(page.get_by_text("Nothing has been handed to the dialer yet.")).to_be_visible()
    page.get_by_role("link", name="Every delivery").click()
    page.get_by_label("Recipient's name").fill("family3")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Family3, Parent").click()
    expect(page.get_by_role("heading", name="Tries")).to_be_visible()
    page.goto(reverse("log_detail", args=[message.uuid]))
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Print Sent Message Report").click()
    expect(popup.value.get_by_text("The PDF report is being written.")).to_be_visible()
    page.goto(reverse("log_cancel", args=[message.uuid]))
    page.get_by_role("link", name="Keep sending").click()
    expect(page.get_by_role("heading", name=message.subject)).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), SCHEMES)
def test_axe_finds_nothing(open_page: Open, district: Any, scheme: str, width: int) -> None:
    message = running_message()
    address = reverse("log_detail", args=[message.uuid])
    pages = [
        "/log/",
        "/log/?created_from=2020-01-02&created_to=2020-01-01",
        "/log/?created_from=2020-01-01&created_to=2020-01-01",
        f"{address}?live=0",
        f"{address}cancel/",
        f"{address}deliveries/",
        f"{address}deliveries/?name=nobody",
        f"{address}deliveries/1/",
    ]
    page = open_page(pages[0], width=width, scheme=scheme)
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    for path in pages:
        page.goto(path)
        found = Axe().run(page).response["violations"]
        assert [(path, v["id"], v["nodes"][0]["html"]) for v in found] == []
        sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(sideways), path
    assert errors == []
