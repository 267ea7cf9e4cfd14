"""Families: students connected through guardians, computed set-wise (ruling 13)."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import Person, Relationship
from messenger.roster.families import recompute_families
from tests.world import add_person, build_world, relate

pytestmark = pytest.mark.django_db


def test_the_world_is_built_with_its_families() -> None:
    world = build_world()
    assert world.son.family == world.daughter.family == min(world.son.pk, world.daughter.pk)
    assert world.first_child.family == world.second_child.family == world.first_child.pk
    assert world.alone.family == world.alone.pk
    assert world.mom.family is None
    assert recompute_families() == 0


def test_an_ended_link_no_longer_connects() -> None:
    world = build_world()
    Relationship.objects.filter(guardian=world.between, student=world.second_child).update(
        active=False
    )
    assert recompute_families() == 1
    world.second_child.refresh_from_db()
    assert world.second_child.family == world.second_child.pk


def test_a_long_chain_of_step_families_is_one_family() -> None:
    students = [add_person(f"Student {n}") for n in range(60)]
    Person.objects.update(is_student=True)
    for left, right in pairwise(students):
        guardian = add_person("Step Parent")
        relate(left, guardian)
        relate(right, guardian)
    recompute_families()
    families = Person.objects.filter(is_student=True).values_list("family", flat=True)
    assert set(families) == {students[0].pk}


links = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25, unique=True)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(links)
def test_families_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    Relationship.objects.all().delete()
    Person.objects.all().delete()
    students = [add_person(f"Student {n}") for n in range(10)]
    Person.objects.update(is_student=True)
    guardians = [add_person(f"Guardian {n}") for n in range(10)]
    neighbours = defaultdict(set)
    for s, g in pairs:
        relate(students[s], guardians[g])
        neighbours[f"s{s}"].add(f"g{g}")
        neighbours[f"g{g}"].add(f"s{s}")
    recompute_families()
    for number, student in enumerate(students):
        seen, queue = {f"s{number}"}, [f"s{number}"]
        while queue:
            new = neighbours[queue.pop()] - seen
            seen |= new
            queue += new
        lowest = min(students[int(name[1:])].pk for name in seen if name.startswith("s"))
        student.refresh_from_db()
        assert student.family == lowest
