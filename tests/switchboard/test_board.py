"""The board: lines at work on a page of the switchboard's own, and who may see it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page

from dialer_adapters.switchboard.board import Board, mask
from dialer_adapters.switchboard.endpoint import Endpoint
from tests.switchboard.desk import Desk, chain, job_values, number
from tests.switchboard.test_process import Wire
from tests.switchboard_process import SwitchboardProcess

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8100"}


class Visitor:
    """Somebody who asks for pages of the switchboard."""

    def __init__(self, desk: Desk, trusts_loopback: bool = True) -> None:
        self.application = Endpoint(desk.dialer, board=Board(desk.dialer, trusts_loopback))

    def get(self, path: str = "/", **environ: str) -> tuple[int, dict[str, str], str]:
        """GET a path; status, headers and body."""
        said: list[Any] = []
        request: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": path, **environ}
        parts = self.application(request, lambda *answer: said.extend(answer))
        return int(said[0].split()[0]), dict(said[1]), b"".join(parts).decode()


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def test_it_shows_lines_jobs_and_the_last_entries(desk: Desk) -> None:
    desk.pools = (3, 2)
    desk.open()
    desk.submit(
        *(chain(f"c{place}", number(110 + place)) for place in range(5)), Title="Snow <day>"
    )
    desk.submit(
        chain("e1", number(100), "T" + number(100)),
        Title="Fire drill",
        Priority="EMERGENCY",
        WindowEnd=None,
    )
    desk.play()
    status, headers, page = Visitor(desk).get(**HERE)
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert page.count('class="call') - page.count('class="calls"') == 4
    assert page.count("call--emergency") == 1
    assert "emergency line" in page
    for words in ("Snow &lt;day&gt;", "Fire drill", "0 of 5", "Running", "of 3 busy", "of 2 busy"):
        assert words in page
    desk.run()
    _, _, page = Visitor(desk).get(**HERE)
    for words in ("5 of 5", "1 of 1", "Finished", "pressed 0", "Live Person", "SMS Delivered"):
        assert words in page
    assert "No call is in progress." in page
    assert "612 ••• ••00" in page
    for last in (100, *range(110, 115)):
        assert number(last) not in page


def test_numbers_are_masked() -> None:
    assert mask("+16125550123") == "+1 612 ••• ••23"
    assert mask(None) == ""


@pytest.mark.parametrize(
    ("environ", "trusted", "status"),
    [
        (HERE, True, 200),
        (HERE, False, 401),
        ({**HERE, "REMOTE_ADDR": "10.1.2.3"}, True, 401),
        ({**HERE, "HTTP_HOST": "dialer.example.org"}, True, 401),
        ({**HERE, "HTTP_HOST": "localhost"}, True, 200),
        ({**HERE, "HTTP_HOST": "[::1]", "REMOTE_ADDR": "::1"}, True, 200),
        ({**HERE, "HTTP_HOST": "localhost.example.org:8100"}, True, 401),
        ({**HERE, "HTTP_AUTHORIZATION": basic("district", "wrong")}, True, 401),
        ({**HERE, "HTTP_AUTHORIZATION": basic("nobody", "a word")}, True, 401),
        ({"HTTP_AUTHORIZATION": basic("district", "a word between us")}, False, 200),
    ],
)
def test_only_this_machine_and_accounts_see_it(
    desk: Desk, environ: dict[str, str], trusted: bool, status: int
) -> None:
    found, headers, _ = Visitor(desk, trusted).get(**environ)
    assert found == status
    assert ("WWW-Authenticate" in headers) == (status == 401)


def test_an_account_sees_its_own_jobs_alone(desk: Desk) -> None:
    desk.submit(chain("c1", number(140)), Title="Ours")
    desk.play()
    desk.open_account("other", "another word")
    ours = Visitor(desk).get(HTTP_AUTHORIZATION=basic("district", "a word between us"))[2]
    theirs = Visitor(desk).get(HTTP_AUTHORIZATION=basic("other", "another word"))[2]
    assert "Ours" in ours
    assert "Ours" not in theirs
    assert "612 •••" in ours
    assert "612 •••" not in theirs


def test_the_contract_is_still_where_it_was(desk: Desk) -> None:
    visitor = Visitor(desk)
    status, headers, body = visitor.get(
        "/",
        QUERY_STRING="wsdl",
        **HERE,
        **{"SERVER_NAME": "x", "SERVER_PORT": "1", "wsgi.url_scheme": "http"},
    )
    assert (status, headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert "wsdl:definitions" in body
    assert visitor.get("/board.css")[0] == visitor.get("/board.js")[0] == 200
    assert visitor.get("/elsewhere", **HERE)[0] == 404


# ------------------------------------------------------------------------------------- in a browser


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_alive_and_everybody_can_read_it(
    transactional_db: None, page: Page, theme: Any, width: int
) -> None:
    troubles: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            troubles.append(message.text)

    page.on("console", listen)
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900})
    with SwitchboardProcess(speed=4, lines=6, emergency_lines=3) as switchboard:
        page.goto(f"http://127.0.0.1:{switchboard.port}/")
        assert page.get_by_text("No job has come yet.").is_visible()
        wire = Wire(switchboard)
        for title, more in (("Snow day", {}), ("Lockdown", {"Priority": "EMERGENCY"})):
            chains = [chain(f"c{place}", number(100 + place)) for place in range(40)]
            values = job_values(title.replace(" ", "-"), Title=title, TotalChains=40, **more)
            wire.call("SubmitJob", *chains, Job=values)
        # Nobody reloads: the page brings itself up to date.
        page.get_by_text("Lockdown").wait_for()
        page.locator(".call--emergency").first.wait_for()
        assert page.locator(".call").count() >= 4
        sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(sideways)
        page.get_by_role("button", name="Pause").click()
        findings = Axe().run(page).response["violations"]
        assert [(found["id"], found["nodes"][0]["html"]) for found in findings] == []
        assert page.get_by_role("button", name="Resume").is_visible()
    assert troubles == []
