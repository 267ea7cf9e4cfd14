"""Recordings and caller IDs over the real wire: the switchboard's books say what it was given."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from dialer_adapters.contract import DialerError, Rejected
from dialer_adapters.switchboard.accounts import save_account
from dialer_adapters.switchboard.models import Attempt, Audio, Job
from messenger import lifecycle
from messenger.models import Message, School
from messenger.tasks import expand_message
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over
from tests.launch.sending import confirmed, draft, expand_all, sender
from tests.sound.waves import tone
from tests.world import World
from voice import account, caller_ids, dispatch, recordings, sound
from voice.models import DialerBatch, DialerJob, LogCursor, SecondDoor, VoiceSettings
from voice.sound_models import CallerNumber, Prompt, Recording, UploadedAudio

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def record(pitch: float) -> Recording:
    """A recording of the sender's that no other test makes: the switchboard serves them all."""
    audio = recordings.store(sound.convert(tone(pitch=pitch)))
    return Recording.objects.create(audio=audio, uploaded_by=sender())


def send(recording: Recording | None, schools: list[School] | None = None) -> Message:
    ref = str(recording.uuid) if recording else ""
    return confirmed(schools, recording=ref, voice_text="Recorded (0:01)")


def stored_at(switchboard: Exchange, digest: str) -> list[tuple[str, bytes]]:
    def look() -> list[tuple[str, bytes]]:
        found = Audio.objects.filter(sha256=digest)
        return [(row.content_type, bytes(row.content)) for row in found]

    return ask_switchboard(switchboard.database, look)


def test_a_recorded_message_is_uploaded_before_its_job_and_played(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    recording = record(311)
    message = send(recording, [world.elementary])
    hand_over_by_tasks(message)
    finish(message)
    assert message.status == Message.Status.SENT
    ((content_type, content),) = stored_at(switchboard, recording.audio_id)
    assert content_type == "audio/wav"
    assert content == bytes(recording.audio.content)
    name = UploadedAudio.objects.get(audio=recording.audio).dialer_name
    said = DialerJob.objects.get(message=message).content["script"]
    assert said["live"][1][0] == name
    assert said["machine"][1][0] == name
    switchboard.judge(message)


def hand_over_by_tasks(message: Message) -> None:
    """As the workers do: the recording goes out before the first slice."""
    lifecycle.launch(message.pk)
    expand_message(message.pk)
    dispatch.push(message.pk)


def test_a_recording_is_uploaded_once_however_many_messages_play_it(
    account_open: VoiceSettings,
    world: World,
    switchboard: Exchange,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = record(317)
    uploads: list[int] = []
    adapter = type(account.adapter())
    before = adapter.put_audio

    def count(self: object, data: bytes, content_type: str) -> object:
        uploads.append(len(data))
        return before(self, data, content_type)  # type: ignore[arg-type]

    monkeypatch.setattr(adapter, "put_audio", count)
    first, second = send(recording), send(recording)
    for message in (first, second, first):
        recordings.ensure_uploaded(message)
    assert len(uploads) == 1
    # A restored dialer has lost it: its new epoch gets it once more (ruling 25).
    VoiceSettings.objects.update(epoch="restored")
    recordings.ensure_uploaded(first)
    recordings.ensure_uploaded(second)
    assert len(uploads) == 2


def test_a_dialer_that_is_away_gets_the_recording_when_it_is_back(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The launch goes on without it; before the job leaves, it is uploaded and named."""
    recording = record(331)
    message = send(recording, [world.elementary])
    switchboard.kill()
    lifecycle.launch(message.pk)
    expand_message(message.pk)
    job = DialerJob.objects.select_related("message").get(message=message)
    assert job.content["script"]["live"][1][0] == recording.audio_id
    with pytest.raises(DialerError):
        recordings.ensure_uploaded(message)
    dispatch.push(message.pk)
    switchboard.start()
    finish(message)
    assert message.status == Message.Status.SENT
    content = recordings.job_content(job)
    name = UploadedAudio.objects.get(audio=recording.audio).dialer_name
    assert content["script"]["live"][1][0] == name
    assert stored_at(switchboard, recording.audio_id)


def test_a_recording_goes_through_the_second_door_when_the_first_is_shut(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    recording = record(359)
    message = send(recording, [world.elementary])
    nobody = "http://127.0.0.1:9/soap"
    VoiceSettings.objects.update(
        endpoint=nobody, second_endpoint=switchboard.url, second_state=SecondDoor.VERIFIED
    )
    recordings.ensure_uploaded(message)
    assert stored_at(switchboard, recording.audio_id)


def test_a_schools_recorded_greeting_is_played_to_its_families(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    audio = recordings.store(sound.convert(tone(pitch=337)))
    Prompt.objects.create(kind="greeting", language="en-US", school=world.high, audio=audio)
    message = send(None)
    hand_over_by_tasks(message)
    finish(message)
    assert message.status == Message.Status.SENT
    assert stored_at(switchboard, audio.pk)
    # Nobody's chain was refused: the dialer knew the recording by its name in every one of them.
    batches = DialerBatch.objects.filter(job__message=message)
    assert set(batches.values_list("state", flat=True)) == {DialerBatch.State.ACCEPTED}
    switchboard.judge(message)


def test_a_schools_greeting_that_was_late_is_named_in_its_chains(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    audio = recordings.store(sound.convert(tone(pitch=349)))
    Prompt.objects.create(kind="greeting", language="en-US", school=world.high, audio=audio)
    message = send(None)
    lifecycle.launch(message.pk)
    expand_all(message)  # nothing was prepared: the chains are frozen with the hash
    batch = DialerBatch.objects.get(job__message=message, number=0)
    frozen = json.loads(batch.content)
    assert audio.pk in batch.content
    job = DialerJob.objects.select_related("message").get(message=message)
    finish(message)
    assert message.status == Message.Status.SENT
    assert {b.state for b in DialerBatch.objects.filter(job__message=message)} == {"accepted"}
    name = UploadedAudio.objects.get(audio=audio).dialer_name
    sent = json.dumps(recordings.chains_content(job, frozen))
    assert audio.pk not in sent
    assert name in sent


def test_without_recordings_nothing_is_asked(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    message = send(None)
    hand_over(message)
    job = DialerJob.objects.select_related("message").get(message=message)
    assert recordings.job_content(job) is job.content
    finish(message)
    assert not UploadedAudio.objects.exists()


# ------------------------------------------------------------------------------------ caller IDs


@pytest.fixture
def registered(switchboard: Exchange, account_open: VoiceSettings) -> Iterator[str]:
    """The dialer knows one number of this district and refuses every other."""
    number = "+16125550170"
    save = partial(save_account, switchboard.username, switchboard.password, "district-1")
    ask_switchboard(switchboard.database, lambda: save((number,)))
    yield number
    ask_switchboard(switchboard.database, save)


def test_a_number_is_verified_by_the_dialer_and_nobody_is_called(
    registered: str, switchboard: Exchange
) -> None:
    good = CallerNumber.objects.create(number=registered)
    bad = CallerNumber.objects.create(number="+16125550171")
    assert caller_ids.verify(good).kind == account.FINE
    assert caller_ids.verify(bad).kind == account.REFUSED
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.verified_at is not None
    assert bad.verified_at is None
    assert "not registered" in bad.trouble

    def probes() -> tuple[set[str], int]:
        jobs = Job.objects.filter(body__caller_id=registered)
        dialed = Attempt.objects.filter(job_id__in=jobs.values("pk")).count()
        return set(jobs.values_list("state", flat=True)), dialed

    assert ask_switchboard(switchboard.database, probes) == ({"CANCELLED"}, 0)
    # What could not be asked changes nothing.
    switchboard.kill()
    assert caller_ids.verify(good).kind == account.UNREACHABLE
    good.refresh_from_db()
    assert good.verified_at is not None


def test_the_dialers_word_about_a_number_does_not_disturb_the_call_log(
    registered: str, switchboard: Exchange, world: World
) -> None:
    """The probe's own entries are read past: the next message is sent and finished."""
    caller_ids.verify(CallerNumber.objects.create(number=registered))
    VoiceSettings.objects.update(default_caller_id=registered)
    message = send(None, [world.elementary])
    hand_over_by_tasks(message)
    finish(message)
    assert message.status == Message.Status.SENT
    assert LogCursor.objects.get(current=True).trouble == ""


def test_an_unusable_recording_is_refused_before_anything_leaves(
    account_open: VoiceSettings, world: World
) -> None:
    message = send(None)
    message.settings_frozen["audio"] = ["0" * 64]
    with pytest.raises(Rejected):
        recordings.ensure_uploaded(message)


def test_somebody_elses_recording_cannot_be_sent(account_open: VoiceSettings, world: World) -> None:
    recording = record(347)
    made = draft(user=sender("another"), recording=str(recording.uuid))
    with pytest.raises(lifecycle.CannotSend, match="not there any more"):
        lifecycle.confirm(made, made.user)
