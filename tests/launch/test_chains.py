"""Who is called about whom, in which order, on which chain (A3-02 to A3-06, ruling 6, ruling 9)."""

import json
from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Q

from messenger import ledger
from messenger.models import (
    ContactPoint,
    ContactPreference,
    Delivery,
    DoNotContact,
    Enrollment,
    HouseholdMembership,
    LaunchSlice,
    Message,
    Relationship,
)
from tests.launch.sending import launched, verified_account
from tests.world import ZONE_BEHIND, Device, World, add_phone, build_world, local_today
from voice.chains import next_numbers
from voice.models import CallChain, DialerBatch, DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


def chains(message: Message) -> list[tuple[str, str, list[str]]]:
    """(whose, about whom, numbers in order) of every chain, from what was frozen for the dialer."""
    content = [
        row
        for batch in DialerBatch.objects.filter(job__message=message).order_by("number")
        for row in json.loads(batch.content)
    ]
    found = []
    for row in content:
        chain = CallChain.objects.get(message=message, number=int(row["r"]))
        rows = Delivery.objects.filter(message=message, chain=chain.number)
        owner = "household" if chain.household_id else rows[0].recipient.given_name
        student = rows[0].student.given_name if rows[0].student else ""
        found.append((owner, student, [step[2] for step in row["s"]]))
    return found


def only(message: Message, students: Iterable[str]) -> list[tuple[str, str, list[str]]]:
    return [chain for chain in chains(message) if chain[1] in students]


HOME = ["+16125550225"]
MOM = ["+16125557735", "+16125553218", "+16125554454"]  # cell, work, other
DAD = ["+16125557736", "+16125553219", "+16125554455"]


@pytest.mark.spec("A3-04", "A3-01")
def test_two_students_make_the_six_chains_of_the_source(world: World) -> None:
    message = launched([world.elementary], grades=("03", "05"))
    assert sorted(chains(message)) == sorted(
        [
            ("household", "Jake", HOME),
            ("household", "Brenna", HOME),
            ("Jeremy", "Jake", DAD),
            ("Jeremy", "Brenna", DAD),
            ("Alisa", "Jake", MOM),
            ("Alisa", "Brenna", MOM),
        ]
    )


@pytest.mark.spec("A3-05")
def test_one_student_makes_three_chains(world: World) -> None:
    message = launched([world.elementary], grades=("05",))
    assert sorted(chains(message)) == sorted(
        [("household", "Brenna", HOME), ("Jeremy", "Brenna", DAD), ("Alisa", "Brenna", MOM)]
    )


@pytest.mark.spec("A3-02", "A4-07")
def test_without_the_messenger_mark_one_chain_goes_and_the_other_stays(world: World) -> None:
    Relationship.objects.filter(student=world.son, guardian=world.dad).update(messenger=False)
    message = launched([world.elementary], grades=("03", "05"))
    whose = [(owner, student) for owner, student, _numbers in chains(message)]
    assert ("Jeremy", "Jake") not in whose
    assert ("Jeremy", "Brenna") in whose
    assert ("household", "Jake") in whose  # Mom is still a messenger contact there


def test_a_household_phone_is_one_step_for_both_parents(world: World) -> None:
    message = launched([world.elementary], grades=("05",))
    rows = Delivery.objects.filter(message=message, device=Device.HOUSEHOLD)
    assert {row.recipient.given_name for row in rows} == {"Alisa", "Jeremy"}
    assert len({(row.chain, row.step) for row in rows}) == 1
    assert sorted(row.duplicate for row in rows) == [False, True]


def test_a_household_serves_every_student_of_its_members(world: World) -> None:
    """Ruling 3: the student need not live there."""
    message = launched([world.middle], grades=("07",))
    owners = [(owner, numbers) for owner, _student, numbers in only(message, ["Minh"])]
    assert ("household", ["+16125550301"]) in owners
    assert ("household", ["+16125550302"]) in owners


def test_the_order_of_devices_is_the_district_s(world: World) -> None:
    world.district.device_order = ["other", "cell", "work"]
    world.district.save()
    message = launched([world.elementary], grades=("05",))
    assert ("Alisa", "Brenna", [MOM[2], MOM[0], MOM[1]]) in chains(message)


@pytest.mark.spec("A4-03", "A4-05")
def test_who_has_no_marked_number_gets_one_row_without_device(world: World) -> None:
    message = launched([world.middle], grades=("06",))  # Elsa's grandmother has no phone at all
    row = Delivery.objects.get(message=message, student=world.elsa)
    assert (row.mode, row.device, row.state, row.outcome) == ("none", "none", "done", "no_device")
    assert row.recipient == world.grandmother


def test_an_invalid_number_is_kept_in_the_log_and_never_dialed(world: World) -> None:
    message = launched([world.middle], grades=("08",))  # Ben's mother has a seven-digit number
    row = Delivery.objects.get(message=message, student=world.ben)
    assert (row.state, row.outcome, row.code, row.chain) == ("done", "failed", -2, None)
    assert not only(message, ["Ben"])


def test_do_not_contact_is_never_dialed(world: World) -> None:
    DoNotContact.objects.create(value="+16125550225", mode="voice", reason="asked by phone")
    message = launched([world.elementary], grades=("05",))
    assert HOME not in [numbers for _owner, _student, numbers in chains(message)]
    row = Delivery.objects.filter(message=message, device=Device.HOUSEHOLD).first()
    assert row is not None
    assert (row.outcome, row.code) == ("failed", -3)


def test_a_number_on_two_devices_is_one_row_named_by_the_first(world: World) -> None:
    add_phone(world.hodan, Device.WORK, "+16125550311")
    message = launched([world.high], grades=("11",))
    rows = Delivery.objects.filter(message=message, address="+16125550311")
    assert [row.device for row in rows] == ["cell"]


@pytest.mark.spec("A3-06")
def test_numbers_without_the_reason_s_mark_are_not_in_the_chain(world: World) -> None:
    add_phone(world.hodan, Device.WORK, "+16125550399", voice=1)  # Emergency alone
    message = launched([world.high], grades=("11",))
    assert only(message, ["Amina"]) == [("هودان", "Amina", ["+16125550311"])]


def test_an_extension_and_another_zone_travel_with_the_step(world: World) -> None:
    world.high.time_zone = ZONE_BEHIND
    world.high.save()
    message = launched([world.high], grades=("09",))  # Zoë's mother has a work extension
    batch = DialerBatch.objects.get(job__message=message, number=0)
    (chain,) = [c for c in json.loads(batch.content) if "+16125550341" in str(c)]
    assert [step[1:] for step in chain["s"]] == [
        ["V", "+16125550341", None, ZONE_BEHIND],
        ["V", "+16125550342", "204", ZONE_BEHIND],
    ]


def test_a_text_of_one_person_rides_in_the_chain_after_the_calls(world: World) -> None:
    add_phone(world.hodan, Device.WORK, "+16125550398", voice=0, text=63)
    message = launched([world.high], grades=("11",), modes=("voice", "text"))
    batch = DialerBatch.objects.get(job__message=message, number=0)
    (chain,) = [c for c in json.loads(batch.content) if "+16125550311" in str(c)]
    assert [step[1:3] for step in chain["s"]] == [["V", "+16125550311"], ["T", "+16125550398"]]


def test_a_text_for_several_people_goes_out_once_on_a_chain_of_its_own(world: World) -> None:
    """Ruling 9: nobody's key 0 takes it from the other."""
    add_phone(world.mom, Device.PAGER, "+16125550397", voice=0, text=63)
    add_phone(world.dad, Device.PAGER, "+16125550397", voice=0, text=63)
    message = launched([world.elementary], grades=("03", "05"), modes=("voice", "text"))
    rows = Delivery.objects.filter(message=message, mode="text")
    assert rows.count() == 4  # two parents, two students
    assert len({(row.chain, row.step) for row in rows}) == 1
    chain = CallChain.objects.get(message=message, number=rows[0].chain)
    assert (chain.steps, chain.recipient_id, chain.household_id) == (1, None, None)
    assert [row.duplicate for row in rows.order_by("id")] == [False, True, True, True]


def test_staff_and_students_are_called_on_their_own_numbers(world: World) -> None:
    message = launched([world.high], deliver_to=("students", "staff"))
    who = {(row.role, str(row.recipient)) for row in Delivery.objects.filter(message=message)}
    assert ("student", str(world.tou)) in who
    assert ("staff", str(world.teacher_parent)) in who
    assert not any(role == "contact" for role, _name in who)


def test_a_message_to_staff_alone_plans_no_students(world: World) -> None:
    message = launched([world.high], deliver_to=("staff",))
    assert [part.kind for part in LaunchSlice.objects.filter(message=message)] == ["staff"]


def test_the_first_batch_is_0_wherever_the_first_chain_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SubmitJob carries batch 0: without it a message whose first families have no phone would wait
    for ever."""
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    for phone in ContactPoint.objects.filter(
        Q(person__in=[world.mom, world.dad]) | Q(household=world.household)
    ):
        phone.delete()
    message = launched()
    first = LaunchSlice.objects.get(message=message, number=0)
    assert first.deliveries > 0
    assert first.chains == 0
    batches = DialerBatch.objects.filter(job__message=message, total_chains=None)
    numbers = list(batches.order_by("number").values_list("number", flat=True))
    assert numbers[0] == 0
    assert len(numbers) == len(set(numbers)) > 1
    assert (
        sum(batch.chains for batch in batches) == CallChain.objects.filter(message=message).count()
    )
    for chain in CallChain.objects.filter(message=message):
        batch = batches.get(number=chain.batch)
        assert (batch.first_chain or 0) <= chain.number <= (batch.last_chain or 0)


def test_more_batches_than_a_slice_has_numbers_get_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dialer that takes few chains a request, or long words of their own, make small batches."""
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 4, 6])
    monkeypatch.setattr("messenger.audience.resolve.SLICE_STUDENTS", 2)
    monkeypatch.setattr("voice.chains.PARTS_PER_SLICE", 2)
    VoiceSettings.objects.update(max_chains_per_batch=1)
    message = launched()
    job = DialerJob.objects.get(message=message)
    every_chain = set(CallChain.objects.filter(message=message).values_list("number", flat=True))
    batches = job.batches.exclude(chains=0)
    assert max(batches.values_list("number", flat=True)) > 1_000_000
    assert {batch.first_chain for batch in batches} == every_chain
    for chain in CallChain.objects.filter(message=message):
        assert batches.get(number=chain.batch).first_chain == chain.number
    # What a refused one is split into finds numbers too, in its slice and beyond.
    for batch in list(batches.order_by("number")):
        for number in next_numbers(job, batch.number, 2):
            assert 0 < number < 2**31
            job.batches.create(number=number, content="[]")


@pytest.mark.spec("A4-09")
def test_staff_need_a_number_with_the_mark(world: World) -> None:
    message = launched([world.high, world.middle, world.elementary], deliver_to=("staff",))
    rows = Delivery.objects.filter(message=message)
    by_name = {str(row.recipient): row.outcome for row in rows}
    assert by_name[str(world.no_phone_teacher)] == "no_device"
    assert by_name[str(world.principal)] == ""
    assert str(world.former_aide) not in by_name


def test_no_school_is_nobody(world: World) -> None:
    """The empty filter is nobody, never everybody (test_hinkley_empty_filter_is_nobody)."""
    from messenger.lifecycle import CannotSend
    from tests.launch.sending import confirmed

    with pytest.raises(CannotSend, match="No school means nobody"):
        confirmed([])


def test_families_stay_in_one_slice_and_ids_never_overlap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    monkeypatch.setattr("messenger.audience.resolve.SLICE_STUDENTS", 2)
    message = launched()
    slices = list(LaunchSlice.objects.filter(message=message).order_by("number"))
    assert len(slices) > 3
    students = [pk for part in slices for pk in part.person_ids]
    assert len(students) == len(set(students))
    siblings = {world.son.pk, world.daughter.pk}
    together = {part.number for part in slices if siblings & set(part.person_ids)}
    assert len(together) == 1
    rows = Delivery.objects.filter(message=message)
    assert rows.count() == len({row.id for row in rows})
    # First = lowest id of (mode, value), also across slices (ruling 8).
    for address in {row.address for row in rows if row.mode == "voice"}:
        marks = [row.duplicate for row in rows.filter(address=address, mode="voice").order_by("id")]
        assert marks == [False] + [True] * (len(marks) - 1)


@pytest.mark.parametrize("column", ["recipient_id", "student_id", "school_id"])
def test_rows_of_nobody_are_refused(world: World, column: str) -> None:
    """The hot tables have no checked foreign keys: one look at each slice stands for them."""
    message = launched()
    first = LaunchSlice.objects.get(message=message, number=0)
    with connection.cursor() as cursor:
        ledger._refuse_strangers(cursor, first)
        cursor.execute(
            f"UPDATE messenger_delivery SET {column} = 999999999 WHERE (message_id, id) IN"
            " (SELECT message_id, min(id) FROM messenger_delivery GROUP BY message_id)"
        )
        with pytest.raises(ledger.LedgerError, match="1 people or schools of the slice"):
            ledger._refuse_strangers(cursor, first)


def test_a_second_expansion_changes_nothing(world: World) -> None:
    message = launched()
    before = list(Delivery.objects.filter(message=message).order_by("id").values())
    from tests.launch.sending import expand_all

    expand_all(message)
    assert list(Delivery.objects.filter(message=message).order_by("id").values()) == before


def test_ended_enrollments_are_left_out_unless_wanted(world: World) -> None:
    Enrollment.objects.filter(person=world.daughter).update(active=False)
    message = launched([world.elementary], grades=("05",))
    assert not Delivery.objects.filter(message=message, student=world.daughter).exists()


@pytest.mark.spec("A3-03")
def test_household_preferences_are_one_set_for_all_its_members(world: World) -> None:
    """Kept once: changed for Mom, changed for Dad; who has left is not reached by it."""
    marks = ContactPreference.objects.filter(contact_point__household=world.household, mode="voice")
    assert marks.count() == 1
    marks.update(reasons=0)
    message = launched([world.elementary], grades=("05",))
    assert not Delivery.objects.filter(message=message, device=Device.HOUSEHOLD).exists()
    marks.update(reasons=63)
    HouseholdMembership.objects.filter(household=world.household, person=world.dad).update(
        end_date=local_today() - timedelta(days=1)
    )
    message = launched([world.elementary], grades=("05",))
    (row,) = Delivery.objects.filter(message=message, device=Device.HOUSEHOLD)
    assert row.recipient == world.mom
