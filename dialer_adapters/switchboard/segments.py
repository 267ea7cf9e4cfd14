"""How many parts a text is sent in (contract 4.6): pure counting, nothing else."""

from __future__ import annotations

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
TWO_PLACES = frozenset("€[]{}\\^~|\f")


def count_segments(text: str) -> int:
    """The parts of a text, at least 1. GSM-7: 160 places, or 153 in each of several parts; a single
    character outside it makes all of it UCS-2: 70, or 67, in units of 16 bits. A character of two
    places is never torn apart."""
    if all(char in GSM_7 or char in TWO_PLACES for char in text):
        sizes = [2 if char in TWO_PLACES else 1 for char in text]
        whole, part = 160, 153
    else:
        sizes = [2 if ord(char) > 0xFFFF else 1 for char in text]
        whole, part = 70, 67
    if sum(sizes) <= whole:
        return 1
    parts, left = 1, part
    for size in sizes:
        if size > left:
            parts, left = parts + 1, part
        left -= size
    return parts
