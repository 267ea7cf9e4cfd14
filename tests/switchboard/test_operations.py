"""Audio and consents: what is stored under its hash, and what a phone's owner has decided."""

from __future__ import annotations

import base64
import io
import wave
from hashlib import sha256

import pytest

from dialer_adapters.switchboard.models import Consent
from tests.switchboard.desk import Answer, Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


def make_sound(seconds: int) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000 * seconds))
    return held.getvalue()


def upload(desk: Desk, content: bytes, digest: str | None = None) -> Answer:
    return desk.call(
        "UploadAudio",
        Sha256=digest or sha256(content).hexdigest(),
        ContentType="audio/wav",
        Content=base64.b64encode(content).decode(),
    )


def test_a_recording_is_stored_once_and_can_be_played_and_fetched(desk: Desk) -> None:
    sound = make_sound(3)
    first, again = upload(desk, sound), upload(desk, sound)
    assert (first["Created"], first["State"], first["DurationSeconds"]) == ("true", "READY", "3")
    assert (again["Created"], again["AudioID"]) == ("false", first["AudioID"])
    fetched = desk.call("GetAudio", AudioID=first["AudioID"])
    assert base64.b64decode(fetched["Content"] or "") == sound
    script = {"Live": {"AudioID": first["AudioID"]}}
    assert desk.submit(chain("c1", number(110)), Script=script)["Sealed"] == "true"


def test_a_recording_must_have_its_hash_and_its_size(desk: Desk) -> None:
    assert upload(desk, b"sound", "0" * 64).fault == ("InvalidRequestFault", "SCHEMA")
    too_large = upload(desk, bytes(5 * 1024 * 1024 + 1))
    assert too_large.fault == ("InvalidRequestFault", "TOO_LARGE")
    assert desk.call("GetAudio", AudioID="a-none").fault == ("NotFoundFault", "AUDIO")


def set_consent(desk: Desk, state: str, ref: str, last: int = 110) -> Answer:
    return desk.call(
        "SetTextConsent", PhoneNumber=number(last), State=state, ChangeRef=ref, Source="PORTAL"
    )


def test_a_changed_consent_is_taken_once(desk: Desk) -> None:
    first, again = set_consent(desk, "OPTED_IN", "r-1"), set_consent(desk, "OPTED_IN", "r-1")
    assert (first["State"], first["Replayed"], first["ConfirmationQueued"]) == (
        "OPTED_IN",
        "false",
        "true",
    )
    assert (again["Replayed"], again["ConfirmationQueued"]) == ("true", "true")
    assert set_consent(desk, "OPTED_OUT", "r-1").name == "ConflictFault"
    assert set_consent(desk, "OPTED_IN", "r-2")["ConfirmationQueued"] == "false"


def test_only_the_phones_owner_can_undo_stop(desk: Desk) -> None:
    set_consent(desk, "OPTED_OUT", "r-1")
    assert set_consent(desk, "OPTED_IN", "r-2")["State"] == "OPTED_IN"
    Consent.objects.update(stopped=True, state="OPTED_OUT")
    refused = set_consent(desk, "OPTED_IN", "r-3")
    assert refused.fault == ("ConflictFault", "CONSENT_STOPPED")


def test_consents_are_listed_by_number(desk: Desk) -> None:
    for last in (110, 111, 112):
        set_consent(desk, "OPTED_IN", f"r-{last}", last)
    page = desk.call("GetTextConsents", MaxEntries=2)
    assert [consent["PhoneNumber"] for consent in page.all("Consent")] == [number(110), number(111)]
    assert page["HasMore"] == "true"
    rest = desk.call("GetTextConsents", AfterNumber=number(111))
    assert [consent["PhoneNumber"] for consent in rest.all("Consent")] == [number(112)]
    assert rest["HasMore"] == "false"


@pytest.mark.parametrize("operation", ["GetInboundTexts", "GetRemoteDialInMessages"])
def test_what_cannot_happen_yet_is_an_empty_log(desk: Desk, operation: str) -> None:
    page = desk.call(operation, AfterSeq=0)
    assert (page["NextSeq"], page["HasMore"]) == ("0", "false")
    beyond = desk.call(operation, Epoch=page["Epoch"], AfterSeq=1)
    assert beyond.fault == ("CursorFault", "AHEAD_OF_LOG")
