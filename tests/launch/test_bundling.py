"""Several messages in one call: which chains are one, and that nothing else changes (ruling 30,
A3-09, B3-12). What the switchboard dials is proven in `tests/end_to_end/test_bundled_calls.py`."""

import json
from typing import Any

import pytest
from django.utils import timezone

from messenger import expansion, ledger, lifecycle
from messenger.audience.preview import preview
from messenger.composition import Composition
from messenger.models import (
    Delivery,
    LaunchSlice,
    Message,
    Person,
    Relationship,
    School,
)
from messenger.models.delivery import ROWS_PER_SLICE
from messenger.roster.families import recompute_families
from sentlog.counting import count
from tests.launch.joining import (
    EVERYTHING,
    SAME_WHETHER_BUNDLED,
    calls,
    morning_world,
    numbers,
    rows_at,
    steps_of,
    values_of,
)
from tests.launch.sending import confirmed, draft, expand_all, launched, verified_account
from tests.launch.test_results import entry, read
from tests.world import (
    Device,
    World,
    add_household,
    add_phone,
    add_staff,
    add_student,
    relate,
)
from voice import chains
from voice.models import CallChain, CustomerAccount, DialerBatch, DialerJob, VoiceSettings
from voice.sound_models import CallerChoice, CallerNumber, Prompt

pytestmark = pytest.mark.django_db

HOME = ["+16125550225"]
MOM = ["+16125557735", "+16125553218", "+16125554454"]  # cell, work, other
DAD = ["+16125557736", "+16125553219", "+16125554455"]


@pytest.fixture
def world() -> World:
    verified_account(bundle_messages=True)
    return morning_world()


def words(part: list[list[str | None]]) -> list[str | None]:
    return [said for _audio, said, _language in part]


# --------------------------------------------------------------- by recipient: the option


def test_the_chains_of_two_students_become_one_for_each_recipient(world: World) -> None:
    """Three calls in place of six (A3-04), each about both children, and the words said once."""
    message = launched([world.elementary], grades=("03", "05"))
    assert numbers(message) == sorted([HOME, MOM, DAD])
    assert all("x" not in row for row in calls(message))  # the job's script, once
    for number in (*HOME, *MOM, *DAD):
        rows = rows_at(message, number)
        assert {row.student for row in rows} == {world.son, world.daughter}
        assert len(steps_of(rows)) == 1
    made = CallChain.objects.filter(message=message)
    assert sum(chain.household_id == world.household.pk for chain in made) == 1
    assert {chain.recipient_id for chain in made} == {None, world.mom.pk, world.dad.pk}
    assert {chain.student_id for chain in made} == {None}
    assert message.slices.get().chains == 3


def test_rows_and_marks_are_those_of_separate_calls(world: World) -> None:
    """Only the chain of a row differs: the log lists the same rows, the same first of a number."""
    add_phone(world.mom, Device.PAGER, "+16125550397", voice=0, text=63)
    add_phone(world.dad, Device.PAGER, "+16125550397", voice=63, text=63)
    add_phone(world.hodan, Device.WORK, "+16125550398", voice=0, text=63)
    together = launched(modes=("voice", "text"))
    VoiceSettings.objects.update(bundle_messages=False)
    apart = launched(modes=("voice", "text"))
    assert values_of(together, *SAME_WHETHER_BUNDLED) == values_of(apart, *SAME_WHETHER_BUNDLED)
    assert len(calls(together)) < len(calls(apart))


def test_off_is_a_chain_for_each_student(world: World) -> None:
    VoiceSettings.objects.update(bundle_messages=False)
    message = launched([world.elementary], grades=("03", "05"))
    assert numbers(message) == sorted([HOME, HOME, MOM, MOM, DAD, DAD])


def test_the_option_is_frozen_at_confirm(world: World) -> None:
    message = confirmed([world.elementary], grades=("03", "05"))
    VoiceSettings.objects.update(bundle_messages=False)
    lifecycle.launch(message.pk)
    expand_all(message)
    assert len(calls(message)) == 3


def test_a_household_is_called_once_whoever_of_it_is_a_contact(world: World) -> None:
    """Dad is no contact of the son: the household still is one call, for three rows."""
    Relationship.objects.filter(student=world.son, guardian=world.dad).update(messenger=False)
    message = launched([world.elementary], grades=("03", "05"))
    assert numbers(message) == sorted([HOME, MOM, DAD])
    rows = rows_at(message, HOME[0])
    assert len(rows) == 3
    assert len(steps_of(rows)) == 1
    assert {row.student for row in rows_at(message, DAD[0])} == {world.daughter}


def test_siblings_whose_schools_keep_other_hours_are_called_apart(world: World) -> None:
    """8:00 to 21:00 holds where the school is (ruling 4): one call cannot keep two zones."""
    one, two = rows_of_siblings(world, launched())
    assert steps_of([one]) == steps_of([two])
    away = "Pacific/Auckland" if world.district.time_zone != "Pacific/Auckland" else "Asia/Tokyo"
    School.objects.filter(pk=world.high.pk).update(time_zone=away)
    one, two = rows_of_siblings(world, launched())
    assert steps_of([one]) != steps_of([two])
    School.objects.filter(pk=world.high.pk).update(time_zone=world.district.time_zone)
    one, two = rows_of_siblings(world, launched())
    assert steps_of([one]) == steps_of([two])


def rows_of_siblings(world: World, message: Message) -> list[Delivery]:
    """Yusuf of the elementary school and Amina of the high school, by their mother's cell."""
    rows = rows_at(message, "+16125550311")
    assert {row.student for row in rows} == {world.yusuf, world.amina}
    return rows


def test_one_call_says_each_schools_words_and_the_message_once(world: World) -> None:
    """What differs is said one after another, what both share once; neither school's number or
    account stands for the other's."""
    Prompt.objects.create(kind="greeting", words="Hello.", language="en-US")
    Prompt.objects.create(
        kind="greeting", words="Hello from Prairie High.", school=world.high, language="en-US"
    )
    number = CallerNumber.objects.create(number="+16125550111", verified_at=timezone.now())
    CallerChoice.objects.create(number=number, school=world.high)
    for school in (world.high, world.elementary):
        CustomerAccount.objects.create(
            kind="school", school=school, customer_id=f"S-{school.pk}", state_id="state-1"
        )
    message = launched(voice_text="No school.")
    both, _other = rows_of_siblings(world, message)
    (row,) = [row for row in calls(message) if row["r"] == str(both.chain)]
    name = f"{world.district.name}."
    said = ["Hello.", "Hello from Prairie High.", "No school."]
    assert words(row["x"]["live"]) == [name, *said, "Press 0 to confirm this message."]
    assert words(row["x"]["machine"]) == [name, *said]
    assert row["x"]["confirm_digit"] == "0"
    assert "c" not in row
    assert "u" not in row
    # A family of that school alone hears its own words from its own number.
    (alone,) = [row for row in calls(message) if row["s"][0][2] == "+16125550341"]
    assert words(alone["x"]["live"])[1] == "Hello from Prairie High."
    assert alone["c"] == "+16125550111"
    assert alone["u"] == f"S-{world.high.pk}"


def test_a_text_goes_with_the_calls_of_the_first_student(world: World) -> None:
    add_phone(world.hodan, Device.WORK, "+16125550398", voice=0, text=63)
    message = launched(modes=("voice", "text"))
    both, _other = rows_of_siblings(world, message)
    (row,) = [row for row in calls(message) if row["r"] == str(both.chain)]
    assert [step[1:3] for step in row["s"]] == [["V", "+16125550311"], ["T", "+16125550398"]]
    assert len(rows_at(message, "+16125550398", "text")) == 2


def test_a_contact_who_is_a_student_too_is_one_call_when_the_phones_are_the_same(
    world: World,
) -> None:
    """Not when the household's number is his own as well: as a contact he is called at home."""
    child = add_student("Child Vang", world.years[world.high.pk], "09")
    relate(child, world.tou)
    recompute_families()
    message = launched([world.high], deliver_to=("contacts", "students"))
    rows = rows_at(message, "+16125550321")
    assert {row.role for row in rows} == {"contact", "student"}
    assert len(steps_of(rows)) == 1
    add_household("Vang", "+16125550321", world.tou, child)
    add_phone(world.tou, Device.WORK, "+16125550329")
    message = launched([world.high], deliver_to=("contacts", "students"))
    assert len(steps_of(rows_at(message, "+16125550329"))) == 2


@pytest.mark.spec("B3-12")
def test_a_result_reaches_the_rows_of_every_student(world: World) -> None:
    """Ruling 6: the step's result updates all of them, and key 0 stops the chain for all: one
    number is attempted of seven. In calls apart Mom confirms about one child and is called on every
    number about the other."""
    message = launched([world.elementary], grades=("03", "05"))
    DialerJob.objects.filter(message=message).update(submitted_at=timezone.now(), state="sealed")
    first, second, third = (rows_at(message, number)[0] for number in MOM)
    read(
        entry(message, first.chain, first.step, status_code=5, confirmed=True),
        *(
            entry(
                message,
                row.chain,
                row.step,
                entry_type="STEP_RESULT",
                disposition="CANCELLED",
                reason="CHAIN_STOPPED",
                attempt_number=None,
            )
            for row in (second, third)
        ),
    )
    for number, outcome in zip(MOM, ("successful", "canceled", "canceled"), strict=True):
        rows = rows_at(message, number)
        assert [row.student for row in rows] == [world.son, world.daughter]
        assert {(row.state, row.outcome) for row in rows} == {("done", outcome)}
    figures = count(message.pk)
    assert (figures.total_voice, figures.total_voice_attempted) == (7, 1)
    assert (figures.total_recipients, figures.contacted) == (2, 1)

    VoiceSettings.objects.update(bundle_messages=False)
    apart = launched([world.elementary], grades=("03", "05"))
    DialerJob.objects.filter(message=apart).update(submitted_at=timezone.now(), state="sealed")
    about_one, about_other = zip(*(rows_at(apart, number) for number in MOM), strict=True)
    first = about_one[0]
    read(
        entry(apart, first.chain, first.step, status_code=5, confirmed=True),
        *(entry(apart, row.chain, row.step, status_code=5) for row in about_other),
    )
    figures = count(apart.pk)
    assert (figures.total_voice, figures.total_voice_attempted) == (7, 3)
    assert (figures.total_recipients, figures.contacted) == (2, 1)


def test_a_relationship_that_ended_takes_its_student_out_of_the_call(world: World) -> None:
    """Before the hand-over (ruling 22): the call goes on for the other child."""
    message = launched([world.elementary], grades=("03", "05"))
    Relationship.objects.filter(student=world.son, guardian=world.mom).delete()
    batch = DialerBatch.objects.get(job__message=message, number=0)
    now = timezone.now()
    span = (batch.first_chain or 0, batch.last_chain or 0)
    assert ledger.recheck(message.pk, span, lifecycle.today(now), now) == 4  # home and three phones
    content, made, steps = chains.content_of(message, batch)
    assert json.loads(content) == json.loads(batch.content)
    assert (made, steps) == (3, 7)
    Relationship.objects.filter(guardian=world.mom).delete()
    ledger.recheck(message.pk, span, lifecycle.today(now), now)
    content, made, steps = chains.content_of(message, batch)
    assert (made, steps) == (2, 4)


# ------------------------------------------------------------------- by number: names are said


def two_teachers(world: World) -> list[Person]:
    """Staff who share one number; the second has one of his own, dialed before it."""
    first = add_staff("Ann Shared", world.high, "Teacher")
    second = add_staff("Bob Shared", world.high, "Teacher")
    for person in (first, second):
        add_phone(person, Device.WORK, "+16125550451")
    add_phone(second, Device.CELL, "+16125550452")
    return [first, second]


def staff_message(**content: Any) -> Message:
    return launched(deliver_to=("staff",), names_recipients=True, **content)


def test_a_number_is_called_once_and_belongs_to_one_person(world: World) -> None:
    """Whatever the option says (X-36). The call is the first row's recipient's; both are in the
    report, the second marked."""
    first, second = two_teachers(world)
    for option in (False, True):
        VoiceSettings.objects.update(bundle_messages=option)
        message = staff_message()
        rows = rows_at(message, "+16125550451")
        assert [(row.recipient, row.duplicate) for row in rows] == [(first, False), (second, True)]
        assert len(steps_of(rows)) == 1
        chain = CallChain.objects.get(message=message, number=rows[0].chain)
        assert (chain.recipient_id, chain.household_id, chain.steps) == (first.pk, None, 1)
        dialed = [number for row in numbers(message) for number in row]
        assert len(dialed) == len(set(dialed))
        assert ["+16125550452"] in numbers(message)


def test_nobodys_key_0_takes_a_shared_number_from_another(world: World) -> None:
    """Bob confirms on his cell: the number that he shares with Ann is a chain of its own."""
    two_teachers(world)
    message = staff_message()
    (own,) = rows_at(message, "+16125550452")
    assert own.chain not in {row.chain for row in rows_at(message, "+16125550451")}


def test_another_extension_is_another_phone(world: World) -> None:
    one = add_staff("Ann Office", world.high, "Teacher")
    two = add_staff("Bob Office", world.high, "Teacher")
    add_phone(one, Device.WORK, "+16125550461", extension="11")
    add_phone(two, Device.WORK, "+16125550461", extension="12")
    message = staff_message()
    assert len(steps_of(rows_at(message, "+16125550461"))) == 2


def test_contacts_are_called_once_for_all_students_at_every_number(world: World) -> None:
    """As an account message to families: Mom and Dad share the household's phone and a cell."""
    for parent in (world.mom, world.dad):
        add_phone(parent, Device.PAGER, "+16125550397", text=63)
    message = launched(names_recipients=True, modes=("voice", "text"))
    dialed = [tuple(step[1:4]) for row in calls(message) for step in row["s"]]
    assert len(dialed) == len(set(dialed))
    for mode in ("voice", "text"):
        rows = rows_at(message, "+16125550397", mode)
        assert len(rows) == 4
        assert len(steps_of(rows)) == 1
        assert [row.duplicate for row in rows] == [False, True, True, True]
    assert numbers(message).count(HOME) == 1


# --------------------------------------------------------- slices, two lines, and repetition


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    monkeypatch.setattr("messenger.audience.resolve.SLICE_STUDENTS", 1)
    monkeypatch.setattr(expansion, "ENOUGH_FOR_TWO", 2)


KINDS = [{}, {"names_recipients": True}]
SHARED = "+16515550199"


def add_shared_phones(world: World) -> None:
    """One number in four families, called and texted, and one of two of the staff."""
    two_teachers(world)
    for person in (world.mom, world.hodan, world.stayed, world.aunt):
        add_phone(person, Device.PAGER, SHARED, text=63)


def started(**content: Any) -> Message:
    message = confirmed(modes=("voice", "text"), deliver_to=("contacts", "staff"), **content)
    lifecycle.launch(message.pk)
    assert LaunchSlice.objects.filter(message=message).count() > 4
    return message


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("content", KINDS, ids=["recipient", "number"])
@pytest.mark.parametrize("seen", ["all", "none"])
def test_two_lines_make_the_chains_that_one_makes(
    small_slices: None, monkeypatch: pytest.MonkeyPatch, seen: str, content: dict[str, Any]
) -> None:
    verified_account(bundle_messages=True)
    add_shared_phones(morning_world())
    alone, together = started(**content), started(**content)
    expand_all(alone)
    if seen == "none":  # every slice is compared at its commit alone
        monkeypatch.setattr(ledger, "_first_unseen", lambda _slice: 0)
    assert not expansion.expand(together.pk, 60.0)
    assert values_of(together, *EVERYTHING) == values_of(alone, *EVERYTHING)
    assert calls(together) == calls(alone)
    shared = rows_at(together, SHARED)
    assert len({row.id // ROWS_PER_SLICE for row in shared}) > 2, "the number is in several slices"
    assert len(steps_of(shared)) == (1 if content else 4)
    assert len(steps_of(rows_at(together, SHARED, "text"))) == 1
    if content:
        dialed = [tuple(step[1:4]) for row in calls(together) for step in row["s"]]
        assert len(dialed) == len(set(dialed))
        teachers = rows_at(together, "+16125550451")
        assert len({row.id // ROWS_PER_SLICE for row in teachers}) == 2
        assert len(steps_of(teachers)) == 1


@pytest.mark.parametrize("deliver_to", [("contacts",), ("students", "staff")])
def test_the_check_page_counts_the_calls_of_both_ways(
    world: World, deliver_to: tuple[str, ...]
) -> None:
    counted = preview(Composition.from_draft(draft(deliver_to=deliver_to)))
    together = calls(launched(deliver_to=deliver_to))
    VoiceSettings.objects.update(bundle_messages=False)
    apart = calls(launched(deliver_to=deliver_to))
    assert (counted.joined_chains, counted.chains) == (len(together), len(apart))
    assert counted.joined_dials == sum(len(row["s"]) for row in together)
    assert counted.dials == sum(len(row["s"]) for row in apart)


@pytest.mark.parametrize("content", KINDS, ids=["recipient", "number"])
def test_a_slice_that_was_cut_off_is_made_again_the_same(
    world: World, small_slices: None, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    """A crash at any point of a slice leaves nothing of it; a repeat makes the same chains."""
    add_shared_phones(world)
    whole, cut = started(**content), started(**content)
    expand_all(whole)
    freeze_slice = chains.freeze_slice
    died: set[int] = set()

    def die_once(*args: Any) -> int:
        made = freeze_slice(*args)
        if args[2].number not in died:
            died.add(args[2].number)
            raise RuntimeError("the process ends here")
        return made

    monkeypatch.setattr(chains, "freeze_slice", die_once)
    for _slice in range(cut.slices.count()):
        with pytest.raises(RuntimeError):
            lifecycle.expand_next(cut.pk)
        lifecycle.expand_next(cut.pk)
    assert not lifecycle.expand_next(cut.pk)
    assert len(died) == cut.slices.count()
    assert values_of(cut, *EVERYTHING) == values_of(whole, *EVERYTHING)
    assert calls(cut) == calls(whole)


def expand_until(message: Message, number: str, mode: str) -> Delivery:
    """Expands slice by slice until a number has its first row."""
    while not rows_at(message, number, mode):
        assert lifecycle.expand_next(message.pk)
    return rows_at(message, number, mode)[0]


@pytest.mark.parametrize("mode", ["voice", "text"])
def test_a_row_that_comes_after_its_steps_end_ends_the_same(
    world: World, small_slices: None, mode: str
) -> None:
    """Key 0 stopped the chain before the number was called, and before the next slice was made."""
    add_shared_phones(world)
    message = started(names_recipients=True)
    first = expand_until(message, SHARED, mode)
    DialerJob.objects.filter(message=message).update(submitted_at=timezone.now())
    stopped = {"disposition": "CANCELLED", "reason": "CHAIN_STOPPED", "attempt_number": None}
    read(entry(message, first.chain, first.step, entry_type="STEP_RESULT", **stopped))
    expand_all(message)
    now = timezone.now()
    assert {row.state for row in rows_at(message, SHARED, mode)} == {"done", "pending"}
    assert ledger.settle(message.pk, now) > 0
    assert {(row.outcome, row.reason) for row in rows_at(message, SHARED, mode)} == {
        ("canceled", "CHAIN_STOPPED")
    }
    assert ledger.settle(message.pk, now) == 0


@pytest.mark.parametrize("mode", ["voice", "text"])
def test_a_row_does_not_hang_on_a_step_that_was_taken_back(
    world: World, small_slices: None, mode: str
) -> None:
    """The first slice's relationship ended before its batch left, and its step with it: the next
    person of the number is called in a step of their own."""
    add_shared_phones(world)
    message = started(names_recipients=True)
    first = expand_until(message, SHARED, mode)
    Relationship.objects.filter(guardian=first.recipient).delete()
    now = timezone.now()
    base = first.id // ROWS_PER_SLICE * ROWS_PER_SLICE
    span = (base, base + ROWS_PER_SLICE)
    assert ledger.recheck(message.pk, span, lifecycle.today(now), now)
    expand_all(message)
    kept = [row for row in rows_at(message, SHARED, mode) if row.state != "done"]
    assert kept
    assert len(steps_of(kept)) == 1
    assert steps_of(kept).isdisjoint(steps_of([first]))


@pytest.mark.parametrize("content", [*KINDS, {"simultaneous": True}])
def test_a_batch_that_is_frozen_anew_says_the_same(
    world: World, small_slices: None, content: dict[str, Any]
) -> None:
    """Nothing changed meanwhile: the same content, byte by byte, for every way of bundling."""
    add_shared_phones(world)
    Prompt.objects.create(
        kind="greeting", words="Hello from Prairie High.", school=world.high, language="en-US"
    )
    message = started(**content)
    expand_all(message)
    batches = DialerBatch.objects.filter(job__message=message, total_chains=None)
    assert batches.count() > 4
    for batch in batches:
        assert chains.content_of(message, batch) == (batch.content, batch.chains, batch.steps)


# -------------------------------------------------------------------------------- their order


def test_all_numbers_at_once_is_a_flag_of_the_message(world: World) -> None:
    """E-2: one after the other unless the message says otherwise, emergencies too."""
    for tool in ("general", "emergency"):
        message = launched([world.elementary], grades=("05",), tool=tool)
        assert {row.get("o") for row in calls(message)} == {None}
        message = launched([world.elementary], grades=("05",), tool=tool, simultaneous=True)
        assert {row.get("o") for row in calls(message)} == {"P"}
