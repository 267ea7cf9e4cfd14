"""WAV files as people bring them: made here, of every kind that matters."""

import io
import itertools
import math
import struct
import wave


def tone(
    seconds: float = 1.0,
    rate: int = 44_100,
    channels: int = 2,
    width: int = 2,
    pitch: float = 440.0,
    loud: float = 0.5,
) -> bytes:
    """A sine as integer PCM: 16 or 24 or 32 bit signed, 8 bit unsigned."""
    top = (1 << (8 * width - 1)) - 1
    samples = bytearray()
    for n in range(int(seconds * rate)):
        value = int(loud * top * math.sin(2 * math.pi * pitch * n / rate))
        one = (value + 128).to_bytes(1, "little") if width == 1 else _signed(value, width)
        samples += one * channels
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(bytes(samples))
    return file.getvalue()


def _signed(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little", signed=True)


def silence(seconds: float = 1.0) -> bytes:
    return tone(seconds, rate=8000, channels=1, loud=0.0)


def mulaw(seconds: float = 1.0) -> bytes:
    """µ-law at 8 kHz, as telephone systems store it: loud samples of alternating sign."""
    data = bytes([0x10, 0x90] * int(seconds * 4000))
    head = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(head)) + head
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def slowed(data: bytes, rate: int) -> bytes:
    """The same file, saying that it has another rate."""
    return data[:24] + struct.pack("<I", rate) + data[28:]


def read(data: bytes) -> tuple[int, int, int, list[int]]:
    """(channels, bytes a sample, rate, samples) of a 16 bit file."""
    with wave.open(io.BytesIO(data)) as sound:
        frames = sound.readframes(sound.getnframes())
        samples = list(struct.unpack(f"<{len(frames) // 2}h", frames))
        return sound.getnchannels(), sound.getsampwidth(), sound.getframerate(), samples


def crossings(samples: list[int]) -> int:
    """How often the sound passes zero upwards: its pitch, whatever its loudness."""
    return sum(1 for a, b in itertools.pairwise(samples) if a < 0 <= b)
