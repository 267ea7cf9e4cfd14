"""A program of its own that touches sound: reads a WAV file that came from outside, or speaks.

Both are done by C libraries (miniaudio, eSpeak NG) with bytes and words that strangers may have
made, so they run in a child with limits of its own: whatever happens here, no web or worker process
falls over. It imports neither Django nor this project; `voice.sound` starts it and knows the words
for its refusals. One JSON request on standard input, one WAV file on standard output, or exit code
3 with the refusal's name on standard error.
"""

import base64
import ctypes
import io
import json
import resource
import sys
import wave
from typing import Any

import espeakng_loader
import miniaudio

# The telephone's sound, and the only one the dialer takes (contract 7.2).
RATE = 8000
LONGEST_SECONDS = 300  # 4.8 MB at 8 kHz: below the dialer's 5 MiB
SHORTEST_SECONDS = 0.5
RATES = (6_000, 192_000)
MOST_CHANNELS = 8
SILENCE = 100  # of 32,767: a microphone that was switched off
PAUSE_MS = 350  # between two pieces of a call
WORDS_A_MINUTE = 150
REFUSED = 3

_RETRIEVAL, _DONT_EXIT = 1, 0x8000
_UTF8, _AT_CHARACTER, _RATE_PARAMETER = 1, 1, 1
_Heard = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Refusal(Exception):
    """The sound cannot be used; its text is the name that `voice.sound` has words for."""


def convert(data: bytes) -> bytes:
    """Any PCM, float, A-law or µ-law WAV to 8 kHz mono 16 bit samples. Raises Refusal."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise Refusal("not_wav")
    try:
        info = miniaudio.wav_get_info(data)
    except miniaudio.DecodeError as error:
        raise Refusal("broken") from error
    if not RATES[0] <= info.sample_rate <= RATES[1] or not 1 <= info.nchannels <= MOST_CHANNELS:
        raise Refusal("format")
    if info.duration > LONGEST_SECONDS:
        raise Refusal("too_long")
    if info.duration < SHORTEST_SECONDS:
        raise Refusal("too_short")
    try:
        decoded = miniaudio.decode(data, miniaudio.SampleFormat.SIGNED16, 1, RATE)
    except miniaudio.DecodeError as error:
        raise Refusal("broken") from error
    samples = decoded.samples
    if not samples or max(max(samples), -min(samples)) < SILENCE:
        raise Refusal("silent")
    return samples.tobytes()


def speak(words: str, voice: str, library: Any, rate: int) -> bytes:
    """The words in a voice of eSpeak NG, as 8 kHz mono 16 bit samples."""
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise Refusal("no_voice")
    heard: list[bytes] = []

    def keep(samples: Any, count: int, _events: Any) -> int:
        if count > 0:
            heard.append(ctypes.string_at(samples, count * 2))
        return 0

    callback = _Heard(keep)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetParameter(_RATE_PARAMETER, WORDS_A_MINUTE, 0)
    text = words.encode() + b"\0"
    library.espeak_Synth(text, len(text), 0, _AT_CHARACTER, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sixteen = miniaudio.SampleFormat.SIGNED16
    said = b"".join(heard)
    return (
        bytes(miniaudio.convert_frames(sixteen, 1, rate, said, sixteen, 1, RATE)) if said else b""
    )


def open_speech() -> tuple[Any, int]:
    """The library of eSpeak NG from its wheel, and the rate of its samples."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(_RETRIEVAL, 0, data, _DONT_EXIT)
    if rate <= 0:
        raise Refusal("no_voice")
    return library, rate


def render(pieces: list[dict[str, str]]) -> bytes:
    """A whole call: words and recordings one after the other, with a short pause between."""
    library, rate = open_speech()
    parts = []
    for piece in pieces:
        if "wav" in piece:
            with wave.open(io.BytesIO(base64.b64decode(piece["wav"]))) as sound:
                parts.append(sound.readframes(sound.getnframes()))
        else:
            parts.append(speak(piece["say"], piece["voice"], library, rate))
    return (b"\0\0" * (RATE * PAUSE_MS // 1000)).join(part for part in parts if part)


def as_wav(samples: bytes) -> bytes:
    """The samples as a WAV file; the same samples always make the same bytes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples)
    return file.getvalue()


def main() -> int:
    # Half a GB and twenty seconds are ten times what the longest recording needs.
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    request = json.load(sys.stdin.buffer)
    try:
        if "convert" in request:
            samples = convert(base64.b64decode(request["convert"]))
        else:
            samples = render(request["pieces"])
    except Refusal as refusal:
        sys.stderr.write(str(refusal))
        return REFUSED
    sys.stdout.buffer.write(as_wav(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
