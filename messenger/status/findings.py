"""What the System status page and `manage.py doctor` show: findings, and who makes them.

Each room registers its checks when its app is ready, as it does its channels; the page and the
command know none of them. A check only reads. It never repairs anything.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _

log = logging.getLogger(__name__)

# In the order in which they get worse.
OK, LOOK, BROKEN = "ok", "look", "broken"
STATES = (OK, LOOK, BROKEN)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do when it is not well. `stops_work`:
    with this no message can be sent, and no process does its work."""

    name: str
    state: str
    words: str
    advice: str = ""
    stops_work: bool = False


@dataclass(frozen=True)
class Section:
    """The findings about one subject."""

    title: str
    findings: tuple[Finding, ...]

    @property
    def state(self) -> str:
        return worst(self.findings)


Check = Callable[[datetime], Iterable[Finding]]
_checks: dict[str, tuple[int, str | Promise, Check]] = {}


def register(check: Check, title: str | Promise, place: int) -> None:
    """Adds a check under a title; smaller places come first. Called from `AppConfig.ready`; the
    same function again takes its own place."""
    _checks[f"{check.__module__}.{getattr(check, '__name__', '')}"] = (place, title, check)


def examine(now: datetime) -> list[Section]:
    """Runs every check, each for itself: one that cannot be carried out is a finding too."""
    sections = []
    for _place, title, check in sorted(_checks.values(), key=lambda found: found[0]):
        findings: list[Finding] = []
        try:
            findings.extend(check(now))  # what came before an error stays
        except Exception as error:  # noqa: BLE001 - whatever is broken, the other checks go on
            log.warning("check %s: %s", check.__module__, type(error).__name__)
            words = _("This could not be examined (%(error)s).") % {"error": type(error).__name__}
            advice = _("The other lines, or the log of the web process, say why.")
            findings.append(Finding(str(title), BROKEN, words, advice))
        sections.append(Section(str(title), tuple(findings)))
    return sections


def worst(findings: Iterable[Finding]) -> str:
    """The worst state among them; ok for none."""
    return max((finding.state for finding in findings), key=STATES.index, default=OK)


def by_age(seconds: float, look: float, broken: float) -> str:
    """ok up to `look` seconds, look up to `broken` seconds, then broken."""
    return OK if seconds <= look else LOOK if seconds <= broken else BROKEN
