"""People in a browser: finding while typing, the editor by keyboard, whole rows and columns, and
pictures of every page (LOOK=folder keeps them)."""

import os
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from messenger.models import ContactPreference, Device, Mode, Person, PreferenceBatch, School
from tests.browser.test_pages import complaints, problems_of, signed_in, site  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, databases=["default"])]

SIZES = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]


def addresses(mom: Person, son: Person) -> dict[str, str]:
    school = School.objects.get(name="Cedar Elementary")
    return {
        "people": reverse("people") + "?q=family",
        "person": reverse("person", args=[mom.uuid]),
        "relationships": reverse("person_relationships", args=[son.uuid]) + "?q=lan",
        "history": reverse("person_history", args=[mom.uuid]),
        "batch-preview": f"{reverse('batch_new')}?schools={school.pk}&deliver_to=contacts"
        "&devices=cell&reasons=64&action=override",
        "batch": reverse("batch", args=[PreferenceBatch.objects.get().uuid]),
        "setup": reverse("setup"),
    }


def test_the_pages_are_accessible_and_fit(
    site: Any,  # noqa: F811
    signed_in: Any,  # noqa: F811
    complaints: list[str],  # noqa: F811
) -> None:
    mom, son = Person.objects.get(sourced_id="mom"), Person.objects.get(given_name="Jake")
    found = []
    for theme, width in SIZES:
        page: Page = signed_in(width, theme)
        for name, address in addresses(mom, son).items():
            page.goto(address)
            found += problems_of(page)
            if folder := os.environ.get("LOOK"):
                page.screenshot(path=f"{folder}/{name}-{theme}-{width}.png", full_page=True)
    assert found == []
    assert complaints == []


@pytest.mark.spec("A4-11")
def test_the_editor_by_keyboard_and_by_row(
    site: Any,  # noqa: F811
    signed_in: Any,  # noqa: F811
    complaints: list[str],  # noqa: F811
) -> None:
    mom = Person.objects.get(sourced_id="mom")
    page: Page = signed_in()
    page.goto(reverse("people"))
    page.get_by_label("Name, phone").press_sequentially("alisa fam")
    page.get_by_role("link", name="Family, Alisa").click()
    first = page.get_by_label("Emergency, Cell Phone, Voice")
    first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.name") == "marks-cell-text"
    page.keyboard.press("Space")
    said = page.locator("[data-difference]")
    expect(said).to_have_text("Not saved yet: 1 marks added, 2 removed")
    page.get_by_role("button", name="Mark all of Email, Email").click()
    page.get_by_role("button", name="Mark Teacher for all").click()
    expect(said).to_have_text("Not saved yet: 12 marks added, 2 removed")
    page.get_by_role("button", name="Mark all of Pager, Voice").click()
    expect(said).to_have_text("Not saved yet: 12 marks added, 2 removed")
    page.get_by_label("Work Phone", exact=True).fill("555-0100")
    page.keyboard.press("Enter")
    page.get_by_text("The area code is missing: ten digits are needed.").first.wait_for()
    assert problems_of(page) == []
    page.get_by_label("Work Phone", exact=True).fill("(612) 555-0100")
    page.keyboard.press("Enter")
    page.get_by_text("Saved: 12 marks added, 2 marks removed, Work Phone changed.").wait_for()
    marks = ContactPreference.objects.filter(contact_point__person=mom)
    assert marks.get(contact_point__device=Device.CELL, mode=Mode.VOICE).reasons == 127 - 3
    assert marks.get(contact_point__device=Device.EMAIL).reasons == 127
    assert complaints == []


def test_rows_and_columns_without_script(site: Any, signed_in: Any) -> None:  # noqa: F811
    mom = Person.objects.get(sourced_id="mom")
    page: Page = signed_in(java_script_enabled=False)
    page.goto(reverse("person", args=[mom.uuid]))
    page.get_by_role("button", name="Mark all of Email, Email").click()
    page.get_by_text("Not saved yet.").wait_for()
    page.get_by_role("button", name="Clear Emergency for all").click()
    page.get_by_text("Not saved yet.").wait_for()
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_text("Saved: 6 marks added, 4 marks removed.").wait_for()


@pytest.mark.spec("A4-12")
def test_a_batch_from_the_form_to_its_undo(site: Any, signed_in: Any) -> None:  # noqa: F811
    from messenger import batch_tasks

    page: Page = signed_in()
    page.goto(reverse("people"))
    page.get_by_role("link", name="Contact Preferences Batch").click()
    page.get_by_role("link", name="New batch").first.click()
    page.get_by_label("Cedar Elementary").check()
    page.get_by_label("Cell").check()
    page.get_by_label("Teacher").check()
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("heading", name="What would change").wait_for()
    page.get_by_role("button", name="devices now").click()
    page.get_by_text("Updates every").wait_for()
    batch = PreferenceBatch.objects.latest("pk")
    batch_tasks.run_batch(batch.pk)
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_role("button", name="Undo the batch").click()
    page.get_by_text("Waiting to be undone").first.wait_for()
    batch_tasks.run_batch(batch.pk)
    page.get_by_text("Devices put back").wait_for()
