"""Two people change roles at the same moment. Nothing else of Users and roles is tested here: these
tests commit, the others roll back."""

from threading import Thread

import pytest
from django.db import connection

from messenger import access, rights
from messenger.models import RoleAssignment, User
from tests.pages.cast import ADMINISTRATOR, make_user


@pytest.mark.django_db(transaction=True)
def test_two_cannot_take_it_from_each_other() -> None:
    one, two = make_user("one", ADMINISTRATOR), make_user("two", ADMINISTRATOR)
    rows = {
        user: user.role_assignments.select_related("role", "user", "school").get()
        for user in (one, two)
    }
    said: list[str] = []

    def take(by: User, row: RoleAssignment) -> None:
        try:
            access.take(by, row)
        except access.Refused as refused:
            said.append(refused.words)
        finally:
            connection.close()

    threads = [Thread(target=take, args=pair) for pair in ((one, rows[two]), (two, rows[one]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["You may not change roles and rights any more."]
    assert access.holders_of(rights.SETTINGS_EDIT) == 1
