"""Whether this installation is complete: what an upgrade or a set-up may have left undone.

A message that cannot go out must be refused at confirm, with the reason, and not accepted and lost
(RSU 20, 2024: after an upgrade with new settings a whole district's message was silently not sent).
The same findings show on System status and in `manage.py doctor`; what makes work impossible also
keeps the web and the workers from starting, in plain words. Nothing here repairs anything.
"""

from collections.abc import Iterator
from datetime import datetime
from threading import Event

from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger import clock
from messenger.status.ages import age
from messenger.status.findings import BROKEN, LOOK, OK, Finding

DEVELOPMENT_KEY = "development-only"
# Of other databases: they are brought up to date by those who use them.
NOT_OURS = {"switchboard"}
# Without these no page can be used.
FILES = ("css/app.css", "js/app.js", "icons/mark.svg")
# Seconds between this machine's clock and the database's. What is due is judged by the database's
# alone (`messenger.clock`); people are shown this one's.
SKEW_LOOK, SKEW_BROKEN = 5.0, 60.0
_complete = Event()  # every migration has been made


def check_readiness(now: datetime) -> Iterator[Finding]:
    """The database last: what does not need it is said although it does not answer."""
    complete = True
    for check in (_settings, _files, _version, _clock):
        for finding in check():
            complete = False
            yield finding
    if complete:
        yield Finding(_("Version"), OK, _("The installation is complete."))


def hindrances() -> list[str]:
    """Why no message can be sent from this installation, in words for the sender; usually none."""
    return [
        _("No message can be sent now: %(words)s Whoever runs this installation must: %(advice)s")
        % {"words": finding.words, "advice": finding.advice}
        for finding in obstacles()
    ]


def obstacles() -> list[Finding]:
    """What keeps every process from doing its work. Raises DatabaseError while the database does
    not answer: that is no obstacle, because it may come back at any moment."""
    return [each for each in (*_settings(), *_version()) if each.stops_work]


def _version() -> Iterator[Finding]:
    """Read from the files once a process: what was complete stays so until the next deployment."""
    if _complete.is_set():
        return
    name, executor = _("Version"), MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [step for step, _backwards in plan if step.app_label not in NOT_OURS]
    ours = {app for app, _step in executor.loader.disk_migrations or {}} - NOT_OURS
    newer = [
        step
        for step in executor.loader.applied_migrations or {}
        if step[0] in ours and step not in (executor.loader.disk_migrations or {})
    ]
    if missing:
        words = _("Changes of this version that the database has not had: %(count)d.")
        advice = _("Run: manage.py migrate")
        yield Finding(name, BROKEN, words % {"count": len(missing)}, advice, stops_work=True)
    elif newer:
        words = _("The database has had changes of a newer version: %(count)d.")
        advice = _("Install the newer version again; this one may not understand the database.")
        yield Finding(name, LOOK, words % {"count": len(newer)}, advice)
    else:
        _complete.set()


def _settings() -> Iterator[Finding]:
    """Settings that must be right; nothing is said while they are."""
    keys = _("Keys")
    for number, key in enumerate(settings.FIELD_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            words = _("Key %(number)d of FIELD_ENCRYPTION_KEYS is not a key.") % {"number": number}
            advice = _(
                "Correct it: 32 random bytes in URL-safe base64 (44 characters), keys separated by "
                "commas."
            )
            yield Finding(keys, BROKEN, words, advice, stops_work=True)
    if not settings.SECURE:
        return  # a developer's machine or a demo
    if settings.SECRET_KEY.startswith(DEVELOPMENT_KEY):
        words = _("SECRET_KEY is the one of the source code: anyone can forge a session.")
        advice = _("Set SECRET_KEY to 50 random characters.")
        yield Finding(keys, BROKEN, words, advice, stops_work=True)
    if not settings.FIELD_ENCRYPTION_KEYS:
        words = _("The dialer's password is encrypted with a key derived from SECRET_KEY.")
        advice = _("Set FIELD_ENCRYPTION_KEYS, then run: manage.py rotate_keys")
        yield Finding(keys, LOOK, words, advice)
    if settings.DEBUG:
        words = _("DEBUG is on: errors show the insides of the system to everybody.")
        yield Finding(_("Debugging"), BROKEN, words, _("Set DEBUG=0."))


def _files() -> Iterator[Finding]:
    missing = [name for name in FILES if finders.find(name) is None]
    if missing:
        words = _("Files of the pages are missing: %(names)s.") % {"names": ", ".join(missing)}
        advice = _("Install this version again, with its folder static.")
        yield Finding(_("Pages"), BROKEN, words, advice)


def _clock() -> Iterator[Finding]:
    before = timezone.now()
    theirs = clock.now()
    middle = before + (timezone.now() - before) / 2
    skew = abs((theirs - middle).total_seconds())
    if skew > SKEW_LOOK:
        words = _("This machine's clock and the database's differ by %(age)s.")
        advice = _("Set both by NTP. Messages start and end by the database's.")
        state = BROKEN if skew > SKEW_BROKEN else LOOK
        yield Finding(_("Clock"), state, words % {"age": age(skew)}, advice)
