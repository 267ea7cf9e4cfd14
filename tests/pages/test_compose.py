"""Writing, checking and confirming: what is taken, what is refused, and that it is sent once."""

import re
from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger import lifecycle
from messenger.composition import Composition
from messenger.models import Delivery, District, Message, MessageDraft, Role, RoleAssignment, School
from messenger.rights import SEND_EMERGENCY, SEND_GENERAL
from tests.launch.sending import draft, expand_all, verified_account
from tests.pages.cast import ADMINISTRATOR, SECRETARY, client_of, give, make_user
from voice.models import VoiceSettings

WORDS = "School closes at noon on Friday."


def fields(*schools: School, **changes: Any) -> dict[str, Any]:
    """A form filled in rightly, with changes; None leaves a field out."""
    filled: dict[str, Any] = {
        "subject": "Early dismissal",
        "voice_text": WORDS,
        "schools": [str(school.pk) for school in schools],
        "active_only": "on",
        "deliver_to": ["contacts"],
        "when": "now",
    } | changes
    return {name: value for name, value in filled.items() if value is not None}


def write(client: Client, tool: str = "general", **data: Any) -> MessageDraft:
    """Sends the form, follows it to the check page and returns its draft."""
    answer = client.post(reverse(f"{tool}_new"), data)
    assert answer.status_code == 302, answer.context["form"].errors
    found = re.search(r"([0-9a-f-]{36})/check/$", answer["Location"])
    assert found
    return MessageDraft.objects.get(uuid=UUID(found[1]))


def text_of(answer: Any) -> str:
    """The words of a page, without its tags."""
    page = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", page)


@pytest.fixture
def client(admin: Any) -> Client:
    return client_of(admin)


def test_the_whole_way(client: Client, admin: Any, world: Any) -> None:
    page = client.get(reverse("general_new"))
    assert "The whole district" in text_of(page)
    written = write(client, **fields(world.elementary, world.middle))
    assert written.user == admin
    assert written.message is None

    check = client.get(reverse("general_check", args=[written.uuid]))
    shown = text_of(check)
    assert "Cedar Elementary, Willow Middle School" in shown
    assert WORDS in shown
    assert "as of" in shown
    families = check.context["preview"].families
    assert families > 5
    assert f"Call {families} families" in shown
    assert "No device marked for this kind of message" in shown

    sent = client.post(reverse("general_confirm", args=[written.uuid]))
    message = Message.objects.get()
    assert sent["Location"] == reverse("log_detail", args=[message.uuid])
    assert (message.subject, message.sender, message.tool) == ("Early dismissal", admin, "general")
    assert message.status == Message.Status.WAITING
    assert not message.emergency
    assert set(message.schools.all()) == {world.elementary, world.middle}


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_all_numbers_of_a_person_at_once(client: Client, world: Any, tool: str) -> None:
    """E-2: the sender's choice for this message, shown before it is sent; off unless chosen."""
    written = client.post(reverse(f"{tool}_new"), fields(world.high, simultaneous="on"))
    page = client.get(written["Location"]).content.decode()
    assert "All at once" in page
    draft = MessageDraft.objects.get()
    assert Composition.from_draft(draft).simultaneous
    form = client.get(reverse(f"{tool}_write", args=[draft.uuid])).content.decode()
    assert re.search(r'name="simultaneous"[^>]*checked', form)
    client.post(reverse(f"{tool}_write", args=[draft.uuid]), fields(world.high))
    page = client.get(reverse(f"{tool}_check", args=[draft.uuid])).content.decode()
    assert "One after the other, until somebody presses 0" in page
    draft.refresh_from_db()
    assert not Composition.from_draft(draft).simultaneous


def test_a_draft_is_changed_in_place(client: Client, world: Any) -> None:
    written = write(client, **fields(world.elementary, grades=["03"]))
    url = reverse("general_write", args=[written.uuid])
    form = client.get(url).context["form"]
    assert form["subject"].value() == "Early dismissal"
    assert form["schools"].value() == [str(world.elementary.pk)]
    assert form["grades"].value() == ["03"]
    again = client.post(url, fields(world.middle, subject="Late start"))
    assert again["Location"] == reverse("general_check", args=[written.uuid])
    written.refresh_from_db()
    assert written.content["subject"] == "Late start"
    assert written.content["criteria"]["school_ids"] == [world.middle.pk]
    assert MessageDraft.objects.count() == 1


def test_home_keeps_unsent_drafts_and_discards_them(client: Client, world: Any) -> None:
    written = write(client, **fields(world.elementary, subject="Half-written"))
    assert "Half-written" in text_of(client.get("/"))
    client.post(reverse("general_discard", args=[written.uuid]))
    home = text_of(client.get("/"))
    assert "Half-written" not in home
    assert "The draft is discarded." in home


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"subject": ""}, "subject", "Enter a subject."),
        ({"subject": " \t "}, "subject", "Enter a subject."),
        ({"subject": "x" * 201}, "subject", "at most 200 characters"),
        ({"voice_text": ""}, "voice_text", "Enter what the call should say."),
        ({"voice_text": "x" * 4001}, "voice_text", "at most 4000 characters"),
        ({"voice_text": "\x1b\x07"}, "voice_text", "Enter what the call should say."),
        ({"schools": None}, "schools", "No school means nobody."),
        ({"schools": ["999999"]}, "schools", "Select a valid choice"),
        ({"schools": ["' OR 1=1 --"]}, "schools", "Select a valid choice"),
        ({"grades": ["99"]}, "grades", "Select a valid choice"),
        ({"deliver_to": None}, "deliver_to", "Choose who is called."),
        ({"deliver_to": ["everyone"]}, "deliver_to", "Select a valid choice"),
        ({"when": "never"}, "when", "Select a valid choice"),
        ({"when": "later"}, "day", "Enter a day."),
        ({"when": "later", "day": "2031-05-05"}, "at", "Enter a time."),
        ({"when": "later", "day": "2031-02-30", "at": "09:00"}, "day", "Enter a valid date."),
        ({"when": "later", "day": "2031-05-05", "at": "25:00"}, "at", "Enter a valid time."),
        ({"when": "later", "day": "2020-05-05", "at": "09:00"}, "at", "This time has passed."),
        ({"window_start": "09:00"}, "window_end", "Enter both times"),
        ({"window_end": "09:00"}, "window_start", "Enter both times"),
        (
            {"window_start": "12:00", "window_end": "12:00"},
            "window_end",
            "Calls must end after they start.",
        ),
    ],
)
def test_bad_input_is_named_where_it_is(
    client: Client, world: Any, changes: dict[str, Any], field: str, words: str
) -> None:
    answer = client.post(reverse("general_new"), fields(world.elementary, **changes))
    assert answer.status_code == 422
    assert words in " ".join(answer.context["form"].errors[field])
    page = answer.content.decode()
    assert page.count("<title>Error: ") == 1
    assert f'href="#id_{field}"' in page
    assert "There is a problem" in page
    assert not MessageDraft.objects.exists()


def test_what_was_typed_is_kept_and_never_becomes_markup(client: Client, world: Any) -> None:
    hostile = "</textarea><script>alert(1)</script>{{ 7|add:7 }} %(x)s ${x}"
    answer = client.post(
        reverse("general_new"), fields(world.elementary, voice_text=hostile, subject="")
    )
    assert b"<script>alert" not in answer.content
    assert b"{{ 7|add:7 }} %(x)s ${x}" in answer.content
    written = write(client, **fields(world.elementary, voice_text=hostile, subject=hostile))
    check = client.get(reverse("general_check", args=[written.uuid])).content
    assert b"<script>alert" not in check
    assert b"{{ 7|add:7 }} %(x)s ${x}" in check
    assert b"<script>alert" not in client.get("/").content


@pytest.mark.spec("A2-01", "A2-02")
def test_an_emergency_has_neither_time_nor_window_and_starts_in_the_request(
    client: Client, world: Any
) -> None:
    page = client.get(reverse("emergency_new")).content.decode()
    for name in ("when", "day", "at", "window_start", "window_end"):
        assert f'name="{name}"' not in page
    sneaky = fields(world.high, when="later", day="2031-05-05", at="09:00", window_start="09:00")
    written = write(client, "emergency", **sneaky)
    check = client.get(reverse("emergency_check", args=[written.uuid]))
    assert f"Call {check.context['preview'].families} families now" in text_of(check)
    assert 'class="emergency"' in check.content.decode()
    client.post(reverse("emergency_confirm", args=[written.uuid]))
    message = Message.objects.get()
    assert message.emergency
    assert message.status == Message.Status.IN_PROGRESS
    assert message.scheduled_at == message.created_at
    assert message.dial_from is None
    assert message.dial_until is None
    assert message.window_start is None


def test_a_time_in_the_districts_zone(client: Client, world: Any) -> None:
    District.objects.update(time_zone="America/Chicago")
    data = fields(world.elementary, when="later", day="2031-07-01", at="09:30")
    written = write(client, **data | {"window_start": "09:00", "window_end": "17:15"})
    assert written.content["scheduled_at"] == "2031-07-01T09:30:00-05:00"
    shown = text_of(client.get(reverse("general_check", args=[written.uuid])))
    assert "07/01/2031 9:30 AM CDT" in shown
    assert "9:00 AM – 5:15 PM" in shown
    form = client.get(reverse("general_write", args=[written.uuid])).context["form"]
    assert [form[name].value() for name in ("when", "day", "at")] == [
        "later",
        "2031-07-01",
        "09:30",
    ]


@pytest.mark.spec("A2-06")
def test_an_empty_window_disables_the_button_and_says_why(client: Client, world: Any) -> None:
    verified_account(district_start="08:00", district_end="20:00")
    data = fields(world.elementary, when="later", day="2031-07-01", at="05:00")
    written = write(client, **data | {"window_start": "05:00", "window_end": "07:00"})
    url = reverse("general_check", args=[written.uuid])
    check = client.get(url)
    assert check.context["problems"]
    assert re.search(r"<button[^>]*data-effect[^>]*disabled", check.content.decode())
    assert client.post(reverse("general_confirm", args=[written.uuid])).status_code == 422
    assert not Message.objects.exists()


@pytest.mark.spec("A1-06")
def test_nothing_is_sent_without_verified_credentials(client: Client, world: Any) -> None:
    VoiceSettings.objects.update(verified=False)
    written = write(client, **fields(world.elementary))
    refused = client.post(reverse("general_confirm", args=[written.uuid]))
    assert refused.status_code == 422
    assert "Enter User Name, Password and URL End Point" in text_of(refused)
    assert not Message.objects.exists()


def test_nobody_to_call_is_a_blocker(client: Client, world: Any) -> None:
    written = write(client, **fields(world.middle, grades=["06"], deliver_to=["students"]))
    check = client.get(reverse("general_check", args=[written.uuid]))
    assert "Nobody would be called" in text_of(check)
    assert client.post(reverse("general_confirm", args=[written.uuid])).status_code == 422
    assert not Message.objects.exists()


def test_staff_alone_are_people_not_families(client: Client, world: Any) -> None:
    written = write(client, **fields(world.high, deliver_to=["staff"]))
    check = client.get(reverse("general_check", args=[written.uuid]))
    assert f"Call {check.context['preview'].recipients} people" in text_of(check)
    assert "Families" not in text_of(check)


def test_a_secretary_writes_to_her_school_alone(secretary: Any, world: Any) -> None:
    client = client_of(secretary)
    form = client.get(reverse("general_new")).context["form"]
    assert [name for _pk, name in form.fields["schools"].choices] == ["Cedar Elementary"]
    assert form["schools"].value() == [str(world.elementary.pk)]
    assert "whole_district" not in form.fields
    for data in (fields(world.high), fields(whole_district="on")):
        assert client.post(reverse("general_new"), data).status_code == 422


def test_a_right_that_was_lost_stops_the_draft(secretary: Any, world: Any) -> None:
    """The draft was written while the secretary had the high school too."""
    give(secretary, SECRETARY, world.high)
    written = write(client_of(secretary), **fields(world.high))
    RoleAssignment.objects.filter(school=world.high).delete()
    client = client_of(type(secretary).objects.get(pk=secretary.pk))
    check = client.get(reverse("general_check", args=[written.uuid]))
    assert "You may not write to: Prairie High School." in text_of(check)
    assert client.post(reverse("general_confirm", args=[written.uuid])).status_code == 422
    assert not Message.objects.exists()


def test_the_whole_district_needs_its_right(world: Any) -> None:
    """Ticking every school is the whole district too."""
    user = make_user("principal")
    role = Role.objects.create(name="Principal", rights=[SEND_GENERAL, SEND_EMERGENCY])
    RoleAssignment.objects.create(user=user, role=role)
    client = client_of(user)
    assert "whole_district" not in client.get(reverse("general_new")).context["form"].fields
    every = [world.elementary, world.middle, world.high]
    written = write(client, **fields(*every))
    refused = client.post(reverse("general_confirm", args=[written.uuid]))
    assert "You may not write to the whole district." in text_of(refused)
    assert refused.context["preview"].students == 0
    assert not Message.objects.exists()
    two = write(client, **fields(world.elementary, world.middle))
    sent = client.post(reverse("general_confirm", args=[two.uuid]), follow=True)
    assert "The message “Early dismissal” is confirmed." in text_of(sent)
    Message.objects.all().delete()
    give(user, ADMINISTRATOR)
    client = client_of(type(user).objects.get(pk=user.pk))
    whole = write(client, **fields(whole_district="on"))
    assert whole.content["criteria"]["school_ids"] == sorted(school.pk for school in every)
    form = client.get(reverse("general_write", args=[whole.uuid])).context["form"]
    assert form["whole_district"].value() is True
    client.post(reverse("general_confirm", args=[whole.uuid]))
    assert Message.objects.get().district_wide


def test_a_second_press_shows_the_first_message(client: Client, world: Any) -> None:
    written = write(client, **fields(world.elementary))
    url = reverse("general_confirm", args=[written.uuid])
    assert client.post(url)["Location"] == client.post(url)["Location"]
    assert Message.objects.count() == 1
    for page in ("write", "check"):
        gone_on = client.get(reverse(f"general_{page}", args=[written.uuid]))
        assert gone_on["Location"] == client.post(url)["Location"]
    changed = client.post(
        reverse("general_write", args=[written.uuid]), fields(world.high, subject="Other")
    )
    assert changed["Location"] == client.post(url)["Location"]
    assert Message.objects.get().subject == "Early dismissal"


def test_a_form_from_elsewhere_is_refused(admin: Any, world: Any) -> None:
    client = client_of(admin, checks_csrf=True)
    written = draft([world.elementary], user=admin)
    for name in ("general_confirm", "general_discard"):
        refused = client.post(reverse(name, args=[written.uuid]))
        assert refused.status_code == 403
        assert "This page was open for too long" in text_of(refused)
    assert not Message.objects.exists()
    assert MessageDraft.objects.filter(pk=written.pk).exists()


def test_the_length_of_the_call_is_estimated(client: Client) -> None:
    url = reverse("general_estimate")
    assert "About 20 s (50 words)" in text_of(client.post(url, {"voice_text": "word " * 50}))
    assert "About 2 min 0 s (300 words)" in text_of(client.post(url, {"voice_text": "word " * 300}))
    assert "1 character too long" in text_of(client.post(url, {"voice_text": "x" * 4001}))
    assert client.post(url, {"voice_text": "x" * 2_000_000}).status_code == 200


def test_home_shows_what_runs_to_those_who_may_see_it(
    client: Client, secretary: Any, world: Any
) -> None:
    for school, subject in ((world.elementary, "For the small"), (world.high, "For the big")):
        data = fields(school, subject=subject, when="later", day="2031-07-01", at="12:00")
        written = write(client, **data)
        client.post(reverse("general_confirm", args=[written.uuid]))
    home = client.get("/")
    assert "For the small" in text_of(home)
    assert "For the big" in text_of(home)
    seen = re.search(r'hx-get="(/now/\?seen=\w+)"', home.content.decode())
    assert seen
    assert client.get(seen[1]).status_code == 204
    Message.objects.filter(subject="For the small").update(results_changed_at=timezone.now())
    assert client.get(seen[1]).status_code == 200
    paused = client.get("/?live=0").content.decode()
    assert "hx-get" not in paused
    assert "Resume updates" in paused
    hers = text_of(client_of(secretary).get(reverse("home_now")))
    assert "For the small" in hers
    assert "For the big" not in hers
    Message.objects.update(status=Message.Status.SENT, finished_at=timezone.now())
    Message.objects.update(launched_at=timezone.now() - timedelta(minutes=5))
    assert 'hx-get="/now/' not in client.get("/").content.decode()


def test_the_check_page_says_how_many_calls_will_not_fit(client: Client, world: Any) -> None:
    """In words, with what to do, and without standing in the way; not for an emergency."""
    verified_account(lines=1, dialer_lines=500)
    later = fields(world.elementary, when="later", day="2031-07-01", at="12:00")
    narrow = later | {"window_start": "12:00", "window_end": "12:05"}
    written = write(client, **narrow)
    check = client.get(reverse("general_check", args=[written.uuid]))
    dials = check.context["preview"].dials
    said = re.search(r"About (\d+) of (\d+) calls will not fit before 12:05 PM\.", text_of(check))
    assert said
    assert 0 < int(said[1]) < int(said[2]) == dials
    assert "Start earlier, choose a longer dialing window or fewer people" in text_of(check)
    assert not check.context["problems"]
    wide = write(client, **later | {"window_start": "12:00", "window_end": "20:00"})
    everything_fits = client.get(reverse("general_check", args=[wide.uuid]))
    assert "will not fit" not in text_of(everything_fits)
    urgent = write(client, "emergency", **fields(world.elementary))
    assert "will not fit" not in text_of(client.get(reverse("emergency_check", args=[urgent.uuid])))


def test_the_check_page_shows_the_window_that_will_hold(client: Client, world: Any) -> None:
    """What the district's hours leave of it, and the families' own day."""
    verified_account(district_start="08:00", district_end="20:00")
    later = fields(world.elementary, when="later", day="2031-07-01", at="12:00")
    written = write(client, **later | {"window_start": "06:00", "window_end": "22:00"})
    shown = text_of(client.get(reverse("general_check", args=[written.uuid])))
    assert "8:00 AM – 8:00 PM (what the district" in shown
    assert "hours leave of 6:00 AM – 10:00 PM)" in shown
    verified_account(district_start="05:00", district_end="23:00")
    night = write(client, **later | {"at": "21:15"})
    url = reverse("general_check", args=[night.uuid])
    words = "Calls are placed from 8:00 AM to 9:00 PM where the school is"
    assert words in text_of(client.get(url))
    assert client.post(reverse("general_confirm", args=[night.uuid])).status_code == 422
    assert not Message.objects.exists()


@pytest.mark.spec("A1-02")
def test_parents_students_staff_and_any_mix_of_them_are_called(client: Client, world: Any) -> None:
    roles = {"contacts": "contact", "students": "student", "staff": "staff"}
    for size in (1, 2, 3):
        for chosen in combinations(roles, size):
            written = write(client, **fields(world.high, deliver_to=list(chosen)))
            client.post(reverse("general_confirm", args=[written.uuid]))
            written.refresh_from_db()
            message = written.message
            assert message is not None
            assert lifecycle.launch(message.pk)
            expand_all(message)
            rows = Delivery.objects.filter(message=message, mode="voice")
            found = set(rows.values_list("role", flat=True))
            assert found == {roles[name] for name in chosen}
