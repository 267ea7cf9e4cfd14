"""Keywords and consent as pure rules, and the parts a text is sent in."""

from __future__ import annotations

import pytest

from dialer_adapters.switchboard.keywords import Keyword, Standing, follow, recognize
from dialer_adapters.switchboard.segments import count_segments


@pytest.mark.parametrize(
    ("body", "keyword"),
    [
        ("STOP", "STOP"),
        (" stop. ", "STOP"),
        ("Stop!!", "STOP"),
        ("\u201cStop\u201d", "STOP"),
        ("\uff33\uff34\uff2f\uff30", "STOP"),
        *((word, "STOP") for word in ("stopall", "End", "cancel", "Unsubscribe", "QUIT", "Revoke")),
        *((word, "STOP") for word in ("OptOut", "opt out", "Opt-Out", "opt\n out", "ALTO", "pare")),
        *((word, "START") for word in ("START", "join", "Unstop.")),
        *((word, "YES") for word in ("Yes", "y", "YES!")),
        *((word, "HELP") for word in ("help", "Info?")),
        *((word, "NONE") for word in ("", "...", "0", "no", "stop by", "we can't stop by")),
        *((word, "NONE") for word in ("Please stop texting", "yes please", "start now", "stops")),
    ],
)
def test_a_text_is_a_keyword_only_when_it_is_nothing_else(body: str, keyword: str) -> None:
    assert recognize(body) == keyword


STOPPED = Standing("OPTED_OUT", stopped=True)
PENDING_AFTER_STOP = Standing("PENDING", stopped=True)


@pytest.mark.parametrize(
    ("before", "keyword", "after"),
    [
        (Standing(), "START", Standing("PENDING")),
        (Standing("PENDING"), "YES", Standing("OPTED_IN")),
        (Standing(), "YES", Standing()),
        (Standing("OPTED_IN"), "START", Standing("OPTED_IN")),
        (Standing(), "STOP", STOPPED),
        (Standing("PENDING"), "STOP", STOPPED),
        (Standing("OPTED_IN"), "STOP", STOPPED),
        (STOPPED, "YES", STOPPED),
        (STOPPED, "START", PENDING_AFTER_STOP),
        (PENDING_AFTER_STOP, "STOP", STOPPED),
        (PENDING_AFTER_STOP, "YES", Standing("OPTED_IN")),
        (Standing("OPTED_OUT"), "START", Standing("PENDING")),
        (Standing("OPTED_IN"), "HELP", Standing("OPTED_IN")),
        (Standing("OPTED_IN"), "NONE", Standing("OPTED_IN")),
    ],
)
def test_consent_follows_the_owner_of_the_phone(
    before: Standing, keyword: Keyword, after: Standing
) -> None:
    assert follow(before, keyword) == after


def test_after_stop_nothing_is_sent_until_the_whole_opt_in_is_repeated() -> None:
    standing = Standing("OPTED_IN")
    blocked = []
    for keyword in ("STOP", "START", "YES"):
        standing = follow(standing, keyword)
        blocked.append(standing.blocked)
    assert blocked == [True, True, False]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("é" * 160, 1),
        ("ё" * 70, 1),
        ("ё" * 71, 2),
        ("ё" * 134, 2),
        ("ё" * 135, 3),
        ("a" * 69 + "\u2019", 1),
        ("\U0001f3eb" * 35, 1),
        ("\U0001f3eb" * 36, 2),
        # 67 units to a part hold 33 of them: none is torn in two.
        ("\U0001f3eb" * 67, 3),
        ("a" * 152 + "€" * 5, 2),
    ],
)
def test_a_text_is_sent_in_as_many_parts_as_it_needs(text: str, segments: int) -> None:
    assert count_segments(text) == segments
