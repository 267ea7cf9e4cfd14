"""Whether the database goes on from where it was, on the System status page."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext as _

from messenger import continuity
from messenger.models import Continuity
from messenger.status.ages import ago
from messenger.status.findings import BROKEN, OK, Finding


def check_continuity(now: datetime) -> Iterator[Finding]:
    """Broken while sending is held; afterwards, who resumed and when."""
    name, thread = _("Restored database"), continuity.check()
    if thread.held_since is not None:
        words = _(
            "%(why)s Nothing is sent but emergencies confirmed afterwards (found %(ago)s)."
        ) % {
            "why": Continuity.Why(thread.held_why).label,
            "ago": ago(thread.held_since, now),
        }
        advice = _(
            "Look at what waits and press Resume: every page leads there. Messages that wait: "
            "%(count)d."
        )
        yield Finding(name, BROKEN, words, advice % {"count": continuity.held_back().count()})
        return
    words = _("The database goes on from where it was.")
    if thread.resumed_at is not None:
        words += " " + _("Last resumed by %(name)s, %(ago)s.") % {
            "name": thread.resumed_by_name,
            "ago": ago(thread.resumed_at, now),
        }
    yield Finding(name, OK, words)
