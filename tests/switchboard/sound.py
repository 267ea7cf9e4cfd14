"""Recordings for tests: WAV files of a second or more of silence."""

from __future__ import annotations

import struct


def make_sound(
    seconds: float = 1.0, kind: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16
) -> bytes:
    """A WAV file; by default 16-bit PCM (kind 1) of one channel at 8 kHz, as a line plays it."""
    frame = channels * bits // 8
    data = bytes(int(seconds * rate) * frame)
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits)
    chunks = b"fmt " + struct.pack("<I", len(head)) + head
    chunks += b"LIST" + struct.pack("<I", 5) + b"INFO?\0"  # an odd chunk, padded to an even length
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
