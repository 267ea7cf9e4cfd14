"""Households and contact points: who shares a phone, found again by members (ruling 3, A7-04)."""

from pathlib import Path

import pytest

from messenger.models import (
    ContactPoint,
    ContactPreference,
    Device,
    District,
    Household,
    HouseholdMembership,
    Mode,
    Relationship,
    TextConsent,
)
from messenger.models.contact import ALL_BUT_TEACHER
from tests.roster.bundles import Bundle, nothing_changed, small_roster, user

pytestmark = pytest.mark.django_db


def homes() -> dict[str, set[str]]:
    """The number of each active household and its active members."""
    return {
        household.contact_points.get().value: set(
            household.memberships.filter(active=True).values_list("person__sourced_id", flat=True)
        )
        for household in Household.objects.filter(active=True)
    }


def own(sourced_id: str) -> dict[str, str]:
    """A person's own active numbers by device."""
    points = ContactPoint.objects.filter(person__sourced_id=sourced_id, active=True)
    return dict(points.values_list("device", "value"))


def family(**phones: str) -> Bundle:
    """Ann and Bob with these guardians and their `phone`."""
    bundle = small_roster()
    for parent in ("mom", "dad"):
        bundle.without(parent)
    bundle.files["users"] += [user(name, "parent", phone=phone) for name, phone in phones.items()]
    for child in ("ann", "bob"):
        bundle.user(child)["agentSourcedIds"] = ",".join(phones)
    return bundle


def test_guardians_of_a_student_who_share_a_phone_are_a_household(tmp_path: Path) -> None:
    family(mom="612-555-0100", dad="(612) 555-0100").load(tmp_path / "r")
    assert homes() == {"+16125550100": {"mom", "dad", "ann", "bob"}}
    assert own("mom") == own("dad") == {}
    assert Household.objects.get().name == "Mom & Dad Vang"


def test_a_phone_of_ones_own_is_other(tmp_path: Path) -> None:
    family(mom="612-555-0100", dad="612-555-0199").load(tmp_path / "r")
    assert homes() == {}
    assert own("mom") == {Device.OTHER: "+16125550100"}


def test_strangers_who_share_a_phone_are_no_household(tmp_path: Path) -> None:
    bundle = family(mom="612-555-0100", dad="612-555-0100")
    bundle.user("ann")["agentSourcedIds"] = "mom"
    bundle.user("bob")["agentSourcedIds"] = "dad"
    bundle.load(tmp_path / "r")
    assert homes() == {}
    assert own("mom") == own("dad") == {Device.OTHER: "+16125550100"}


def test_a_student_may_belong_to_two_households(tmp_path: Path) -> None:
    family(
        mom="612-555-0100", stepdad="612-555-0100", dad="612-555-0200", stepmom="612-555-0200"
    ).load(tmp_path / "r")
    assert homes() == {
        "+16125550100": {"mom", "stepdad", "ann", "bob"},
        "+16125550200": {"dad", "stepmom", "ann", "bob"},
    }


def test_only_shared_students_are_members(tmp_path: Path) -> None:
    bundle = family(mom="612-555-0100", dad="612-555-0100")
    bundle.user("bob")["agentSourcedIds"] = "mom"
    bundle.load(tmp_path / "r")
    assert homes() == {"+16125550100": {"mom", "dad", "ann"}}


def test_one_number_on_two_ends_of_town_is_two_households(tmp_path: Path) -> None:
    bundle = family(a="612-555-0100", b="612-555-0100", c="612-555-0100", d="612-555-0100")
    bundle.user("ann")["agentSourcedIds"] = "a,b"
    bundle.user("bob")["agentSourcedIds"] = "c,d"
    bundle.load(tmp_path / "r")
    members = [
        set(h.memberships.values_list("person__sourced_id", flat=True))
        for h in Household.objects.all()
    ]
    assert sorted(map(sorted, members)) == [["a", "ann", "b"], ["bob", "c", "d"]]


def test_a_students_row_with_the_household_phone_is_no_second_number(tmp_path: Path) -> None:
    bundle = family(mom="612-555-0100", dad="612-555-0100")
    bundle.user("ann")["phone"] = "6125550100"
    bundle.user("bob")["phone"] = "612-555-0111"
    bundle.load(tmp_path / "r")
    assert own("ann") == {}
    assert own("bob") == {Device.OTHER: "+16125550111"}


def test_a_column_for_the_household_phone_needs_nobody_to_share_it(tmp_path: Path) -> None:
    bundle = family(mom="612-555-0101")
    bundle.user("mom")["metadata.homePhone"] = "612-555-0100"
    bundle.load(tmp_path / "r")
    assert homes() == {"+16125550100": {"mom", "ann", "bob"}}
    assert own("mom") == {Device.OTHER: "+16125550101"}


def test_words_in_a_phone_column_make_no_household(tmp_path: Path) -> None:
    family(mom="unlisted", dad="unlisted").load(tmp_path / "r")
    assert homes() == {}


def test_a_changed_number_keeps_household_and_preferences(tmp_path: Path) -> None:
    family(mom="612-555-0100", dad="612-555-0100").load(tmp_path / "r")
    household = Household.objects.get()
    point = household.contact_points.get()
    point.preferences.update(reasons=1)
    family(mom="612-555-0777", dad="612-555-0777").load(tmp_path / "r")
    assert homes() == {"+16125550777": {"mom", "dad", "ann", "bob"}}
    assert Household.objects.get() == household
    assert household.contact_points.get().pk == point.pk
    assert point.preferences.get().reasons == 1


def test_two_families_that_swap_numbers_keep_their_households(tmp_path: Path) -> None:
    first = family(a="612-555-0100", b="612-555-0100", c="612-555-0200", d="612-555-0200")
    first.load(tmp_path / "r")
    of_a = HouseholdMembership.objects.get(person__sourced_id="a").household_id
    family(a="612-555-0200", b="612-555-0200", c="612-555-0100", d="612-555-0100").load(
        tmp_path / "r"
    )
    assert HouseholdMembership.objects.get(person__sourced_id="a").household_id == of_a
    assert ContactPoint.objects.get(household_id=of_a).value == "+16125550200"


def test_a_member_who_leaves_and_one_who_comes(tmp_path: Path) -> None:
    family(mom="612-555-0100", dad="612-555-0100").load(tmp_path / "r")
    household = Household.objects.get()
    family(mom="612-555-0100", gran="612-555-0100").load(tmp_path / "r")
    assert Household.objects.get() == household
    assert homes() == {"+16125550100": {"mom", "gran", "ann", "bob"}}
    household.refresh_from_db()
    assert household.name == "Mom & Gran Vang"


def test_a_household_that_breaks_up_comes_back_as_itself(tmp_path: Path) -> None:
    together = family(mom="612-555-0100", dad="612-555-0100")
    together.load(tmp_path / "r")
    point = ContactPoint.objects.get(device="household")
    family(mom="612-555-0100", dad="612-555-0199").load(tmp_path / "r")
    assert homes() == {}
    assert own("mom") == {Device.OTHER: "+16125550100"}
    together.load(tmp_path / "r")
    assert homes() == {"+16125550100": {"mom", "dad", "ann", "bob"}}
    assert own("mom") == {}
    point.refresh_from_db()
    assert point.active


def test_a_household_made_by_hand_keeps_its_number(tmp_path: Path) -> None:
    family(mom="612-555-0100", dad="612-555-0100").load(tmp_path / "r")
    ContactPoint.objects.update(source="person", value="+16125550999")
    assert nothing_changed(family(mom="612-555-0777", dad="612-555-0777").load(tmp_path / "r"))
    assert ContactPoint.objects.get(device="household").value == "+16125550999"


def test_what_a_person_entered_here_wins_over_the_roster(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    cell = ContactPoint.objects.get(person__sourced_id="mom", device="cell")
    ContactPoint.objects.filter(pk=cell.pk).update(source="person", value="+16125550888")
    bundle = small_roster()
    bundle.user("mom")["sms"] = "612-555-0444"
    assert nothing_changed(bundle.load(tmp_path / "r"))
    bundle.user("mom")["sms"] = ""
    assert nothing_changed(bundle.load(tmp_path / "r"))


# -- preferences -----------------------------------------------------------------------------
@pytest.mark.spec("A7-04")
def test_the_sample_family_arrives_with_the_marks_of_the_sample(tmp_path: Path) -> None:
    """Voice on every device for every reason but Teacher; a district without email reasons has the
    email rows off."""
    district = District.current()
    district.roster_email_reasons = 0
    district.roster_metadata_columns = {"other": "metadata.otherPhone"}
    district.save()
    bundle = small_roster()
    bundle.metadata = ("metadata.workPhone", "metadata.otherPhone")
    numbers = {
        "alisa": {"sms": "(612) 555-7735", "metadata.otherPhone": "(612) 555-4454",
                  "metadata.workPhone": "(612) 555-3219"},
        "jeremy": {"sms": "(612) 555-7736"},
    }  # fmt: skip
    bundle.files["users"] = [
        user("jake", "student", "s1", agentSourcedIds="alisa,jeremy", familyName="Family"),
        user("brenna", "student", "s1", agentSourcedIds="alisa,jeremy", familyName="Family"),
        *(
            user(name, "parent", familyName="Family", phone="(612)555-0225",
                 email=f"{name}@family.example", **own)
            for name, own in numbers.items()
        ),
    ]  # fmt: skip
    bundle.files["enrollments"] = []
    bundle.load(tmp_path / "r")
    household = Household.objects.get()
    assert household.name == "Alisa & Jeremy Family"
    alisa = ContactPoint.objects.filter(person__sourced_id="alisa") | household.contact_points.all()
    marks = {
        (point.device, point.value): dict(point.preferences.values_list("mode", "reasons"))
        for point in alisa
    }
    voice = {Mode.VOICE: 63}
    assert marks == {
        ("household", "+16125550225"): voice,
        ("cell", "+16125557735"): voice,
        ("other", "+16125554454"): voice,
        ("work", "+16125553219"): voice,
        ("email", "alisa@family.example"): {},
    }


def test_the_districts_defaults_make_the_first_preferences(tmp_path: Path) -> None:
    district = District.current()
    district.roster_voice_reasons = 1
    district.roster_email_reasons = 2
    district.roster_text_reasons = 4
    district.roster_sms_device = "other"
    district.roster_messenger_mark = False
    district.save()
    bundle = small_roster()
    bundle.user("mom")["metadata.workPhone"] = "612-555-0150"
    bundle.user("tim")["phone"] = "612-555-0160"
    run = bundle.load(tmp_path / "r")
    made = ContactPreference.objects.values_list("contact_point__device", "mode", "reasons")
    assert set(made) == {
        ("household", "voice", 1),
        ("other", "voice", 1),
        ("work", "voice", 1),
        ("email", "email", 2),
    }
    assert not Relationship.objects.filter(messenger=True).exists()
    assert run.defaults_used["sms_device"] == "other"
    # Where two columns mean one device, sms goes before phone.
    assert own("tim") == {Device.OTHER: "+16125550103"}


def test_texts_never_by_themselves(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    assert not ContactPreference.objects.filter(mode=Mode.TEXT).exists()
    assert set(ContactPreference.objects.values_list("reasons", flat=True)) == {ALL_BUT_TEACHER}


def test_an_import_never_changes_what_a_person_has_decided(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    ContactPreference.objects.update(reasons=5)
    decided = list(ContactPreference.objects.values_list("pk", flat=True))
    ContactPoint.objects.update(private=True)
    Relationship.objects.update(messenger=False, label="Mother", is_guardian=False, private=True)
    TextConsent.objects.create(
        number="+16125550101", state="opted_out", changed_at="2026-11-01T12:00:00Z"
    )
    bundle = small_roster()
    for row in bundle.files["users"]:
        row["sms"] = row.get("sms", "").replace("01", "07")
        row["metadata.private"] = "false"
    bundle.load(tmp_path / "r")
    small_roster().without("mom").load(tmp_path / "r")
    bundle.load(tmp_path / "r")
    assert own("mom")["cell"] == "+16125550707"
    left = ContactPreference.objects.filter(pk__in=decided)
    assert [mark.reasons for mark in left] == [5] * len(decided)
    points = ContactPoint.objects.filter(preferences__in=decided)
    assert {point.private for point in points} == {True}
    kept = set(Relationship.objects.values_list("messenger", "label", "is_guardian", "private"))
    assert kept == {(False, "Mother", False, True)}
    assert TextConsent.objects.get().state == "opted_out"
