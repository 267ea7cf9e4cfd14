"""A made-up district as a OneRoster bundle, for demos, tests and benchmarks; the same every time.

Families with shared household phones, two households, siblings in two schools, private numbers,
extensions, seven-digit numbers, guardians without a phone, staff who are parents. Rows stream to
disk family by family, so a million people need no more memory than a thousand. Every number has
the exchange 555, which reaches nobody, and no two people share one unless they share a home.
"""

import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from itertools import cycle
from pathlib import Path
from random import Random
from typing import TextIO, TypeVar

from messenger.roster.demo_names import HERITAGES, SCHOOL_NAMES, Heritage
from messenger.roster.demo_numbers import Number, phone_numbers
from messenger.roster.layout import LAYOUTS, METADATA_COLUMNS, USERS_1_1, USERS_1_2

DISTRICT_NAME = "Prairie Lakes Public Schools"
GRADES = ("KG", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
STAFF_SHARE = 0.045
STAFF_ROLES = {0: "principal", 2: "counselor", 3: "aide"}  # by turn at a school; else teacher
ROLES_IN_1_1 = {"principal": "administrator", "counselor": "administrator"}
STUDENTS_A_FAMILY = 1.42
PEOPLE_A_FAMILY = 3.77
# Upper bounds of a draw in [0, 1): how many children; and the adults of each home (a home of two
# adults is where a household phone is shared; a grandparent or a parent alone is a home of one).
CHILDREN = ((0.68, 1), (0.92, 2), (0.98, 3), (1.0, 4))
HOMES = ((0.10, (1,)), (0.56, (2,)), (0.89, (2, 1)), (1.0, (2, 2)))
COURSES = {
    "elementary": ("Homeroom", "Reading", "Math", "Science", "Music", "Art", "Phy Ed"),
    "middle": ("Homeroom", "English", "Math", "Science", "History", "Band", "Health", "Spanish"),
    "high": ("Advisory", "English", "Algebra", "Biology", "Civics", "Choir", "Phy Ed", "Spanish"),
}
GRADES_OF = {"elementary": GRADES[:6], "middle": GRADES[6:9], "high": GRADES[9:]}
SCHOOL_SIZE = {"elementary": 450, "middle": 650, "high": 1400}
SCHOOL_SUFFIX = {"elementary": "Elementary", "middle": "Middle School", "high": "High School"}
SECTION = 25
FORMATS = ("({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "+1{}{}{}", "{}{}{}", "1-{}-{}-{}")
GARBAGE = ("call office", "000-000-0000", "unlisted", "12", "612-555-01")

USER_COLUMNS = {"1.1": USERS_1_1, "1.2": USERS_1_2}
METADATA = tuple(METADATA_COLUMNS[key] for key in ("work", "language", "private"))

Drawn = TypeVar("Drawn")


@dataclass
class DistrictSize:
    """What was written, as numbers of rows of each kind."""

    people: int = 0
    students: int = 0
    guardians: int = 0
    staff: int = 0
    families: int = 0
    schools: int = 0
    classes: int = 0
    enrollments: int = 0


@dataclass(frozen=True)
class _School:
    sourced_id: str
    name: str
    kind: str
    sections: int  # of each grade
    next_section: dict[str, Iterator[int]]  # by grade: which one the next student joins


@dataclass(frozen=True)
class _Adult:
    sourced_id: str
    given: str
    family: str
    role: str
    language: str
    home: Number | None = None  # the phone that the adults of this home share


@dataclass
class _User:
    """A row of users.csv, before it is written in one version or the other."""

    sourced_id: str
    given: str
    family: str
    role: str
    orgs: list[str]
    language: str
    email: str = ""
    sms: str = ""
    phone: str = ""
    agents: list[str] = field(default_factory=list)
    grade: str = ""
    work: str = ""
    private: str = ""


def write_district(
    path: Path,
    *,
    size: int = 3000,
    seed: int = 1,
    version: str = "1.1",
    families: int | None = None,
    zipped: bool = False,
    today: date | None = None,
) -> DistrictSize:
    """Write a district of `size` people in all (or of that many families) as a OneRoster bundle.

    `path` becomes a folder, or a zip file when `zipped`. The same arguments give the same bytes
    within one school year; `today` says which year it is. Raises ValueError for an unknown version
    or a size below 20.
    """
    if version not in USER_COLUMNS:
        raise ValueError(f"OneRoster version {version} is not 1.1 or 1.2.")
    if families is None and size < 20:
        raise ValueError("A district has at least 20 people.")
    if zipped:
        with tempfile.TemporaryDirectory(prefix="district-", dir=path.parent) as folder:
            written = _write_folder(Path(folder), size, seed, version, families, today)
            _pack(Path(folder), path)
        return written
    path.mkdir(parents=True, exist_ok=True)
    return _write_folder(path, size, seed, version, families, today)


def _write_folder(
    folder: Path, size: int, seed: int, version: str, families: int | None, today: date | None
) -> DistrictSize:
    with ExitStack() as stack:
        names = [name for name in LAYOUTS if name != "roles" or version == "1.2"]
        files = {
            name: stack.enter_context(
                (folder / f"{name}.csv").open("w", encoding="utf-8", newline="", buffering=1 << 20)
            )
            for name in [*names, "manifest"]
        }
        for name in names:
            users = (*USER_COLUMNS[version], *METADATA)
            header = users if name == "users" else LAYOUTS[name].columns
            files[name].write(",".join(header) + "\r\n")
        writer = _Writer(files, version, seed, today or date.today())  # noqa: DTZ011
        writer.write_manifest()
        if families is None:
            writer.write(people=size)
        else:
            writer.write(families=families)
        return writer.size


def _pack(folder: Path, target: Path) -> None:
    """Zip the files of a folder, with one date for all, so that equal districts are equal bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(folder.iterdir()):
            member = zipfile.ZipInfo(file.name, date_time=(2026, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with file.open("rb") as source, archive.open(member, "w") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


class _Writer:
    """One district on its way to disk: counters, the drawing of lots, and the open files."""

    def __init__(self, files: Mapping[str, TextIO], version: str, seed: int, today: date) -> None:
        self.files = files
        self.version = version
        self.random = Random(seed)
        self.size = DistrictSize()
        self.numbers = phone_numbers(seed)
        self.year = today.year + (today.month >= 7)
        self.schools: dict[str, list[_School]] = {}
        self.staff_parents: list[_Adult] = []
        self.guardians_named = 0

    # -- the frame ---------------------------------------------------------------------------
    def _line(self, name: str, line: str) -> None:
        self.files[name].write(line + "\r\n")

    def write_manifest(self) -> None:
        self._line("manifest", "propertyName,value")
        self._line("manifest", "manifest.version,1.0")
        self._line("manifest", f"oneroster.version,{self.version}")
        kinds = ["academicSessions", "classes", "courses", "demographics", "enrollments", "orgs"]
        for name in [*kinds, "resources", "users", *(["roles"] if self.version == "1.2" else [])]:
            self._line("manifest", f"file.{name},{'bulk' if name in self.files else 'absent'}")
        self._line("manifest", "source.systemName,Demo district")
        self._line("manifest", "source.systemCode,demo")

    def write(self, people: int | None = None, families: int | None = None) -> None:
        """Write the whole district: exactly `people`, or as many as `families` have."""
        expected = people or round((families or 0) * PEOPLE_A_FAMILY / (1 - STAFF_SHARE))
        staff = max(8, round(expected * STAFF_SHARE))
        self._write_years()
        self._write_schools((expected - staff) * STUDENTS_A_FAMILY / PEOPLE_A_FAMILY)
        self._write_staff(staff)
        left = None if people is None else people - staff
        while left != 0 and self.size.families != families:
            written = self._write_family(left)
            left = None if left is None else left - written
        self.size.people = self.size.students + self.size.guardians + self.size.staff

    def _write_years(self) -> None:
        first, last = self.year - 1, self.year
        whole = f"year-{last}"
        for line in (
            f"{whole},,,{first}-{last},schoolYear,{first}-07-01,{last}-06-30,,{last}",
            f"fall-{last},,,Fall,semester,{first}-08-25,{last}-01-15,{whole},{last}",
            f"spring-{last},,,Spring,semester,{last}-01-16,{last}-06-10,{whole},{last}",
        ):
            self._line("academicSessions", line)

    def _write_schools(self, students: float) -> None:
        self._line("orgs", f"district,,,{DISTRICT_NAME},district,0001,")
        names = cycle(SCHOOL_NAMES)
        for kind, grades in GRADES_OF.items():
            share = students * len(grades) / len(GRADES)
            number = max(2 if kind == "elementary" else 1, round(share / SCHOOL_SIZE[kind]))
            sections = max(1, round(share / number / len(grades) / SECTION))
            for course in COURSES[kind]:
                for grade in grades:
                    self._line(
                        "courses",
                        f"{_course_id(kind, course, grade)},,,year-{self.year},{course} {grade},"
                        f"{course[:3].upper()}{grade},{grade},district,,",
                    )
            self.schools[kind] = [
                self._write_school(kind, next(names), sections) for _ in range(number)
            ]

    def _write_school(self, kind: str, name: str, sections: int) -> _School:
        self.size.schools += 1
        number = self.size.schools
        again = (number - 1) // len(SCHOOL_NAMES)
        name = f"{name} {SCHOOL_SUFFIX[kind]}" + (f" {again + 1}" if again else "")
        next_section: dict[str, Iterator[int]] = {
            grade: cycle(range(sections)) for grade in GRADES_OF[kind]
        }
        school = _School(f"school-{number:03}", name, kind, sections, next_section)
        self._line("orgs", f"{school.sourced_id},,,{name},school,{number:04},district")
        return school

    def _write_staff(self, number: int) -> None:
        """Principal, counselor and aide of each school among its teachers; then the classes."""
        schools = [school for kind in self.schools.values() for school in kind]
        teachers: dict[str, list[str]] = {school.sourced_id: [] for school in schools}
        for index in range(number):
            school = schools[index % len(schools)]
            role = STAFF_ROLES.get(index // len(schools), "teacher")
            heritage = self._heritage()
            adult = _Adult(
                sourced_id=f"T{index + 1:06}",
                given=self._pick(heritage.given),
                family=self._pick(heritage.family),
                role=role,
                language=heritage.language,
            )
            if role == "teacher":
                teachers[school.sourced_id].append(adult.sourced_id)
            self._write_staff_member(adult, school)
            if self.random.random() < 0.4:
                self.staff_parents.append(adult)
            self.size.staff += 1
        self.random.shuffle(self.staff_parents)
        for school in schools:
            self._write_classes(school, teachers[school.sourced_id])

    def _write_classes(self, school: _School, teachers: list[str]) -> None:
        next_teacher = cycle(teachers)
        for grade in GRADES_OF[school.kind]:
            for course in COURSES[school.kind]:
                for section in range(school.sections):
                    sourced_id = _class_id(school, grade, course, section)
                    self._line(
                        "classes",
                        f"{sourced_id},,,{course} {grade}-{section + 1},{grade},"
                        f"{_course_id(school.kind, course, grade)},"
                        f"{course[:3].upper()}{grade}-{section + 1},"
                        f"{'homeroom' if course in ('Homeroom', 'Advisory') else 'scheduled'},"
                        f"Room {100 + section},{school.sourced_id},"
                        f'"fall-{self.year},spring-{self.year}",,,',
                    )
                    self.size.classes += 1
                    if teachers:
                        self._enroll(sourced_id, school, next(next_teacher), "teacher,true")

    def _enroll(self, class_id: str, school: _School, user: str, role: str) -> None:
        self.size.enrollments += 1
        self._line(
            "enrollments",
            f"e{self.size.enrollments:08},,,{class_id},{school.sourced_id},{user},{role},,",
        )

    # -- people ------------------------------------------------------------------------------
    def _heritage(self) -> Heritage:
        draw = self.random.random() * 1000
        for heritage in HERITAGES:
            draw -= heritage.share
            if draw < 0:
                return heritage
        return HERITAGES[0]

    def _pick(self, names: tuple[str, ...]) -> str:
        return names[int(self.random.random() * len(names))]

    def _draw(self, table: tuple[tuple[float, Drawn], ...]) -> Drawn:
        draw = self.random.random()
        return next(value for bound, value in table if draw < bound)

    def _phone(self) -> str:
        """A new number, written in one of the ways people write them."""
        return self._written(next(self.numbers))

    def _written(self, number: tuple[str, str, str]) -> str:
        draw = self.random.random()
        if draw < 0.006:  # seven digits: kept, never dialed (A4-02)
            return f"{number[1]}-{number[2]}"
        if draw < 0.008:
            return self._pick(GARBAGE)
        return self._pick(FORMATS).format(*number)

    def _write_family(self, room: int | None) -> int:
        """Write one family, cut down to `room` people when given; how many people it added."""
        self.size.families += 1
        heritage = self._heritage()
        surname = self._pick(heritage.family)
        children = self._draw(CHILDREN)
        homes = self._draw(HOMES)
        if room is not None and children + sum(homes) > room:
            children = max(1, min(children, room - 1))
            homes = (room - children,) if room > children else ()
        adults = [
            adult
            for place, number in enumerate(homes)
            for adult in self._home(heritage, surname, number, place)
        ]
        new = len(adults)
        if self.staff_parents and adults and self.random.random() < 0.1:
            # A teacher of the district with children in it, in place of a guardian of this family.
            adults[0] = self.staff_parents.pop()
            new -= 1
        enrolled = self._write_children(heritage, surname, children, adults)
        for adult in adults:
            if adult.sourced_id[0] == "G":
                self._write_guardian(adult, enrolled)
        self.size.guardians += new
        return new + children

    def _home(self, heritage: Heritage, surname: str, number: int, place: int) -> list[_Adult]:
        shared = next(self.numbers) if number == 2 and self.random.random() < 0.7 else None
        adults = []
        for _ in range(number):
            self.guardians_named += 1
            other = self.random.random() < (0.3 if place == 0 else 0.5)
            adults.append(
                _Adult(
                    sourced_id=f"G{self.guardians_named:07}",
                    given=self._pick(heritage.given),
                    family=self._pick(self._heritage().family) if other else surname,
                    role="relative" if number == 1 and place else "parent",
                    language=heritage.language,
                    home=shared,
                )
            )
        return adults

    def _write_children(
        self, heritage: Heritage, surname: str, children: int, adults: list[_Adult]
    ) -> list[tuple[str, str]]:
        """Write the children of a family; (student, school) of each. A family in ten names its
        students on the guardians' rows instead: exporters disagree on the direction."""
        area = self.random.random()
        by_guardians = self.size.families % 10 == 0
        named = [a.sourced_id for a in adults if not by_guardians or a.sourced_id[0] == "T"]
        enrolled = []
        for _ in range(children):
            self.size.students += 1
            sourced_id = f"S{self.size.students:07}"
            grade = self._pick(GRADES)
            kind = next(kind for kind, grades in GRADES_OF.items() if grade in grades)
            schools = self.schools[kind]
            school = schools[int(area * len(schools))]
            given = self._pick(heritage.given)
            own = {"high": 0.35, "middle": 0.1}.get(kind, 0.0)
            self._write_user(
                _User(
                    sourced_id,
                    given,
                    surname,
                    "student",
                    [school.sourced_id],
                    heritage.language,
                    email=_address(given, sourced_id, "students") if own else "",
                    sms=self._phone() if self.random.random() < own else "",
                    agents=named,
                    grade=grade,
                )
            )
            section = next(school.next_section[grade])
            for course in COURSES[kind]:
                class_id = _class_id(school, grade, course, section)
                self._enroll(class_id, school, sourced_id, "student,")
            enrolled.append((sourced_id, school.sourced_id))
        return enrolled

    def _write_guardian(self, adult: _Adult, enrolled: list[tuple[str, str]]) -> None:
        draw = self.random.random
        user = _User(
            adult.sourced_id,
            adult.given,
            adult.family,
            adult.role,
            sorted({school for _student, school in enrolled}),
            adult.language,
        )
        if self.size.families % 10 == 0:
            user.agents = [student for student, _school in enrolled]
        if draw() < 0.8:
            user.email = _address(adult.given, adult.sourced_id, "mail")
        if draw() < 0.97:  # the others have no phone at all, or an email alone
            if draw() < 0.9:
                user.sms = self._phone()
            if adult.home:
                user.phone = self._written(adult.home)
            elif draw() < 0.3:
                user.phone = self._phone()
            if draw() < 0.35:
                user.work = self._phone()
                if draw() < 0.4:
                    user.work += f" {self._pick(('x', 'ext. '))}{int(draw() * 9000) + 10}"
            if draw() < 0.03:
                user.private = "true" if draw() < 0.5 else "cell"
        self._write_user(user)

    def _write_staff_member(self, adult: _Adult, school: _School) -> None:
        draw = self.random.random
        self._write_user(
            _User(
                adult.sourced_id,
                adult.given,
                adult.family,
                adult.role,
                [school.sourced_id],
                adult.language,
                email=_address(adult.given, adult.sourced_id, "district"),
                sms=self._phone() if draw() < 0.85 else "",
                work=f"{self._phone()} x{int(draw() * 900) + 100}" if draw() < 0.7 else "",
            )
        )

    def _write_user(self, user: _User) -> None:
        contacts = f"{user.email},{user.sms},{user.phone},{_listed(user.agents)},{user.grade},"
        ours = f"{user.work},{user.language},{user.private}"
        names = f"{user.sourced_id.lower()},,{user.given},{user.family},,{user.sourced_id[1:]}"
        if self.version == "1.1":
            role = ROLES_IN_1_1.get(user.role, user.role)
            orgs = _listed(user.orgs)
            self._line("users", f"{user.sourced_id},,,true,{orgs},{role},{names},{contacts},{ours}")
            return
        home = user.orgs[0]
        self._line("users", f"{user.sourced_id},,,true,{names},{contacts},,,,,{home},,{ours}")
        for turn, org in enumerate(user.orgs):
            kind = "secondary" if turn else "primary"
            self._line(
                "roles",
                f"r{user.sourced_id}-{turn},,,{user.sourced_id},{kind},{user.role},,,{org},",
            )


def _course_id(kind: str, course: str, grade: str) -> str:
    return f"co-{kind}-{course.replace(' ', '')}-{grade}"


def _class_id(school: _School, grade: str, course: str, section: int) -> str:
    return f"cl-{school.sourced_id[7:]}-{grade}-{course.replace(' ', '')}-{section + 1}"


def _listed(ids: list[str]) -> str:
    """A list value: comma-separated inside one quoted field."""
    return f'"{",".join(ids)}"' if len(ids) > 1 else "".join(ids)


def _address(given: str, sourced_id: str, house: str) -> str:
    """An address in the reserved domain `example`; the number makes it unlike any other."""
    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode().lower()
    return f"{plain.replace(' ', '')}{sourced_id.lower()}@{house}.example"
