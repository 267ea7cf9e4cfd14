"""Recordings under the hash of their bytes: UploadAudio, GetAudio, and what a recording must be.

WAV at 8 kHz with one channel, 16-bit PCM or µ-law, at most 5 MiB: what a telephone line carries.
The header is read here because the standard library's reader knows no µ-law.
"""

from __future__ import annotations

import base64
import binascii
import struct
from hashlib import sha256
from typing import NamedTuple

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller
from dialer_adapters.switchboard.envelope import element, read_text
from dialer_adapters.switchboard.faults import InvalidRequestFault, NotFoundFault
from dialer_adapters.switchboard.models import Audio

MAX_AUDIO_BYTES = 5 * 1024 * 1024
CONTENT_TYPES = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
RATE = 8000  # Hz
PCM, MU_LAW = 1, 7
BITS = {PCM: 16, MU_LAW: 8}


class NotTelephoneAudio(ValueError):
    """The bytes are no recording that a line can play; the text says why."""


class Format(NamedTuple):
    """The `fmt ` chunk of a WAV file, as far as it matters."""

    kind: int
    channels: int
    rate: int
    bits: int


def measure(content: bytes) -> int:
    """Seconds of a recording, rounded. Raises NotTelephoneAudio."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise NotTelephoneAudio("Not a WAV file.")
    found: Format | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int(struct.unpack_from("<I", content, at + 4)[0])
        at += 8
        if name == b"fmt " and size >= 16 and at + 16 <= len(content):
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, at)
            found = Format(kind, channels, rate, bits)
        elif name == b"data":
            return _count_seconds(found, min(size, len(content) - at))
        at += size + size % 2
    raise NotTelephoneAudio("The WAV file holds no sound.")


def _count_seconds(found: Format | None, size: int) -> int:
    if found is None or found.kind not in BITS or found.bits != BITS[found.kind]:
        raise NotTelephoneAudio("Sound must be 16-bit PCM or µ-law.")
    if (found.channels, found.rate) != (1, RATE):
        raise NotTelephoneAudio("Sound must have 8 kHz and one channel.")
    if not size:
        raise NotTelephoneAudio("The WAV file holds no sound.")
    return round(size * 8 / found.bits / RATE)


def make_audio_id(digest: str) -> str:
    """The AudioID of a hash: the same bytes always have the same."""
    return f"a{digest[:40]}"


def store_audio(account_id: int, content: bytes, content_type: str) -> tuple[Audio, bool]:
    """Store a recording, or find it stored; whether it is new. Raises NotTelephoneAudio."""
    seconds = measure(content)
    return Audio.objects.get_or_create(
        account_id=account_id,
        sha256=sha256(content).hexdigest(),
        defaults={"content_type": content_type, "content": content, "seconds": seconds},
    )


def upload_audio(caller: Caller, operation: etree._Element) -> list[str]:
    """Store a recording under the hash of its bytes. Raises InvalidRequestFault."""
    digest = read_text(operation, "Sha256") or ""
    content_type = (read_text(operation, "ContentType") or "").lower()
    try:
        content = base64.b64decode("".join((operation.findtext("{*}Content") or "").split()))
    except binascii.Error as error:
        raise InvalidRequestFault("SCHEMA", "Not base64.", "Content") from error
    if len(content) > MAX_AUDIO_BYTES:
        raise InvalidRequestFault("TOO_LARGE", "Audio has at most 5 MiB.", "Content")
    if sha256(content).hexdigest() != digest:
        raise InvalidRequestFault("SCHEMA", "The content has another hash.", "Sha256")
    if content_type not in CONTENT_TYPES:
        raise InvalidRequestFault("SCHEMA", "Audio must be audio/wav.", "ContentType")
    try:
        audio, created = store_audio(caller.account_id, content, content_type)
    except NotTelephoneAudio as error:
        raise InvalidRequestFault("SCHEMA", str(error), "Content") from error
    return [
        element("AudioID", make_audio_id(digest)),
        element("Created", created),
        element("State", "READY"),
        element("DurationSeconds", audio.seconds),
    ]


def get_audio(caller: Caller, operation: etree._Element) -> list[str]:
    """A stored recording. Raises NotFoundFault."""
    audio_id = read_text(operation, "AudioID") or ""
    audio = Audio.objects.filter(
        account_id=caller.account_id, sha256__startswith=audio_id[1:]
    ).first()
    if audio is None or audio_id != make_audio_id(audio.sha256):
        raise NotFoundFault("AUDIO", "No such recording.")
    return [
        element("AudioID", audio_id),
        element("ContentType", audio.content_type),
        element("Sha256", audio.sha256),
        element("Content", base64.b64encode(bytes(audio.content)).decode("ascii")),
    ]
