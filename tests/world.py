"""One small world for all tests: a district, three schools, families with every awkward case.

`build_world()` writes it through the ORM and returns the people by name. The small builders below
it (`add_person`, `add_phone`, `relate` ...) are for tests that need one case more. Numbers are
fictional (exchange 555). Users, messages and voice settings never live here.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from messenger.models import (
    Calendar,
    ContactPoint,
    ContactPreference,
    Device,
    District,
    Enrollment,
    Household,
    HouseholdMembership,
    Mode,
    Person,
    Relationship,
    School,
    StaffAssignment,
    TextConsent,
)
from messenger.models.contact import ALL_BUT_TEACHER
from messenger.roster.families import recompute_families


def zone_of_the_day() -> str:
    """Chicago; in its late evening, when calls may no longer be placed there, further west."""
    hour = timezone.localtime(timezone=ZoneInfo("America/Chicago")).hour
    return "America/Chicago" if hour < 20 else "Pacific/Honolulu"


ZONE = zone_of_the_day()
# Where a school of the district may lie: an hour behind, so that it is day there too.
ZONE_BEHIND = {"America/Chicago": "America/Denver", "Pacific/Honolulu": "Pacific/Pago_Pago"}[ZONE]


def local_today() -> date:
    """The date in the district's zone: what "yesterday" and "ended" mean in a test."""
    return timezone.localdate(timezone=ZoneInfo(ZONE))


@dataclass
class World:
    """Everybody by name; the comment of each family says what is awkward about it."""

    district: District
    elementary: School
    middle: School
    high: School
    years: dict[int, Calendar]  # the current calendar of each school, by school id

    # The family of source A: six chains for two students, three for one (A3-04, A3-05).
    mom: Person = field(init=False)
    dad: Person = field(init=False)
    son: Person = field(init=False)
    daughter: Person = field(init=False)
    household: Household = field(init=False)
    # Two households: the parents live apart; each home has a phone that two adults share.
    minh: Person = field(init=False)  # the student, in both households
    lan: Person = field(init=False)
    stepfather: Person = field(init=False)
    tuan: Person = field(init=False)
    stepmother: Person = field(init=False)
    lan_household: Household = field(init=False)
    tuan_household: Household = field(init=False)
    # Siblings in two schools, one mother with a cell alone; her name is not in Latin letters.
    yusuf: Person = field(init=False)
    amina: Person = field(init=False)
    hodan: Person = field(init=False)
    # A guardian with an email and no phone; the student has a cell of his own (A4-03, A4-04).
    tou: Person = field(init=False)
    mai: Person = field(init=False)
    # A guardian without any device.
    elsa: Person = field(init=False)
    grandmother: Person = field(init=False)
    # A seven-digit number, kept and never dialed (A4-02), and nothing else.
    ben: Person = field(init=False)
    seven_digits: Person = field(init=False)
    # A private cell number; the work phone has an extension.
    zoe: Person = field(init=False)
    private_cell: Person = field(init=False)
    # A guardian who is staff as well.
    noah: Person = field(init=False)
    teacher_parent: Person = field(init=False)
    # Relationships: one without the Messenger mark, one ended, one not begun, one good (A4-07).
    iris: Person = field(init=False)
    no_mark: Person = field(init=False)
    ended: Person = field(init=False)
    not_begun: Person = field(init=False)
    aunt: Person = field(init=False)
    # A student with no messenger contact at all (A4-06).
    alone: Person = field(init=False)
    # A number without a single mark (A4-05); and the same number on cell and work of one person.
    leo: Person = field(init=False)
    no_reasons: Person = field(init=False)
    same_number_twice: Person = field(init=False)
    # Texts: one number opted in with a Text mark, one with the mark but opted out (STOP wins).
    ada: Person = field(init=False)
    opted_in: Person = field(init=False)
    opted_out: Person = field(init=False)
    # An ended household membership: the father no longer belongs to the household's chain (A3-03).
    max: Person = field(init=False)
    stayed: Person = field(init=False)
    moved_out: Person = field(init=False)
    max_household: Household = field(init=False)
    # A step-family: its children are one family through a guardian in the middle (ruling 13).
    first_child: Person = field(init=False)
    second_child: Person = field(init=False)
    between: Person = field(init=False)
    # Left the district: an inactive student with an active guardian; and an ended enrollment.
    left: Person = field(init=False)
    left_mother: Person = field(init=False)
    transferred: Person = field(init=False)
    transferred_mother: Person = field(init=False)
    # Staff without children here: current, ended, and one without a phone (A4-09).
    principal: Person = field(init=False)
    former_aide: Person = field(init=False)
    no_phone_teacher: Person = field(init=False)


def school_year(today: date) -> tuple[int, date, date]:
    """The school year around a day: the year in which it ends, first and last day."""
    ends = today.year + (today.month >= 7)
    return ends, date(ends - 1, 7, 1), date(ends, 6, 30)


def add_school(name: str, sourced_id: str) -> tuple[School, Calendar]:
    """A school with its current calendar."""
    school = School.objects.create(name=name, sourced_id=sourced_id, identifier=sourced_id)
    year, start, end = school_year(local_today())
    calendar = Calendar.objects.create(
        school=school,
        name=f"{year - 1}-{year} {name}",
        school_year=year,
        start_date=start,
        end_date=end,
        sourced_id=f"year-{year}",
    )
    return school, calendar


def add_person(name: str, *, sourced_id: str | None = None, active: bool = True) -> Person:
    """A person by "Given Family" (the last word is the family name)."""
    given, _space, family = name.rpartition(" ")
    person = Person(given_name=given, family_name=family, sourced_id=sourced_id, active=active)
    person.save()
    return person


def add_student(
    name: str, calendar: Calendar, grade: str, *, active: bool = True, end: date | None = None
) -> Person:
    """A student with an enrollment; `active` is the student's, `end` the enrollment's."""
    student = add_person(name, active=active)
    student.is_student = True
    student.save()
    Enrollment.objects.create(
        person=student, calendar=calendar, grade=grade, active=active, end_date=end
    )
    return student


def add_staff(name: str, school: School, staff_type: str, *, end: date | None = None) -> Person:
    """A staff member with one assignment."""
    person = add_person(name)
    make_staff(person, school, staff_type, end=end)
    return person


def make_staff(person: Person, school: School, staff_type: str, *, end: date | None = None) -> None:
    """Give a person a staff assignment (also one who is a guardian)."""
    person.is_staff_member = True
    person.save()
    StaffAssignment.objects.create(
        person=person, school=school, staff_type=staff_type, end_date=end
    )


def add_phone(
    owner: Person | Household,
    device: Device,
    number: str,
    *,
    voice: int = ALL_BUT_TEACHER,
    text: int = 0,
    extension: str = "",
    private: bool = False,
    problem: str = "",
) -> ContactPoint:
    """A phone with its marks (masks of ContactReason bits); a `problem` makes it invalid."""
    point = ContactPoint.objects.create(
        person=owner if isinstance(owner, Person) else None,
        household=owner if isinstance(owner, Household) else None,
        device=device,
        value=number,
        raw=number,
        extension=extension,
        private=private,
        valid=not problem,
        problem=problem,
    )
    ContactPreference.objects.create(contact_point=point, mode=Mode.VOICE, reasons=voice)
    if text:
        ContactPreference.objects.create(contact_point=point, mode=Mode.TEXT, reasons=text)
    return point


def add_email(
    person: Person, address: str, *, reasons: int = ALL_BUT_TEACHER, device: Device = Device.EMAIL
) -> ContactPoint:
    """An email address with its marks."""
    point = ContactPoint.objects.create(person=person, device=device, value=address, raw=address)
    ContactPreference.objects.create(contact_point=point, mode=Mode.EMAIL, reasons=reasons)
    return point


def relate(
    student: Person,
    guardian: Person,
    label: str = "Parent",
    *,
    messenger: bool = True,
    start: date | None = None,
    end: date | None = None,
) -> Relationship:
    """A line of the student's Relationships tab."""
    return Relationship.objects.create(
        student=student,
        guardian=guardian,
        label=label,
        messenger=messenger,
        start_date=start,
        end_date=end,
    )


def add_household(name: str, number: str, *members: Person) -> Household:
    """A household with its phone and its members."""
    household = Household.objects.create(name=name)
    for person in members:
        HouseholdMembership.objects.create(household=household, person=person)
    add_phone(household, Device.HOUSEHOLD, number)
    return household


def build_world() -> World:
    """Write the world into an empty database and return its people."""
    district = District.current()
    district.name = "Prairie Lakes Public Schools"
    district.time_zone = ZONE
    district.voice_enabled = True
    district.undo_seconds = 0  # what is confirmed starts; tests of the undo window set it
    district.save()
    elementary, first_year = add_school("Cedar Elementary", "school-elementary")
    middle, middle_year = add_school("Willow Middle School", "school-middle")
    high, high_year = add_school("Prairie High School", "school-high")
    years = {elementary.pk: first_year, middle.pk: middle_year, high.pk: high_year}
    world = World(district, elementary, middle, high, years)
    _add_source_family(world)
    _add_homes(world)
    _add_devices(world)
    _add_relationships(world)
    _add_marks(world)
    _add_past(world)
    _add_staff(world)
    recompute_families()
    for person in vars(world).values():
        if isinstance(person, Person):
            person.refresh_from_db(fields=["family"])
    return world


def _add_source_family(world: World) -> None:
    year = world.years[world.elementary.pk]
    world.mom = add_person("Alisa Family", sourced_id="mom")
    world.dad = add_person("Jeremy Family", sourced_id="dad")
    world.son = add_student("Jake Family", year, "03")
    world.daughter = add_student("Brenna Family", year, "05")
    world.household = add_household(
        "Alisa & Jeremy Family", "+16125550225", world.mom, world.dad, world.son, world.daughter
    )
    for parent, last in ((world.mom, 0), (world.dad, 1)):
        add_phone(parent, Device.CELL, f"+1612555773{5 + last}")
        add_phone(parent, Device.OTHER, f"+1612555445{4 + last}")
        add_phone(parent, Device.WORK, f"+1612555321{8 + last}")
        add_email(parent, f"{parent.given_name.lower()}@family.example", reasons=0)
        for child in (world.son, world.daughter):
            relate(child, parent, "Guard: Mother" if parent is world.mom else "Guard: Father")


def _add_homes(world: World) -> None:
    middle, high = world.years[world.middle.pk], world.years[world.high.pk]
    world.minh = add_student("Minh Nguyễn", middle, "07")
    world.lan, world.stepfather = add_person("Lan Nguyễn"), add_person("Peter Olson")
    world.tuan, world.stepmother = add_person("Tuấn Nguyễn"), add_person("Ana Nguyễn")
    world.lan_household = add_household(
        "Lan Nguyễn & Peter Olson", "+16125550301", world.lan, world.stepfather, world.minh
    )
    world.tuan_household = add_household(
        "Tuấn & Ana Nguyễn", "+16125550302", world.tuan, world.stepmother, world.minh
    )
    for guardian in (world.lan, world.stepfather, world.tuan, world.stepmother):
        relate(world.minh, guardian)
    add_phone(world.lan, Device.CELL, "+16125550303")
    add_phone(world.tuan, Device.CELL, "+16125550304")

    world.yusuf = add_student("Yusuf Warsame", world.years[world.elementary.pk], "KG")
    world.amina = add_student("Amina Warsame", high, "11")
    world.hodan = add_person("هودان ورسمي")
    add_phone(world.hodan, Device.CELL, "+16125550311")
    relate(world.yusuf, world.hodan)
    relate(world.amina, world.hodan)


def _add_devices(world: World) -> None:
    middle, high = world.years[world.middle.pk], world.years[world.high.pk]
    world.tou, world.mai = add_student("Tou Vang", high, "10"), add_person("Mai Vang")
    add_phone(world.tou, Device.CELL, "+16125550321")
    add_email(world.mai, "mai@vang.example")
    relate(world.tou, world.mai)

    world.elsa, world.grandmother = (
        add_student("Elsa Berg", middle, "06"),
        add_person("Ingrid Berg"),
    )
    relate(world.elsa, world.grandmother, "Grandmother")

    world.ben, world.seven_digits = add_student("Ben Hart", middle, "08"), add_person("Joy Hart")
    add_phone(world.seven_digits, Device.CELL, "555-0331", problem="seven_digits")
    relate(world.ben, world.seven_digits)

    world.zoe, world.private_cell = add_student("Zoë Ruiz", high, "09"), add_person("Inés Ruiz")
    add_phone(world.private_cell, Device.CELL, "+16125550341", private=True)
    add_phone(world.private_cell, Device.WORK, "+16125550342", extension="204")
    relate(world.zoe, world.private_cell)

    world.noah = add_student("Noah Lee", world.years[world.elementary.pk], "01")
    world.teacher_parent = add_person("Grace Lee")
    make_staff(world.teacher_parent, world.high, "Teacher")
    add_phone(world.teacher_parent, Device.CELL, "+16125550351")
    relate(world.noah, world.teacher_parent)


def _add_relationships(world: World) -> None:
    today = local_today()
    high = world.years[world.high.pk]
    world.iris = add_student("Iris Day", high, "12")
    world.no_mark, world.ended = add_person("Una Day"), add_person("Vic Day")
    world.not_begun, world.aunt = add_person("Wes Day"), add_person("Xena Day")
    for last, guardian in enumerate((world.no_mark, world.ended, world.not_begun, world.aunt)):
        add_phone(guardian, Device.CELL, f"+1612555036{last}")
    relate(world.iris, world.no_mark, messenger=False)
    relate(world.iris, world.ended, end=today - timedelta(days=30))
    relate(world.iris, world.not_begun, start=today + timedelta(days=30))
    relate(world.iris, world.aunt, "Aunt")
    world.alone = add_student("Sol Lone", high, "12")


def _add_marks(world: World) -> None:
    middle = world.years[world.middle.pk]
    world.leo = add_student("Leo Fox", middle, "06")
    world.no_reasons, world.same_number_twice = add_person("Ira Fox"), add_person("Ora Fox")
    add_phone(world.no_reasons, Device.CELL, "+16125550371", voice=0)
    add_phone(world.same_number_twice, Device.CELL, "+16125550372")
    add_phone(world.same_number_twice, Device.WORK, "+16125550372")
    relate(world.leo, world.no_reasons)
    relate(world.leo, world.same_number_twice)

    world.ada = add_student("Ada Stone", middle, "07")
    world.opted_in, world.opted_out = add_person("Kim Stone"), add_person("Ray Stone")
    for guardian, number, state in (
        (world.opted_in, "+16125550381", TextConsent.State.OPTED_IN),
        (world.opted_out, "+16125550382", TextConsent.State.OPTED_OUT),
    ):
        add_phone(guardian, Device.CELL, number, text=ALL_BUT_TEACHER)
        TextConsent.objects.create(
            number=number, state=state, changed_at=timezone.now(), source="text message"
        )
        relate(world.ada, guardian)


def _add_past(world: World) -> None:
    today = local_today()
    elementary, middle = world.years[world.elementary.pk], world.years[world.middle.pk]
    world.max = add_student("Max Holm", elementary, "02")
    world.stayed, world.moved_out = add_person("Tess Holm"), add_person("Karl Holm")
    world.max_household = add_household(
        "Tess & Karl Holm", "+16125550391", world.stayed, world.moved_out, world.max
    )
    HouseholdMembership.objects.filter(person=world.moved_out).update(
        end_date=today - timedelta(days=60), active=False
    )
    relate(world.max, world.stayed)
    relate(world.max, world.moved_out)
    add_phone(world.moved_out, Device.CELL, "+16125550392")

    world.first_child = add_student("Finn Moe", elementary, "04")
    world.second_child = add_student("Sara Park", middle, "08")
    first, second = add_person("Gro Moe"), add_person("Jin Park")
    world.between = add_person("Odd Moe")
    for last, guardian in enumerate((first, second, world.between)):
        add_phone(guardian, Device.CELL, f"+1612555040{last}")
    relate(world.first_child, first)
    relate(world.first_child, world.between)
    relate(world.second_child, second)
    relate(world.second_child, world.between, "Stepfather")

    world.left = add_student("Pia Gone", middle, "08", active=False)
    world.left_mother = add_person("Lea Gone")
    world.transferred = add_student("Tim Away", middle, "06", end=today - timedelta(days=10))
    world.transferred_mother = add_person("Bea Away")
    for student, mother, number in (
        (world.left, world.left_mother, "+16125550411"),
        (world.transferred, world.transferred_mother, "+16125550412"),
    ):
        add_phone(mother, Device.CELL, number)
        relate(student, mother)


def _add_staff(world: World) -> None:
    yesterday = local_today() - timedelta(days=1)
    world.principal = add_staff("Paula Quist", world.high, "Principal")
    add_phone(world.principal, Device.CELL, "+16125550421")
    add_phone(world.principal, Device.WORK, "+16125550422", extension="11")
    world.former_aide = add_staff("Otto Past", world.middle, "Aide", end=yesterday)
    add_phone(world.former_aide, Device.CELL, "+16125550423")
    world.no_phone_teacher = add_staff("Nell Mute", world.elementary, "Teacher")
    add_email(world.no_phone_teacher, "nell@district.example")
