"""Prompt Preferences, Caller ID Preferences, TTS Dictionary, and the sounds that pages play: who
may see and change them, what is refused, what is heard."""

import html
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import District, MessageDraft, Role, School, User
from tests.launch.sending import confirmed, draft
from tests.pages.cast import client_of, give, make_user
from tests.pages.test_compose import fields
from tests.sound.waves import read, silence, tone
from tests.world import World
from voice import recordings, script, sound
from voice.caller_ids import choose
from voice.hearing import LONGEST_SAMPLE
from voice.models import VoiceSettings
from voice.sound_models import (
    AudioFile,
    CallerChoice,
    CallerNumber,
    Prompt,
    Recording,
    SpokenWord,
)

pytestmark = pytest.mark.django_db

PAGES = ("prompts", "caller_ids", "dictionary")


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


@pytest.fixture
def viewer(world: World) -> Client:
    """Sees settings and changes none."""
    role = Role.objects.create(name="Looks at settings", rights=["settings.view"])
    user = make_user("viewer")
    user.role_assignments.create(role=role)
    return client_of(user)


def wav(data: bytes, name: str = "greeting.wav") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type="audio/wav")


def body(response: Any) -> str:
    return html.unescape(response.content.decode())


def verified(number: str) -> CallerNumber:
    return CallerNumber.objects.create(number=number, verified_at=timezone.now())


# ---------------------------------------------------------------------------------------- rights


@pytest.mark.parametrize("page", PAGES)
def test_only_who_may_see_settings_opens_the_page(
    page: str, client: Client, secretary: User
) -> None:
    assert client.get(reverse(page)).status_code == 200
    assert client_of(secretary).get(reverse(page)).status_code == 403
    assert client_of(None).get(reverse(page)).status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_only_who_may_edit_settings_changes_them(page: str, viewer: Client) -> None:
    assert viewer.get(reverse(page)).status_code == 200
    assert viewer.post(reverse(page), {"do": "add", "word": "a", "say_as": "b"}).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_without_voice_the_pages_do_not_exist(page: str, client: Client) -> None:
    District.objects.update(voice_enabled=False)
    assert client.get(reverse(page)).status_code == 404
    assert reverse(page) not in body(client.get(reverse("settings")))


def test_the_tabs_lead_to_the_pages(client: Client) -> None:
    shown = body(client.get(reverse("settings")))
    assert all(reverse(page) in shown for page in PAGES)


# --------------------------------------------------------------------------------------- prompts


def test_a_prompt_is_words_then_a_recording_then_nothing(client: Client, admin: User) -> None:
    url = reverse("prompts")
    assert client.post(url, {"greeting_words": "Hello."}).status_code == 302
    row = Prompt.objects.get()
    assert (row.kind, row.language, row.school, row.words) == ("greeting", "en-US", None, "Hello.")
    assert row.changed_by == admin
    client.post(url, {"greeting_file": wav(tone(1.0))})
    row = Prompt.objects.get()
    assert row.words == ""
    assert row.audio is not None
    assert read(bytes(row.audio.content))[:3] == (1, 2, 8000)
    client.post(url, {})
    assert Prompt.objects.count() == 1
    client.post(url, {"greeting_drop": "on"})
    assert not Prompt.objects.exists()


def test_prompts_are_kept_by_language_and_school(client: Client, world: World) -> None:
    url = reverse("prompts")
    client.post(url, {"closing_words": "Thank you."})
    client.post(f"{url}?language=es-US", {"closing_words": "Gracias."})
    client.post(f"{url}?school={world.high.uuid}", {"closing_words": "Go Prairie."})
    kept = set(Prompt.objects.values_list("language", "school", "words"))
    assert kept == {
        ("en-US", None, "Thank you."),
        ("es-US", None, "Gracias."),
        ("en-US", world.high.pk, "Go Prairie."),
    }
    assert "Go Prairie." in body(client.get(f"{url}?school={world.high.uuid}"))
    assert "Go Prairie." not in body(client.get(url))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"greeting_file": wav(b"not a sound at all")}, "This is not a WAV file."),
        ({"greeting_file": wav(silence())}, "Nothing can be heard"),
        ({"greeting_file": wav(b"RIFF" + b"\0" * sound.MOST_BYTES)}, "larger than 5 MB"),
        ({"greeting_file": wav(tone()), "greeting_words": "Hi."}, "not both"),
        ({"greeting_words": "x" * 501}, "at most 500 characters"),
    ],
)
def test_bad_prompts_are_refused_in_plain_words(
    client: Client, changes: dict[str, Any], words: str
) -> None:
    for value in changes.values():
        if hasattr(value, "seek"):
            value.seek(0)
    answer = client.post(reverse("prompts"), changes)
    assert answer.status_code == 422
    assert words in body(answer)
    assert not Prompt.objects.exists()


@pytest.mark.parametrize("query", ["?language=tlh", "?school=nonsense", "?school=1"])
def test_a_place_that_is_none_is_not_found(client: Client, query: str) -> None:
    assert client.get(reverse("prompts") + query).status_code == 404


def test_a_call_with_the_saved_prompts_is_heard(client: Client) -> None:
    before = client.get(reverse("prompts_call"), {"language": "en-US"})
    assert before["Content-Type"] == "audio/wav"
    Prompt.objects.create(kind="greeting", language="en-US", words="Hello to all families.")
    after = client.get(reverse("prompts_call"), {"language": "en-US"})
    assert len(after.content) > len(before.content)


# ------------------------------------------------------------------------------------ caller IDs


def test_an_unreachable_dialer_leaves_a_new_number_unverified_and_unused(client: Client) -> None:
    answer = client.post(
        reverse("caller_ids"),
        {"do": "add", "number": "(612) 555-0142", "label": "Office"},
        follow=True,
    )
    assert "could not be checked" in body(answer)
    row = CallerNumber.objects.get()
    assert (row.number, row.verified_at) == ("+16125550142", None)
    refused = client.post(reverse("caller_ids"), {"do": "default", "default": row.number})
    assert refused.status_code == 422
    assert VoiceSettings.current().default_caller_id == ""


@pytest.mark.parametrize(
    "number", ["", "555-0142", "911", "+44 20 7946 0958", "(112) 555-0100", "612-555-0142 x5"]
)
def test_what_is_no_number_of_a_district_is_refused(client: Client, number: str) -> None:
    answer = client.post(reverse("caller_ids"), {"do": "add", "number": number})
    assert answer.status_code == 422
    assert not CallerNumber.objects.exists()


def test_default_and_choices_are_saved_replaced_and_removed(client: Client, world: World) -> None:
    url = reverse("caller_ids")
    one, two = verified("+16125550141"), verified("+16125550142")
    client.post(url, {"do": "default", "default": one.number})
    assert VoiceSettings.current().default_caller_id == one.number
    place = {"do": "choose", "school": str(world.high.uuid), "reason": "attendance"}
    client.post(url, {**place, "number": one.number})
    client.post(url, {**place, "number": two.number})
    choice = CallerChoice.objects.get()
    assert (choice.school, choice.reason, choice.number) == (world.high, "attendance", two)
    nowhere = client.post(url, {"do": "choose", "number": one.number})
    assert "Choose a school, a type, or both." in body(nowhere)
    # The district's own number stays until another is chosen.
    client.post(url, {"do": "remove", "number": one.number})
    assert CallerNumber.objects.filter(pk=one.pk).exists()
    client.post(url, {"do": "forget", "choice": choice.pk})
    client.post(url, {"do": "remove", "number": two.number})
    assert set(CallerNumber.objects.values_list("number", flat=True)) == {one.number}
    assert not CallerChoice.objects.exists()


@pytest.mark.parametrize(
    "wish", [{"do": "destroy"}, {"do": "remove", "number": "+1"}, {"do": "forget", "choice": "x"}]
)
def test_a_wish_for_nothing_is_not_found(client: Client, wish: dict[str, str]) -> None:
    assert client.post(reverse("caller_ids"), wish).status_code == 404


def test_the_nearest_choice_wins(world: World) -> None:

    numbers = {
        name: verified(f"+161255501{n}") for n, name in enumerate(("both", "school", "type"), 50)
    }
    unverified = CallerNumber.objects.create(number="+16125550199")
    VoiceSettings.objects.update(default_caller_id="+16125550100")
    CallerChoice.objects.create(number=numbers["both"], school=world.high, reason="attendance")
    CallerChoice.objects.create(number=numbers["school"], school=world.high)
    CallerChoice.objects.create(number=numbers["type"], reason="attendance")
    CallerChoice.objects.create(number=unverified, school=world.middle)
    high, middle = world.high.pk, world.middle.pk
    assert choose("attendance", [high]) == (numbers["both"].number, {})
    assert choose("general", [high]) == (numbers["school"].number, {})
    assert choose("attendance", [middle]) == (numbers["type"].number, {})
    assert choose("general", [middle]) == ("+16125550100", {})
    assert choose("general", [high, middle]) == (
        "+16125550100",
        {high: numbers["school"].number},
    )


# ------------------------------------------------------------------------------------ dictionary


def test_words_are_added_changed_tried_and_removed(client: Client, admin: User) -> None:
    url = reverse("dictionary")
    client.post(url, {"word": "LHS", "say_as": "L H S"})
    client.post(url, {"word": "lhs", "say_as": "Lakeside High"})
    row = SpokenWord.objects.get()
    assert (row.say_as, row.changed_by) == ("Lakeside High", admin)
    tried = body(client.get(url, {"words": "LHS is closed, LHSAA is not."}))
    assert "Lakeside High is closed, LHSAA is not." in tried
    client.post(url, {"do": "remove", "word": "LHS"})
    assert not SpokenWord.objects.exists()


def test_nothing_is_tried_until_somebody_tries_it(client: Client) -> None:
    """The words of the empty list once stood in the sentence's field."""
    shown = body(client.get(reverse("dictionary")))
    assert "No word yet" in shown
    assert f'maxlength="{LONGEST_SAMPLE}"></textarea>' in shown
    assert "It is said as" not in shown
    assert "<audio" not in shown


def test_a_tried_sentence_is_heard_as_the_dictionary_says_it(client: Client) -> None:
    url = reverse("dictionary_sample")
    plain = client.get(url, {"words": "LHS"}).content
    SpokenWord.objects.create(word="LHS", say_as="Lakeside High School and its many campuses")
    assert len(client.get(url, {"words": "LHS"}).content) > len(plain)
    assert client.get(url).status_code == 404


def test_an_entry_needs_both_and_shows_no_markup(client: Client) -> None:
    assert client.post(reverse("dictionary"), {"word": "LHS", "say_as": " "}).status_code == 422
    client.post(reverse("dictionary"), {"word": "<b>x</b>", "say_as": "<script>1</script>"})
    shown = client.get(reverse("dictionary"), {"words": "<i>"}).content.decode()
    assert "<script>1" not in shown
    assert "<b>x" not in shown


# --------------------------------------------------------------------------------------- compose


def compose(client: Client, school: School, **changes: Any) -> MessageDraft:
    answer = client.post(reverse("general_new"), fields(school, **changes))
    assert answer.status_code == 302, body(answer)
    return MessageDraft.objects.latest("pk")


def test_a_recorded_message_needs_no_words(client: Client, world: World) -> None:
    made = compose(client, world.elementary, voice_text="", recording_file=wav(tone(2.0)))
    assert made.content["voice_text"] == "Recorded message (0:02)"
    recording = Recording.objects.get(uuid=made.content["recording"])
    assert recording.audio.seconds == pytest.approx(2.0, abs=0.01)
    shown = body(client.get(reverse("general_check", args=[made.uuid])))
    assert "A recording of 0:02" in shown
    # Nothing but the recording stands for the message, and it is heard as it is.
    heard = client.get(reverse("draft_call", args=[made.uuid])).content
    assert bytes(recording.audio.content)[sound.HEADER_BYTES :] in heard
    # Writing on keeps it; dropping it needs words again.
    again = body(client.get(reverse("general_write", args=[made.uuid])))
    assert reverse("recording", args=[recording.uuid]) in again
    dropped = fields(
        world.elementary, voice_text="", recording=str(recording.uuid), drop_recording="on"
    )
    answer = client.post(reverse("general_write", args=[made.uuid]), dropped)
    assert answer.status_code == 422
    assert "Enter what the call should say." in body(answer)
    # A new file takes its place.
    client.post(
        reverse("general_write", args=[made.uuid]), {**dropped, "recording_file": wav(tone(3.0))}
    )
    made.refresh_from_db()
    assert made.content["recording"] not in ("", str(recording.uuid))
    assert made.content["voice_text"] == "Recorded message (0:03)"


def test_a_recording_survives_an_error_elsewhere_in_the_form(client: Client, world: World) -> None:
    wrong = fields(world.elementary, subject="", voice_text="", recording_file=wav(tone()))
    answer = client.post(reverse("general_new"), wrong)
    assert answer.status_code == 422
    ref = str(Recording.objects.get().uuid)
    assert f'value="{ref}"' in body(answer)
    made = compose(client, world.elementary, voice_text="", recording=ref)
    assert made.content["recording"] == ref


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"GIF89a" + b"x" * 100, "This is not a WAV file."), (tone(0.1), "half a second")],
)
def test_a_bad_recording_is_refused_beside_its_field(
    client: Client, world: World, data: bytes, words: str
) -> None:
    wrong = fields(world.elementary, recording_file=wav(data))
    answer = client.post(reverse("general_new"), wrong)
    assert answer.status_code == 422
    assert words in body(answer)
    assert not AudioFile.objects.exists()


def test_the_preview_follows_prompts_dictionary_and_school(client: Client, world: World) -> None:
    made = compose(client, world.high, voice_text="PHS is closed.")
    SpokenWord.objects.create(word="PHS", say_as="P H S")
    Prompt.objects.create(kind="greeting", language="en-US", words="Good day.", school=world.high)
    shown = body(client.get(reverse("general_check", args=[made.uuid])))
    assert "P H S is closed." in shown
    assert "Good day." in shown
    live = client.get(reverse("draft_call", args=[made.uuid]))
    machine = client.get(reverse("draft_call_machine", args=[made.uuid]))
    assert live.status_code == machine.status_code == 200
    # To a machine nobody is asked to press a key.
    assert len(machine.content) < len(live.content)


def test_part_of_a_sound_is_given_to_a_browser_that_asks_for_it(
    client: Client, world: World
) -> None:
    made = compose(client, world.high)
    url = reverse("draft_call", args=[made.uuid])
    whole = client.get(url)
    part = client.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part["Content-Range"] == f"bytes 10-19/{len(whole.content)}"
    assert client.get(url, headers={"range": "bytes=99999999-"}).status_code == 416


# --------------------------------------------------------------------------------- whose sound


def test_a_sound_is_heard_by_its_owner_alone(client: Client, world: World, admin: User) -> None:
    recording = Recording.objects.create(
        audio=recordings.store(sound.convert(tone())), uploaded_by=admin
    )
    made = draft([world.high], user=admin, recording=str(recording.uuid))
    urls = [
        reverse("recording", args=[recording.uuid]),
        reverse("draft_call", args=[made.uuid]),
        reverse("draft_call_machine", args=[made.uuid]),
    ]
    other = make_user("other")
    give(other, "District administrator")
    for url in urls:
        assert client.get(url).status_code == 200
        assert client_of(other).get(url).status_code == 404
        assert client_of(None).get(url).status_code == 302


def test_another_persons_recording_is_not_taken_into_a_draft(
    client: Client, world: World, secretary: User
) -> None:
    theirs = Recording.objects.create(
        audio=recordings.store(sound.convert(tone())), uploaded_by=secretary
    )
    answer = client.post(
        reverse("general_new"),
        fields(world.elementary, voice_text="", recording=str(theirs.uuid)),
    )
    assert answer.status_code == 422
    junk = fields(world.elementary, recording="../../etc/passwd")
    client.post(reverse("general_new"), junk)
    assert MessageDraft.objects.latest("pk").content["recording"] == ""


@pytest.mark.spec("B7-19")
def test_what_a_message_said_is_heard_from_the_log(
    client: Client, world: World, admin: User, secretary: User
) -> None:
    recording = Recording.objects.create(
        audio=recordings.store(sound.convert(tone(1.5))), uploaded_by=admin
    )
    message = confirmed([world.high], user=admin, recording=str(recording.uuid))
    url, page = (reverse(name, args=[message.uuid]) for name in ("message_call", "log_detail"))
    assert f'src="{url}"' in body(client.get(page))
    heard = client.get(url)
    assert heard["Content-Type"] == "audio/wav"
    assert bytes(recording.audio.content)[sound.HEADER_BYTES :] in heard.content
    # Whoever may not see the message hears nothing (the secretary's school is another).
    assert client_of(secretary).get(url).status_code == 404
    # The file was deleted: words, no error.
    Recording.objects.all().delete()
    AudioFile.objects.all().delete()
    gone = client.get(url)
    assert gone.status_code == 404
    assert gone.content.decode() == "This recording is no longer available."
    shown = client.get(page)
    assert shown.status_code == 200
    assert "This recording is no longer available." in body(shown)
    assert url not in body(shown)


def test_the_same_call_is_frozen_that_was_heard(client: Client, world: World, admin: User) -> None:
    made = compose(client, world.high, voice_text="The bus is late.")
    heard = client.get(reverse("draft_call", args=[made.uuid])).content
    message = confirmed([world.high], user=admin, voice_text="The bus is late.")
    assert script.play(script.build(message.settings_frozen).live).content == heard
