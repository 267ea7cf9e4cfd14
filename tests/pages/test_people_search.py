"""Finding people: by name, student number, phone and address, within what the user may see."""

from typing import Any

import pytest
from django.urls import reverse

from messenger.models import ContactPoint, Device, Person, Role, RoleAssignment, User
from messenger.people_search import find_people
from messenger.rights import PEOPLE_VIEW
from tests.pages.cast import SECRETARY, client_of, make_user
from tests.pages.test_compose import text_of
from tests.world import add_email, add_person, add_phone


def names(words: str, user: User) -> list[str]:
    ids = [found.person_id for found in find_people(words, user)]
    people = Person.objects.in_bulk(ids)
    return [str(people[pk]) for pk in ids]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("alisa", "Family, Alisa"),
        ("Family, Jer", "Family, Jeremy"),
        ("fam bren", "Family, Brenna"),
        ("nguyen tuan", "Nguyễn, Tuấn"),  # without accents
        ("هودان", "ورسمي, هودان"),
        ("zoe", "Ruiz, Zoë"),
        ("Jermey", "Family, Jeremy"),  # typing errors
        ("Alissa Famly", "Family, Alisa"),
        ("warsme", "Warsame, Amina"),
    ],
)
def test_names_are_found_by_beginnings_and_with_mistakes(
    world: Any, admin: User, words: str, first: str
) -> None:
    assert names(words, admin)[0] == first


@pytest.mark.parametrize(
    "words", ["6125557735", "(612) 555-7735", "+1 612 555 7735", "5557735", "7735", "612555773"]
)
def test_a_number_is_found_by_its_first_or_last_digits(world: Any, admin: User, words: str) -> None:
    found = find_people(words, admin)
    assert found[0].person_id == world.mom.pk
    assert (found[0].device, found[0].value) == (Device.CELL, "+16125557735")


def test_a_household_phone_finds_everybody_who_shares_it(world: Any, admin: User) -> None:
    found = {each.person_id for each in find_people("(612) 555-0225", admin)}
    assert found == {world.mom.pk, world.dad.pk, world.son.pk, world.daughter.pk}
    found = {each.person_id for each in find_people("5550391", admin)}
    assert found == {world.stayed.pk, world.max.pk}, "an ended membership does not count"
    kept = find_people("555-0331", admin)
    assert [each.person_id for each in kept] == [world.seven_digits.pk], "imported, never dialed"


def test_addresses_and_student_numbers(world: Any, admin: User) -> None:
    for words in ("alisa@family.example", "ALISA@", "isa@fam"):
        assert [each.person_id for each in find_people(words, admin)][:1] == [world.mom.pk]
    Person.objects.filter(pk=world.son.pk).update(identifier="S-10042")
    Person.objects.filter(pk=world.minh.pk).update(identifier="20417")
    assert names("S-100", admin)[0] == "Family, Jake"
    assert names("20417", admin) == ["Nguyễn, Minh"]


def test_what_is_typed_is_never_a_pattern(world: Any, admin: User) -> None:
    for words in ("%%%", "__", "\\\\", "a%b", "100%", "' OR 1=1 --", "555%", "*@*"):
        assert find_people(words, admin) == [], words
    assert find_people("", admin) == find_people("x", admin) == find_people("61", admin) == []


def test_only_people_of_the_users_schools(world: Any, secretary: User) -> None:
    """A secretary of the elementary school: its students, their contacts, its staff."""
    assert "Family, Alisa" in names("family", secretary)
    assert names("nell mute", secretary) == ["Mute, Nell"]
    for words in ("minh", "5550303", "mai@vang.example", "paula quist"):
        assert names(words, secretary) == [], words
        assert names(words, make_user(f"u{words}", SECRETARY, world.middle)) != [] or words in (
            "mai@vang.example",
            "paula quist",
        )
    world_wide = add_person("Alisa Nowhere")
    assert str(world_wide) not in names("alisa", secretary), "nothing connects her with a school"
    assert find_people("alisa", make_user("nobody")) == []


def test_a_private_number_finds_nobody_for_those_who_may_not_see_it(
    world: Any, admin: User
) -> None:
    add_email(world.private_cell, "ines@ruiz.example")
    ContactPoint.objects.filter(value="ines@ruiz.example").update(private=True)
    viewer = make_user("viewer")
    role = Role.objects.create(name="Viewer of people", rights=[PEOPLE_VIEW])
    RoleAssignment.objects.create(user=viewer, role=role)
    for words in ("+16125550341", "ines@ruiz.example"):
        assert names(words, admin) == ["Ruiz, Inés"]
        assert names(words, viewer) == []
    assert names("6125550342", viewer) == ["Ruiz, Inés"], "her work phone is not private"


def test_the_page_and_its_part(world: Any, admin: User) -> None:
    client, url = client_of(admin), reverse("people")
    page = client.get(url, {"q": "family"})
    assert "4 people" in text_of(page)
    assert reverse("person", args=[world.mom.uuid]) in page.content.decode()
    part = client.get(url, {"q": "5557735"}, headers={"HX-Request": "true"}).content.decode()
    assert part.startswith('<div id="found"')
    assert "(612) 555-7735" in part
    assert "A little more, please" in text_of(client.get(url, {"q": "a"}))
    assert "Nobody was found" in text_of(client.get(url, {"q": "qqqq zzzz"}))
    for place in range(60):
        add_phone(add_person(f"Olaf Many{place}"), Device.CELL, f"+1612555{6000 + place}")
    assert "The first 50 people" in text_of(client.get(url, {"q": "olaf"}))
