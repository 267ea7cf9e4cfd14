"""Recordings: stored under the hash of their bytes, and only what a telephone line can play."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from dialer_adapters.switchboard.models import Audio
from tests.switchboard.desk import Answer, Desk, chain, number
from tests.switchboard.sound import make_sound

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


def upload(
    desk: Desk, content: bytes, digest: str | None = None, content_type: str = "audio/wav"
) -> Answer:
    return desk.call(
        "UploadAudio",
        Sha256=digest or sha256(content).hexdigest(),
        ContentType=content_type,
        Content=base64.b64encode(content).decode(),
    )


def test_a_recording_is_stored_once_and_can_be_played_and_fetched(desk: Desk) -> None:
    sound = make_sound(3)
    first, again = upload(desk, sound), upload(desk, sound)
    assert (first["Created"], first["State"], first["DurationSeconds"]) == ("true", "READY", "3")
    assert (again["Created"], again["AudioID"]) == ("false", first["AudioID"])
    assert Audio.objects.count() == 1
    fetched = desk.call("GetAudio", AudioID=first["AudioID"])
    assert base64.b64decode(fetched["Content"] or "") == sound
    assert fetched["Sha256"] == sha256(sound).hexdigest()
    script = {"Live": {"AudioID": first["AudioID"]}}
    assert desk.submit(chain("c1", number(110)), Script=script)["Sealed"] == "true"


def test_a_recording_is_its_accounts_own(desk: Desk) -> None:
    audio_id = upload(desk, make_sound())["AudioID"]
    Audio.objects.update(account_id=desk.open_account("other"))
    assert desk.call("GetAudio", AudioID=audio_id).fault == ("NotFoundFault", "AUDIO")
    refused = desk.submit(chain("c1", number(110)), Script={"Live": {"AudioID": audio_id}})
    assert refused.fault == ("InvalidRequestFault", "UNKNOWN_AUDIO")


def test_a_recording_must_have_its_hash_and_its_size(desk: Desk) -> None:
    assert upload(desk, make_sound(), "0" * 64).fault == ("InvalidRequestFault", "SCHEMA")
    too_large = upload(desk, bytes(5 * 1024 * 1024 + 1))
    assert too_large.fault == ("InvalidRequestFault", "TOO_LARGE")
    assert desk.call("GetAudio", AudioID="a-none").fault == ("NotFoundFault", "AUDIO")


def test_the_largest_recording_is_taken(desk: Desk) -> None:
    head = len(make_sound(0))
    sound = make_sound((5 * 1024 * 1024 - head) / 16000)
    assert 5 * 1024 * 1024 - len(sound) < 16
    assert upload(desk, sound)["Created"] == "true"


def test_mu_law_is_taken_too(desk: Desk) -> None:
    answer = upload(desk, make_sound(2, kind=7, bits=8), content_type="audio/x-wav")
    assert (answer["State"], answer["DurationSeconds"]) == ("READY", "2")


@pytest.mark.parametrize(
    ("content", "content_type", "field"),
    [
        (make_sound(rate=44100), "audio/wav", "Content"),
        (make_sound(channels=2), "audio/wav", "Content"),
        (make_sound(bits=8), "audio/wav", "Content"),
        (make_sound(kind=3, bits=32), "audio/wav", "Content"),
        (make_sound(0), "audio/wav", "Content"),
        (make_sound()[:40], "audio/wav", "Content"),
        (b"ID3" + bytes(400), "audio/wav", "Content"),
        (make_sound(), "audio/mpeg", "ContentType"),
    ],
    ids=["44 kHz", "stereo", "8-bit PCM", "float", "empty", "cut", "no WAV", "called MP3"],
)
def test_what_a_line_cannot_play_is_refused(
    desk: Desk, content: bytes, content_type: str, field: str
) -> None:
    answer = upload(desk, content, content_type=content_type)
    assert answer.fault == ("InvalidRequestFault", "SCHEMA")
    assert answer["Field"] == field
    assert Audio.objects.count() == 0
