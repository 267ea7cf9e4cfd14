"""Remote Dial-In: emergency messages recorded by telephone, and how the application gets them."""

from __future__ import annotations

import base64

import pytest

from dialer_adapters.switchboard.audio import NotTelephoneAudio
from dialer_adapters.switchboard.inbound import record_message
from dialer_adapters.switchboard.models import Account, Recording
from tests.switchboard.desk import Desk, chain, number
from tests.switchboard.sound import make_sound

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


def record(desk: Desk, seconds: int, user: str = "principal-7") -> Recording:
    account_id = Account.objects.get().pk
    sound = make_sound(seconds)
    return record_message(desk.dialer, account_id, user, "ALL", sound, number(110))


def test_a_recording_is_listed_fetched_and_sent(desk: Desk) -> None:
    record(desk, 4)
    page = desk.call("GetRemoteDialInMessages", AfterSeq=0)
    (message,) = page.all("Message")
    assert (message["UserRef"], message["AudienceCode"]) == ("principal-7", "ALL")
    assert (message["CallerNumber"], message["DurationSeconds"]) == (number(110), "4")
    assert (message["State"], page["NextSeq"], page["HasMore"]) == ("NEW", "1", "false")
    fetched = desk.call("GetAudio", AudioID=message["AudioID"])
    assert base64.b64decode(fetched["Content"] or "") == make_sound(4)
    job_ref = f"rdi:{message['RemoteMessageID']}"
    script = {"Live": {"AudioID": message["AudioID"]}}
    emergency = {"Priority": "EMERGENCY", "WindowStart": None, "WindowEnd": None}
    first = desk.submit(chain("c1", number(100)), job_ref=job_ref, Script=script, **emergency)
    again = desk.submit(chain("c1", number(100)), job_ref=job_ref, Script=script, **emergency)
    assert (first["Replayed"], again["Replayed"]) == ("false", "true")
    desk.run()
    assert desk.results() == [("c1-1", "1", "5")]


def test_recordings_are_read_page_by_page_in_their_order(desk: Desk) -> None:
    for user in ("a", "b", "c"):
        record(desk, 1, user)
    page = desk.call("GetRemoteDialInMessages", AfterSeq=0, MaxEntries=2)
    assert [row["UserRef"] for row in page.all("Message")] == ["a", "b"]
    assert (page["NextSeq"], page["HasMore"]) == ("2", "true")
    rest = desk.call("GetRemoteDialInMessages", Epoch=page["Epoch"], AfterSeq=2)
    assert [row["UserRef"] for row in rest.all("Message")] == ["c"]
    # The same sound was stored once.
    assert len({row["AudioID"] for row in page.all("Message") + rest.all("Message")}) == 1


def test_silence_is_no_message(desk: Desk) -> None:
    with pytest.raises(NotTelephoneAudio):
        record(desk, 0)
    assert desk.call("GetRemoteDialInMessages", AfterSeq=0).all("Message") == []
