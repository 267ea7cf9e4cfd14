"""How many calls of a message will not fit into its dialing window: an estimate for the check page.

The formula, in seconds of one line:

    needed by a number = tries × (dialing + ringing + talking)
    tries              = 1 + u + u² ... for as many redials as the window has time for
    numbers that fit   = the smaller of  lines × window ÷ needed by a number
                         and             chains × window ÷ one call   (a chain rings one at a time)

Lines are the fewer of the contract's (set by hosting) and the dialer's own (told with each
verification); without either nothing is said. The window is what is left of message ∩ district
hours, and of 8:00 to 21:00 where the schools are. Talking is the message as frozen, prompts
included: recordings by their length, words at the pace of a speech engine, and nobody hangs up
early. How many people answer is nobody's to know before: the shares below are those of the
switchboard's town. So the number is rounded and called "about". Pure but for `foresee`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import floor, log10
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import dateformat
from django.utils.translation import gettext as _

from dialer_adapters.contract import Segment
from messenger.audience.preview import Preview
from messenger.composition import Composition
from messenger.models import District, Mode, School
from messenger.templatetags.shown import number
from voice import script
from voice.models import VoiceSettings
from voice.sound_models import AudioFile
from voice.windows import Window, local_parts, time_to_call

# Of a hundred calls: people, machines, phones that ring out, and what ends at once (busy, no
# service). The ordinary numbers of `dialer_adapters.switchboard.lines.simulated`.
LIVE, MACHINE, RINGS_OUT, AT_ONCE = 0.43, 0.29, 0.17, 0.11
DIALING = 3.0  # seconds until it rings
RINGING = 12.0  # seconds until somebody answers: two rings; a machine a little later
NOTHING = 2.0  # seconds that a busy signal takes, or a machine that is hung up on
WORDS_A_SECOND = 2.5
# Chinese, Japanese and Korean are written without spaces, a sign a syllable.
SIGNS_A_SECOND = 4.0
FIRST_SIGN = "\u2e80"


@dataclass(frozen=True)
class Load:
    """What is to be called, on what. `dials` are numbers with each chain's own, redials apart;
    `live` and `machine` what a call plays to each; all times in seconds."""

    dials: int
    chains: int
    lines: int
    window: float
    live: float
    machine: float
    ring: float = 30.0
    redials: int = 2
    pause: float = 900.0
    redial_machine: bool = False


def seconds_a_call(load: Load) -> float:
    """How long a call holds its line, on average."""
    answered = min(RINGING, load.ring)
    return (
        DIALING
        + LIVE * (answered + load.live)
        + MACHINE * (answered + load.machine)
        + RINGS_OUT * load.ring
        + AT_ONCE * NOTHING
    )


def tries_a_number(load: Load) -> float:
    """How often a number is dialed, on average: again after busy and no answer, while the window
    has time for it."""
    again = RINGS_OUT + AT_ONCE + (MACHINE if load.redial_machine else 0.0)
    possible = int(min(load.redials, load.window / load.pause)) if load.pause > 0 else load.redials
    return float(sum(again**redial for redial in range(possible + 1)))


def count_left_over(load: Load) -> int:
    """How many numbers will not have been dialed at the window's end."""
    call = seconds_a_call(load)
    by_lines = load.lines * load.window / (call * tries_a_number(load))
    # A chain that has begun is one call, however short the window.
    by_chains = load.chains * max(1.0, load.window / call) if load.window > 0 else 0.0
    return max(0, load.dials - floor(min(by_lines, by_chains)))


def spoken_seconds(segments: Iterable[Segment], lengths: Mapping[str, float]) -> float:
    """How long segments play; `lengths` are those of recordings."""
    return sum(
        lengths.get(segment.audio_id, 0.0)
        if segment.audio_id
        else _reading_seconds(segment.say or "")
        for segment in segments
    )


def _reading_seconds(words: str) -> float:
    signs = sum(character >= FIRST_SIGN for character in words)
    return (
        signs / SIGNS_A_SECOND + len(words.split()) / WORDS_A_SECOND
        if signs < len(words) / 2
        else signs / SIGNS_A_SECOND
    )


def roughly(count: int) -> int:
    """Two digits that mean something: 1,312 → 1,300; nobody can know better."""
    step = 10 ** max(0, floor(log10(count)) - 1) if count else 1
    return round(count / step) * step


# ------------------------------------------------------------------------------------- in words


def zones_of(school_ids: Collection[int], district: District) -> dict[ZoneInfo, list[str]]:
    """The zones that calls about these schools go to, with the schools' names (ruling 4)."""
    zones: dict[ZoneInfo, list[str]] = {}
    rows = School.objects.filter(pk__in=school_ids).order_by("name")
    for name, zone in rows.values_list("name", "time_zone"):
        zones.setdefault(ZoneInfo(zone) if zone else district.zone, []).append(name)
    return zones


def lines_of(settings: VoiceSettings) -> int | None:
    """The lines that messages other than emergencies have; None when nobody has told."""
    known = [lines for lines in (settings.lines, settings.dialer_lines) if lines]
    return min(known) if known else None


def load_of(
    composition: Composition, counted: Preview, settings: VoiceSettings, window: timedelta
) -> Load | None:
    """The load of a message; None when it cannot be told."""
    lines = lines_of(settings)
    if lines is None or Mode.VOICE not in composition.modes or not counted.dials:
        return None
    frozen = script.freeze(composition)
    lengths = dict(AudioFile.objects.filter(pk__in=frozen["audio"]).values_list("pk", "seconds"))
    said = script.build(frozen)
    live, machine = (spoken_seconds(part, lengths) for part in (said.live, said.machine))
    dials, chains = counted.dials, counted.chains
    if settings.bundle_messages:
        # Several messages in one call: words that they share, and here all are, are said once.
        dials, chains = counted.joined_dials, counted.joined_chains
    return Load(
        dials=dials,
        chains=chains,
        lines=lines,
        window=window.total_seconds(),
        live=live,
        machine=machine if settings.leave_message else NOTHING,
        ring=settings.ring_seconds,
        redials=settings.redials,
        pause=settings.minutes_between_redials * 60.0,
        redial_machine=settings.redial_machine,
    )


def foresee(
    composition: Composition, counted: Preview, window: Window, settings: VoiceSettings
) -> list[str]:
    """What the sender should know of the window: schools where nobody can be called in it, and how
    many calls will not fit. Empty when all is well."""
    district = District.current()
    zones = zones_of(composition.criteria.school_ids, district)
    silent = [
        name for zone, names in zones.items() if not local_parts(window, zone) for name in names
    ]
    said = [_silent_words(silent)] if silent else []
    parts = [part for zone in zones for part in local_parts(window, zone)]
    if not parts:
        return said
    widest = max(time_to_call(window, zone) for zone in zones)
    load = load_of(composition, counted, settings, widest)
    if load is not None and (left := count_left_over(load)):
        end = max(part.end for part in parts).astimezone(district.zone)
        said.append(_left_over_words(load, left, dateformat.format(end, "g:i A")))
    return said


def _silent_words(schools: list[str]) -> str:
    words = _(
        "Nobody will be called about %(schools)s: where they are, the dialing window lies outside "
        "8:00 AM to 9:00 PM. Choose another time for them."
    )
    return words % {"schools": ", ".join(schools)}


def _left_over_words(load: Load, left: int, end: str) -> str:
    values: dict[str, Any] = {
        "left": number(min(load.dials, roughly(left))),
        "calls": number(load.dials),
        "end": end,
        "lines": number(load.lines),
        "seconds": number(round(seconds_a_call(load))),
    }
    return (
        _("About %(left)s of %(calls)s calls will not fit before %(end)s.") % values
        + " "
        + _(
            "A call that has not been placed by then is not placed on another day either. Start "
            "earlier, choose a longer dialing window or fewer people, or shorten the message."
        )
        + " "
        + _(
            "(Reckoned with %(lines)s lines, about %(seconds)s seconds a call, redials, and no "
            "other message at the same time.)"
        )
        % values
    )
