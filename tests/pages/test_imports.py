"""The import pages: what is taken, what is refused, and what a person sees of a run."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from messenger.models import Person, RosterImport, RosterProblem, School
from messenger.roster.demo_district import write_district
from messenger.roster.tasks import run_import
from tests.pages.cast import client_of
from tests.pages.test_compose import text_of


@pytest.fixture
def client(admin: Any, settings: Any, tmp_path: Path) -> Client:
    settings.MEDIA_ROOT = tmp_path / "media"
    return client_of(admin)


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A district of 120 people, as its student system would send it."""
    path = tmp_path_factory.mktemp("roster") / "district.zip"
    write_district(path, size=120, seed=7, zipped=True)
    return path.read_bytes()


def send(client: Client, content: bytes, name: str = "Fall roster.zip", **more: str) -> Any:
    file = SimpleUploadedFile(name, content, content_type="application/zip")
    return client.post(reverse("imports"), {"file": file, **more})


def carried_out(answer: Any) -> RosterImport:
    """Does what the worker would do for the run that the answer leads to."""
    run = RosterImport.objects.get(uuid=answer["Location"].split("/")[-2])
    assert run.state == RosterImport.State.WAITING
    run_import(run.pk)
    run.refresh_from_db()
    return run


def test_a_file_is_stored_under_a_name_of_ours_and_imported(
    client: Client, roster: bytes, admin: Any, tmp_path: Path
) -> None:
    """A first import into an empty district; its page shows what changed and by which rules."""
    School.objects.all().delete()
    Person.objects.all().delete()
    answer = send(client, roster, name="../../etc/Fall <b>roster</b>.zip")
    run = carried_out(answer)
    assert run.state == RosterImport.State.DONE, run.refusal
    assert run.started_by == admin
    stored = Path(run.stored_path)
    assert stored.parent == tmp_path / "media" / "rosters"
    assert "roster</b>" not in stored.name
    assert Person.objects.count() == 120
    page = client.get(answer["Location"])
    shown = text_of(page)
    assert "What changed" in shown
    assert "rows read" in shown
    assert "A number in “sms” became Cell." in shown
    assert b"<b>roster</b>" not in page.content
    assert 'hx-get="/imports/' not in page.content.decode()
    listed = text_of(client.get(reverse("imports")))
    assert "Done" in listed
    assert "admin" in listed.lower()


def test_a_run_that_needs_a_person_changes_nothing_until_somebody_accepts(
    client: Client, roster: bytes, world: Any
) -> None:
    """The schools of the world are missing in this file."""
    answer = send(client, roster)
    run = carried_out(answer)
    assert run.state == RosterImport.State.REFUSED
    shown = text_of(client.get(answer["Location"]))
    assert "Nothing was changed" in shown
    assert "Schools that the product has are missing" in shown
    assert School.objects.filter(active=True).count() == 3
    again = reverse("import_again", args=[run.uuid])
    assert "Accept and import this file" in shown
    accepted = carried_out(client.post(again))
    assert accepted.state == RosterImport.State.DONE
    assert accepted.accepted
    assert not School.objects.get(pk=world.high.pk).active
    Path(run.stored_path).unlink()
    refused = client.post(again, follow=True)
    assert "Choose it again." in text_of(refused)


def test_looking_first_and_going_on_from_there(client: Client, roster: bytes) -> None:
    School.objects.all().delete()
    Person.objects.all().delete()
    run = carried_out(send(client, roster, dry_run="on"))
    assert run.state == RosterImport.State.DONE
    assert not Person.objects.exists()
    shown = text_of(client.get(reverse("import_detail", args=[run.uuid])))
    assert "What would change" in shown
    assert "Import this file now" in shown
    done = carried_out(client.post(reverse("import_again", args=[run.uuid])))
    assert (done.state, done.accepted, done.dry_run) == (RosterImport.State.DONE, False, False)
    assert Person.objects.count() == 120


def test_a_hostile_or_broken_zip_is_refused_whole(client: Client, world: Any) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        bundle.writestr("../../../tmp/users.csv", "sourcedId\n1\n")
    for content in (packed.getvalue(), b"PK\x03\x04 and nothing more"):
        run = carried_out(send(client, content))
        assert run.state == RosterImport.State.REFUSED
        page = client.get(reverse("import_detail", args=[run.uuid]))
        assert run.refusal
        assert "Nothing was changed" in text_of(page)
        assert "Accept and import" not in text_of(page)
        refused = client.post(reverse("import_again", args=[run.uuid]), follow=True)
        assert "Choose it again." in text_of(refused)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "This file is empty."),
        (b"sourcedId,status\n", "This is not a zip file."),
        (b"<html>", "This is not a zip file."),
        (None, "Choose a file."),
    ],
)
def test_what_is_no_zip_is_not_even_stored(
    client: Client, content: bytes | None, words: str, tmp_path: Path
) -> None:
    answer = client.post(reverse("imports")) if content is None else send(client, content)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not RosterImport.objects.exists()
    assert not (tmp_path / "media").exists()


def test_the_page_follows_a_running_import(client: Client) -> None:
    run = RosterImport.objects.create(
        file_name="x.zip", state="checking", stage_done=40, stage_total=100
    )
    url = reverse("import_now", args=[run.uuid])
    page = client.get(reverse("import_detail", args=[run.uuid]))
    assert f'hx-get="{url}"' in page.content.decode()
    assert "Checking" in text_of(page)
    assert "40 %" in text_of(page)
    part = client.get(url).content.decode()
    assert part.startswith("<div id=")
    assert "<html" not in part
    RosterImport.objects.update(state="failed", refusal="The worker stopped in the middle.")
    ended = client.get(url)
    assert "hx-get" not in ended.content.decode()
    assert "The worker stopped in the middle." in text_of(ended)


def test_problems_are_paged_and_never_become_markup(client: Client) -> None:
    run = RosterImport.objects.create(file_name="x.zip", state="done", counts={"problems": 120})
    RosterProblem.objects.bulk_create(
        RosterProblem(
            roster_import=run,
            file="users.csv",
            line=line,
            column="sms",
            value="<script>alert(1)</script>",
            code="phone_seven_digits",
            what="The area code is missing.",
            advice="Enter all ten digits.",
        )
        for line in range(2, 122)
    )
    url = reverse("import_detail", args=[run.uuid])
    first = client.get(url)
    assert b"<script>alert" not in first.content
    assert "1 to 50 of 120" in text_of(first)
    assert "120 problems" in text_of(first)
    assert "line 121" in text_of(client.get(url, {"page": "3"}))
    for page in ("0", "-1", "999", "x", "' OR 1"):
        assert client.get(url, {"page": page}).status_code == 200
