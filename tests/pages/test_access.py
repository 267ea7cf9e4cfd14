"""Users and roles: who gives whom which right, what is refused, and what is remembered of it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messenger import access, rights
from messenger.models import AccessChange, Message, Role, RoleAssignment, User
from messenger.roles import set_up_roles
from tests.launch.sending import confirmed
from tests.pages.cast import ADMINISTRATOR, READ_ONLY, SECRETARY, client_of, give, make_user
from tests.pages.test_compose import text_of

HOSTING = "Hosting"


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


@pytest.fixture
def second(admin: User) -> User:
    """Another administrator, so that the first one may be changed."""
    return make_user("second", ADMINISTRATOR)


def save(client: Client, role: Role | None, name: str, *chosen: str) -> Any:
    """The form of a role, with these rights marked."""
    url = reverse("role", args=[role.uuid]) if role else reverse("role_new")
    data: dict[str, Any] = {"name": name}
    for number, (_group, members) in enumerate(access.GROUPS):
        data[f"rights_{number}"] = [right for right, _words in members if right in chosen]
    return client.post(url, data, follow=True)


def hand(client: Client, user: User, role: str, *schools: Any, place: str = "") -> Any:
    return client.post(
        reverse("access_user", args=[user.uuid]),
        {
            "role": Role.objects.get(name=role).uuid,
            "place": place or ("schools" if schools else "district"),
            "schools": [school.uuid for school in schools],
        },
        follow=True,
    )


def take(client: Client, row: RoleAssignment) -> Any:
    url = reverse("access_take", args=[row.user.uuid])
    return client.post(url, {"assignment": row.pk}, follow=True)


def test_every_right_has_words_and_a_place_on_the_page() -> None:
    assert set(access.LABELS) == rights.ALL_RIGHTS


@pytest.mark.spec("B1-03")
def test_a_role_opens_the_log_for_its_school_alone_and_at_once(client: Client, world: Any) -> None:
    """Made, given for a school, taken back: each holds from the next click on."""
    teacher = make_user("teacher")
    here, elsewhere = confirmed([world.elementary]), confirmed([world.high])
    visitor = client_of(teacher)
    assert visitor.get(reverse("log")).status_code == 403
    page = save(client, None, "Log reader", rights.LOG_VIEW_ALL)
    assert "The role Log reader is saved." in text_of(page)
    assert "The role is given." in text_of(hand(client, teacher, "Log reader", world.elementary))
    assert visitor.get(reverse("log")).status_code == 200
    assert visitor.get(reverse("log_detail", args=[here.uuid])).status_code == 200
    assert visitor.get(reverse("log_detail", args=[elsewhere.uuid])).status_code == 404
    cancel = reverse("log_cancel", args=[here.uuid])
    assert visitor.post(cancel).status_code == 404
    role = Role.objects.get(name="Log reader")
    save(client, role, "Log reader", rights.LOG_VIEW_ALL, rights.CANCEL_ANY)
    assert visitor.post(cancel).status_code == 302
    assert Message.objects.get(pk=here.pk).cancel_requested_at
    take(client, teacher.role_assignments.get())
    assert visitor.get(reverse("log")).status_code == 403


def test_every_change_is_remembered_with_who_made_it(client: Client, world: Any) -> None:
    teacher = make_user("teacher")
    save(client, None, "Caller", rights.SEND_GENERAL)
    role = Role.objects.get(name="Caller")
    save(client, role, "Caller", rights.SEND_GENERAL, rights.LOG_VIEW_OWN)
    save(client, role, "Caller", rights.SEND_GENERAL, rights.LOG_VIEW_OWN)  # nothing new
    hand(client, teacher, "Caller", world.elementary, world.middle)
    hand(client, teacher, "Caller", world.middle)  # held already
    for row in teacher.role_assignments.all():
        take(client, row)
    client.post(reverse("role_remove", args=[role.uuid]))
    kinds = AccessChange.Kind
    kept = AccessChange.objects.order_by("id").values_list("kind", "by_name", "school_name")
    elementary, middle = world.elementary.name, world.middle.name
    assert list(kept)[:2] == [(kinds.ROLE_MADE, "Admin", ""), (kinds.ROLE_CHANGED, "Admin", "")]
    assert sorted(list(kept)[2:6]) == sorted(
        (kind, "Admin", name)
        for kind in (kinds.GIVEN, kinds.TAKEN)
        for name in (elementary, middle)
    )
    assert list(kept)[6:] == [(kinds.ROLE_REMOVED, "Admin", "")]
    assert AccessChange.objects.get(kind=kinds.ROLE_CHANGED).rights_added == [rights.LOG_VIEW_OWN]
    shown = text_of(client.get(reverse("access")))
    assert "took Caller from Teacher · " + middle in shown
    assert "Added: See own messages" in shown


def test_the_last_who_may_change_settings_keeps_the_right(client: Client, admin: User) -> None:
    role = Role.objects.get(name=ADMINISTRATOR)
    page = text_of(client.get(reverse("access")))
    assert "One person alone holds these rights" in page
    refused = text_of(take(client, admin.role_assignments.get()))
    assert (
        "after it nobody could do this in the whole district any more: Change settings" in refused
    )
    page = save(client, role, ADMINISTRATOR, *(set(role.rights) - {rights.USERS_MANAGE}))
    assert page.status_code == 422
    assert "Give and take roles and rights. Give the right to somebody else first." in text_of(page)
    role.refresh_from_db()
    assert rights.USERS_MANAGE in role.rights
    assert admin.role_assignments.count() == 1
    assert not AccessChange.objects.exists()


def test_with_a_second_one_it_may_be_given_up(client: Client, admin: User, second: User) -> None:
    assert "One person alone" not in text_of(client.get(reverse("access")))
    page = take(client, admin.role_assignments.get())
    assert "The role is taken back." in text_of(page)
    assert client.get(reverse("access")).status_code == 403
    assert "One person alone" in text_of(client_of(second).get(reverse("access")))


def test_a_user_who_may_not_sign_in_does_not_count(client: Client, admin: User) -> None:
    second = make_user("second", ADMINISTRATOR)
    User.objects.filter(pk=second.pk).update(is_active=False)
    assert "Nothing was changed" in text_of(take(client, admin.role_assignments.get()))


def test_hostings_role_is_not_the_districts_to_give_or_take(
    client: Client, admin: User, second: User
) -> None:
    """No administrator makes themselves hosting's, nor takes it from hosting."""
    hosting = set_up_roles()[HOSTING]
    host = make_user("host", HOSTING)
    assert hand(client, admin, HOSTING).status_code == 422
    page = save(client, None, "Mine", rights.HOSTING_EDIT)
    assert page.status_code == 422  # not among the choices
    assert "rights that are not yours" in text_of(take(client, host.role_assignments.get()))
    assert save(client, hosting, HOSTING, rights.SETTINGS_VIEW).status_code == 422
    client.post(reverse("role_remove", args=[hosting.uuid]))
    hosting.refresh_from_db()
    assert rights.HOSTING_EDIT in hosting.rights
    assert host.role_assignments.count() == 1
    assert not AccessChange.objects.exists()


def test_the_right_for_a_school_opens_nothing(world: Any, admin: User) -> None:
    """Roles are the district's: whoever may give them in one school alone could reach further."""
    local = make_user("local", ADMINISTRATOR, world.elementary)
    assert client_of(local).get(reverse("access")).status_code == 403
    with pytest.raises(access.Refused):
        access.give(local, local, Role.objects.get(name=ADMINISTRATOR), [])
    assert "Users and roles" not in text_of(client_of(local).get(reverse("settings")))
    assert "Users and roles" in text_of(client_of(admin).get(reverse("settings")))


@pytest.mark.parametrize(
    ("place", "with_school", "words"),
    [
        ("schools", False, "Choose at least one school."),
        ("district", True, "Schools are chosen below."),
        ("", False, "This field is required."),
    ],
)
def test_a_place_is_never_guessed(
    client: Client, world: Any, place: str, with_school: bool, words: str
) -> None:
    teacher = make_user("teacher")
    page = client.post(
        reverse("access_user", args=[teacher.uuid]),
        {
            "role": Role.objects.get(name=SECRETARY).uuid,
            "place": place,
            "schools": [world.middle.uuid] if with_school else [],
        },
    )
    assert page.status_code == 422
    assert words in text_of(page)
    assert not teacher.role_assignments.exists()


def test_a_role_that_cannot_be(client: Client, world: Any) -> None:
    for name, chosen, words in (
        ("", (rights.LOG_VIEW_OWN,), "This field is required."),
        ("read-ONLY", (rights.LOG_VIEW_OWN,), "There is a role with this name already."),
        ("Empty", (), "Choose at least one right."),
    ):
        page = save(client, None, name, *chosen)
        assert page.status_code == 422
        assert words in text_of(page)
    held = Role.objects.get(name=READ_ONLY)
    give(make_user("reader"), READ_ONLY)
    page = client.post(reverse("role_remove", args=[held.uuid]), follow=True)
    assert "Somebody still holds this role." in text_of(page)
    assert Role.objects.filter(pk=held.pk).exists()


def test_users_are_found_by_part_of_their_name(client: Client, world: Any) -> None:
    make_user("marisol", SECRETARY, world.middle)
    make_user("henrik")
    page = text_of(client.get(reverse("access"), {"name": "MARI"}))
    assert "Marisol" in page
    assert f"School secretary · {world.middle.name}" in page
    assert "Henrik" not in page
    assert "Nobody has such a name" in text_of(client.get(reverse("access"), {"name": "zzz"}))
