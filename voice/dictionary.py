"""The TTS Dictionary: words that a voice says wrong, and how it is to say them.

Applied once, when the words of a message are frozen; the log keeps what was written. Whole words
only and whatever the case, in one pass, so that a replacement is never replaced again.
"""

import re
from collections.abc import Mapping

from voice.sound_models import SpokenWord


def read_dictionary() -> dict[str, str]:
    """Every entry: the word in small letters → what is said."""
    return {
        word.casefold(): say_as for word, say_as in SpokenWord.objects.values_list("word", "say_as")
    }


def apply(entries: Mapping[str, str], words: str) -> str:
    """The words as they are said. "LHS" does not touch "LHSAA"; the longest entry wins."""
    if not entries:
        return words
    longest_first = sorted(entries, key=len, reverse=True)
    # A sign of a word on neither side; \b would not see the end of "A.M." or "C++".
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
    return re.sub(
        pattern,
        lambda found: entries.get(found[0].casefold(), found[0]),
        words,
        flags=re.IGNORECASE,
    )
