"""What a call says: frozen at confirm, the district first, schools with their own, in chains."""

import json
from typing import Any

import pytest
from django.utils import timezone

from dialer_adapters.contract import Script, Segment
from messenger.composition import Composition
from messenger.models import Delivery, District, Message, School
from tests.launch.sending import confirmed, draft, launched, verified_account
from tests.sound.waves import tone
from tests.world import World, build_world
from voice import chains, channel, dictionary, recordings, script, sound
from voice.models import DialerBatch, DialerJob, VoiceSettings
from voice.sound_models import CallerChoice, CallerNumber, Prompt, SpokenWord

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    verified_account(default_caller_id="+16125550100")
    return build_world()


def prompt(kind: str, words: str, school: School | None = None, language: str = "en-US") -> Prompt:
    return Prompt.objects.create(kind=kind, words=words, school=school, language=language)


def job_script(message: Message) -> Script:
    return channel.frozen_job(message).script


def words(segments: tuple[Segment, ...]) -> list[str | None]:
    return [segment.say for segment in segments]


def chains_of(message: Message) -> list[dict[str, Any]]:
    batches = DialerBatch.objects.filter(job__message=message, total_chains=None)
    return [chain for batch in batches for chain in json.loads(batch.content)]


def test_the_district_is_named_first_and_key_0_is_told(world: World) -> None:
    said = job_script(confirmed(voice_text="No school today."))
    name = f"{world.district.name}."
    assert words(said.live) == [name, "No school today.", "Press 0 to confirm this message."]
    assert words(said.machine) == [name, "No school today."]
    assert said.confirm_digit == "0"


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_prompts_go_with_every_call(world: World, tool: str) -> None:
    """Also with an emergency's (the source: the same prompts apply)."""
    prompt("greeting", "Hello.")
    prompt("confirmation", "Press 0 when you have understood.")
    prompt("closing", "Thank you.")
    said = job_script(confirmed(voice_text="No school today.", tool=tool))
    name = f"{world.district.name}."
    assert words(said.live) == [
        name,
        "Hello.",
        "No school today.",
        "Press 0 when you have understood.",
        "Thank you.",
    ]
    assert words(said.machine) == [name, "Hello.", "No school today.", "Thank you."]


def test_a_message_in_spanish_has_the_spanish_prompts(world: World) -> None:
    prompt("greeting", "Hello.")
    prompt("greeting", "Buenos días.", language="es-US")
    said = job_script(confirmed(voice_text="Hoy no hay clases.", language="es-US"))
    assert words(said.live)[1:] == [
        "Buenos días.",
        "Hoy no hay clases.",
        "Oprima 0 para confirmar este mensaje.",
    ]
    assert {segment.language for segment in said.live} == {"es-US"}


def test_a_language_without_a_sentence_for_key_0_hears_it_in_english(world: World) -> None:
    said = job_script(confirmed(voice_text="Hôm nay nghỉ học.", language="vi-VN"))
    assert said.live[-1] == Segment(say="Press 0 to confirm this message.", language="en-US")


def test_a_schools_own_prompt_takes_the_place_of_the_districts(world: World) -> None:
    prompt("greeting", "Hello.")
    prompt("closing", "Goodbye.")
    prompt("greeting", "Hello from Prairie High.", world.high)
    alone = job_script(confirmed([world.high], voice_text="No school."))
    assert words(alone.live)[1] == "Hello from Prairie High."
    assert words(alone.live)[-1] == "Goodbye."
    assert words(job_script(confirmed([world.middle])).live)[1] == "Hello."


def test_in_a_message_to_several_schools_each_familys_chain_says_its_schools(world: World) -> None:
    prompt("greeting", "Hello.")
    prompt("greeting", "Hello from Prairie High.", world.high)
    message = launched(voice_text="No school.")
    assert words(job_script(message).live)[1] == "Hello."
    high = _chains_at(message, world.high)
    own = {chain["r"]: chain.get("x") for chain in chains_of(message)}
    assert {int(ref) for ref, said in own.items() if said} == high
    for said in filter(None, own.values()):
        assert said["live"][1][1] == "Hello from Prairie High."
        assert said["confirm_digit"] == "0"


def _chains_at(message: Message, school: School) -> set[int]:
    rows = Delivery.objects.filter(message=message, school_id=school.pk, mode="voice")
    return set(rows.exclude(chain=None).values_list("chain", flat=True))


def test_one_call_says_what_differs_one_after_another_and_the_rest_once() -> None:
    """As a message about absences will: a sentence for each child, between the same prompts."""

    def said(*words: str) -> Script:
        live = [Segment(say=word, language="en-US") for word in words]
        return Script(live=tuple(live), machine=tuple(live[:-1]), text="A text.", confirm_digit="0")

    name, greeting, press = "Prairie Lakes.", "Hello.", "Press 0."
    children = ["Jake was absent.", "Brenna was absent.", "Jake was absent.", "Ann was absent."]
    joined = script.one_after_another([said(name, greeting, child, press) for child in children])
    each = ["Jake was absent.", "Brenna was absent.", "Ann was absent."]
    assert words(joined.live) == [name, greeting, *each, press]
    assert words(joined.machine) == words(joined.live)[:-1]
    assert (joined.text, joined.confirm_digit) == ("A text.", "0")
    # Schools with a greeting of their own: before their own child, or both before the same words.
    two = [said(name, "At Cedar.", "Jake was absent.", press)]
    two.append(said(name, "At Prairie High.", "Amina was absent.", press))
    assert words(script.one_after_another(two).live) == [
        *(name, "At Cedar.", "Jake was absent.", "At Prairie High.", "Amina was absent.", press)
    ]
    same = [said(name, school, "No school.", press) for school in ("At Cedar.", "At Prairie High.")]
    assert words(script.one_after_another(same).live) == [
        *(name, "At Cedar.", "At Prairie High.", "No school.", press)
    ]
    assert script.one_after_another(same[:1]) == same[0]


def test_long_words_for_every_chain_make_smaller_batches(world: World) -> None:
    prompt("greeting", "Hello from Prairie High.", world.high)
    message = launched(voice_text="word " * 780)
    for batch in DialerBatch.objects.filter(job__message=message):
        assert len(batch.content.encode()) < 4 * 1024 * 1024
    assert 1 < chains.fitting(chains.own_words(message, [str(world.high.pk)]), 1000) < 500


def test_each_familys_phone_shows_its_schools_number(world: World) -> None:
    high = CallerNumber.objects.create(number="+16125550111", verified_at=timezone.now())
    CallerChoice.objects.create(number=high, school=world.high)
    message = launched()
    assert DialerJob.objects.get(message=message).content["caller_id"] == "+16125550100"
    own = {int(chain["r"]) for chain in chains_of(message) if chain.get("c") == "+16125550111"}
    assert own == _chains_at(message, world.high)
    alone = confirmed([world.high])
    assert channel.frozen_job(alone).caller_id == "+16125550111"


def test_what_was_confirmed_is_said_whatever_changes_after(world: World) -> None:
    """Ruling 5: prompts, dictionary, name and number are those of the confirm."""
    prompt("greeting", "Hello.")
    SpokenWord.objects.create(word="LHS", say_as="L H S")
    message = confirmed(voice_text="LHS is closed.")
    before = channel.frozen_job(message)
    Prompt.objects.update(words="Good evening.")
    SpokenWord.objects.update(say_as="Lakeside High")
    District.objects.update(name="Another District")
    VoiceSettings.objects.update(default_caller_id="+16125550199")
    assert channel.frozen_job(Message.objects.get(pk=message.pk)) == before
    assert "L H S is closed." in words(before.script.live)


def test_the_log_keeps_what_was_written(world: World) -> None:
    SpokenWord.objects.create(word="LHS", say_as="L H S")
    assert confirmed(voice_text="LHS is closed.").voice_text == "LHS is closed."


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("LHS is closed", "L H S is closed"),
        ("lhs and Lhs", "L H S and L H S"),
        ("LHSAA, xLHS, LHS2 stay", "LHSAA, xLHS, LHS2 stay"),
        ("(LHS). LHS!", "(L H S). L H S!"),
        ("Ms. Nguyễn called", "Ms. win called"),
        ("NGUYỄN", "win"),
        ("IEP meeting", "eye-ee-pee meeting"),
        ("The IEP is", "The individual plan is"),
        ("at 8 A.M. sharp", "at 8 in the morning sharp"),
        ("C++ club", "see plus plus club"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_the_dictionary_says_whole_words_whatever_the_case(written: str, said: str) -> None:
    for word, say_as in (
        ("LHS", "L H S"),
        ("Nguyễn", "win"),
        ("IEP", "eye-ee-pee"),
        ("the IEP", "The individual plan"),
        ("A.M.", "in the morning"),
        ("C++", "see plus plus"),
    ):
        SpokenWord.objects.create(word=word, say_as=say_as)
    assert dictionary.apply(dictionary.read_dictionary(), written) == said


def test_what_a_word_is_said_as_is_not_replaced_again() -> None:
    SpokenWord.objects.create(word="one", say_as="two")
    SpokenWord.objects.create(word="two", say_as="three")
    assert dictionary.apply(dictionary.read_dictionary(), "one two") == "two three"


def test_a_word_is_data_not_a_pattern() -> None:
    SpokenWord.objects.create(word="(a+)+$", say_as=r"\1 \g<0>")
    assert dictionary.apply(dictionary.read_dictionary(), "so (a+)+$ it") == r"so \1 \g<0> it"


def test_the_preview_plays_what_is_frozen(world: World) -> None:
    """One function makes both: the words of the check page and of the wire cannot differ."""
    prompt("greeting", "Hello.")
    made = draft(voice_text="LHS is closed.")
    SpokenWord.objects.create(word="LHS", say_as="L H S")
    shown = script.build(script.freeze(Composition.from_draft(made)))
    sent = job_script(confirmed(voice_text="LHS is closed."))
    assert shown.live == sent.live
    assert shown.machine == sent.machine
    heard = script.play(shown.live)
    parts = [script.play([segment]).seconds for segment in shown.live]
    assert heard.seconds == pytest.approx(sum(parts) + 0.35 * (len(parts) - 1), abs=0.01)


def test_the_same_sound_is_kept_once(world: World) -> None:
    first = recordings.store(sound.convert(tone()))
    assert recordings.store(sound.convert(tone())).pk == first.pk
    assert recordings.store(sound.convert(tone(pitch=500))).pk != first.pk
