"""A password that is changed while calls are made takes nothing back from the log (8.2, S2)."""

from typing import Any

import pytest

from dialer_adapters.switchboard import accounts
from dialer_adapters.switchboard.models import Account


@pytest.mark.django_db(databases=["default", "switchboard"])
def test_a_new_password_does_not_rewind_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    account, _created = accounts.save_account("counting", "old")

    def hash_slowly(password: str) -> Any:
        Account.objects.filter(pk=account.pk).update(last_seq=62)  # an entry, meanwhile
        return f"hash of {len(password)}"

    monkeypatch.setattr(accounts, "make_password", hash_slowly)
    accounts.save_account("counting", "another")
    assert Account.objects.get(pk=account.pk).last_seq == 62
