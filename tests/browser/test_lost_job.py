"""The question about a message that the dialer has lost, in a real browser."""

import os
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.test_pages import (  # the site, and a browser that is signed in
    complaints as complaints,
)
from tests.browser.test_pages import problems_of
from tests.browser.test_pages import signed_in as signed_in
from tests.browser.test_pages import site as site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, databases=["default"])]


def lose_a_message() -> Any:
    from messenger.models import School
    from tests.launch.sending import lost_message

    return lost_message(School.objects.order_by("pk")[0])


def test_the_question_is_accessible_and_the_word_is_taken(
    site: Any, signed_in: Any, complaints: list[str]
) -> None:
    from django.urls import reverse

    message = lose_a_message()
    address = reverse("log_detail", args=[message.uuid])
    for theme in ("light", "dark"):
        for width in (390, 1280):
            page: Page = signed_in(width, theme)
            page.goto(address)
            page.get_by_role("heading", name="The dialer has lost this message").wait_for()
            assert problems_of(page) == []
            if folder := os.environ.get("LOOK"):
                page.screenshot(path=f"{folder}/lost-{theme}-{width}.png", full_page=True)
    page.get_by_role("button", name="recipients now").click()
    page.get_by_role("heading", name="Handed over again").wait_for()
    assert problems_of(page) == []
    if folder := os.environ.get("LOOK"):
        page.screenshot(path=f"{folder}/lost-after.png", full_page=True)
    assert complaints == []
