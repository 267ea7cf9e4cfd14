"""Recordings on their way: from a person's file to the database, and from there to the dialer.

A file is converted and kept once under its hash; each person who brought it has a row of their own,
so that nobody reaches another's recording by its number. A dialer gets each recording once for each
of its states and epochs (ruling 25), before the job that plays it is submitted. What is played when
is decided in `voice.script`.
"""

import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from django.core.exceptions import ValidationError
from django.urls import reverse

from dialer_adapters.contract import ChainRow, Rejected, Retry, StoredAudio
from messenger.channels.registry import KeptRecording
from messenger.models import Message, User
from messenger.one_at_a_time import only_one
from voice import account, sound
from voice.models import DialerJob, VoiceSettings
from voice.sound_models import AudioFile, Recording, UploadedAudio

log = logging.getLogger(__name__)

CONTENT_TYPE = "audio/wav"
# Another worker is uploading the same recording: look again after so many seconds.
SOON = 2
UPLOAD_SECONDS = 90.0  # through two end points, 30 s each at most


def store(made: sound.Sound) -> AudioFile:
    """Keeps a sound under its hash; the same sound is kept once."""
    audio, _created = AudioFile.objects.get_or_create(
        sha256=sha256(made.content).hexdigest(),
        defaults={"content": made.content, "seconds": made.seconds},
    )
    return audio


def sound_of(digest: str) -> sound.Sound:
    """The sound under a hash. Raises AudioFile.DoesNotExist."""
    return sound.Sound(bytes(AudioFile.objects.get(pk=digest).content))


class DistrictRecorder:
    """What the compose page may do with recordings (`channels.registry.Recorder`)."""

    most_bytes = sound.MOST_BYTES

    def keep(self, data: bytes, user: User) -> KeptRecording:
        return _kept(Recording.objects.create(audio=store(sound.convert(data)), uploaded_by=user))

    def find(self, ref: str, user: User) -> KeptRecording | None:
        recording = recording_of(ref, user.pk)
        return _kept(recording) if recording else None


def recording_of(ref: str, user_id: int | None) -> Recording | None:
    """The recording of that reference if this user brought it."""
    try:
        found = Recording.objects.filter(uuid=ref, uploaded_by_id=user_id or 0)
        return found.select_related("audio").defer("audio__content").first()
    except ValidationError:  # not a UUID at all
        return None


def _kept(recording: Recording) -> KeptRecording:
    return KeptRecording(
        ref=str(recording.uuid),
        seconds=recording.audio.seconds,
        url=reverse("recording", args=[recording.uuid]),
    )


# ------------------------------------------------------------------------------ to the dialer


def ensure_uploaded(message: Message) -> None:
    """Uploads what the message plays and its dialer does not have yet, each recording once.

    May be repeated. Raises what the adapter raises (`Retry` also while another worker uploads the
    same recording) and `credentials.Unreadable`; never inside a transaction: it waits for the
    dialer.
    """
    digests = message.settings_frozen.get("audio", [])
    if not digests:
        return
    settings = VoiceSettings.current()
    there = _uploads(settings, digests).values_list("audio_id", flat=True)
    for digest in sorted(set(digests) - set(there)):
        _upload(digest, settings)


def _uploads(settings: VoiceSettings, digests: Iterable[str]) -> Any:
    return UploadedAudio.objects.filter(
        state_id=settings.state_id, epoch=settings.epoch, audio_id__in=list(digests)
    )


def _upload(digest: str, settings: VoiceSettings) -> None:
    with only_one("audio", int(digest[:12], 16), UPLOAD_SECONDS) as alone:
        if not alone:
            raise Retry("busy", retry_after=SOON, detail="another worker uploads this recording")
        if _uploads(settings, [digest]).exists():
            return
        try:
            content = sound_of(digest).content
        except AudioFile.DoesNotExist as error:
            raise Rejected("UNKNOWN_AUDIO", "AudioID", local=True) from error
        stored = _put(settings, content)
        UploadedAudio.objects.create(
            audio_id=digest,
            state_id=settings.state_id,
            epoch=settings.epoch,
            dialer_name=stored.audio_id,
        )


def _put(settings: VoiceSettings, content: bytes) -> StoredAudio:
    """Through the first door that answers: all of them lead to one account (ruling 23)."""
    *others, last = account.doors(settings)
    for endpoint in others:
        try:
            return account.adapter(settings, endpoint).put_audio(content, CONTENT_TYPE)
        except Retry as doubt:
            log.warning("a recording goes through the next end point: %s", doubt)
    return account.adapter(settings, last).put_audio(content, CONTENT_TYPE)


def dialer_names(message: Message) -> dict[str, str]:
    """Hash → AudioID for what the message plays, as far as the dialer has it."""
    digests = message.settings_frozen.get("audio", [])
    if not digests:
        return {}
    settings = VoiceSettings.current()
    return dict(_uploads(settings, digests).values_list("audio_id", "dialer_name"))


def job_content(job: DialerJob) -> dict[str, Any]:
    """The frozen job as it goes over the wire, after `ensure_uploaded`: its recordings under the
    dialer's names."""
    content: dict[str, Any] = job.content
    if not job.message.settings_frozen.get("audio"):
        return content
    return {**content, "script": _named(content["script"], dialer_names(job.message))}


def chains_content(job: DialerJob, chains: list[ChainRow]) -> list[ChainRow]:
    """Frozen chains as they go over the wire: recordings in scripts of their own (a school's
    prompts) under the dialer's names."""
    if not job.message.settings_frozen.get("audio"):
        return chains
    names = dialer_names(job.message)
    named: list[ChainRow] = []
    for chain in chains:
        own = chain.get("x")
        named.append({**chain, "x": _named(own, names)} if own else chain)
    return named


def _named(script: Any, names: dict[str, str]) -> Any:
    """A script whose hashes are replaced by the names that are known."""
    played = {
        part: [[names.get(audio, audio), *rest] for audio, *rest in script.get(part) or []]
        for part in ("live", "machine")
    }
    return {**script, **played}
