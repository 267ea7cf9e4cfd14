"""Reports that users asked for: ordered, claimed by a worker, written, kept, handed out.

The row in `Report` is the order and the progress; a worker that dies leaves a lease that runs out,
and the next one begins again under another file name, which ends whoever comes back. How a report
looks is never decided here.
"""

import logging
from datetime import timedelta
from pathlib import Path
from secrets import token_urlsafe

from django.conf import settings
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from messenger import clock, doorbell, rights
from messenger.models import Message, User
from messenger.rights import Scope
from sentlog.models import Report
from sentlog.reports.document import ReportOptions, ReportTooLong
from sentlog.reports.writing import write_report
from sentlog.summary import schools_of

log = logging.getLogger(__name__)

# A worker that is alive tells its progress twice a second; this long without a word, it is dead.
LEASE = timedelta(seconds=90)
# A waiting report that nobody has taken for this long lost its doorbell.
UNHEARD = timedelta(seconds=30)
DIRECTORY = "reports"
QUEUE = "reports"
# No report is written for longer than its task may run (half an hour), so that a file without an
# order that is older than this belongs to a worker that was killed.
ABANDONED = timedelta(days=1)


class Stopped(Exception):
    """The report is not wanted any more: canceled, or taken over by another worker."""


def kept() -> timedelta:
    """How long the file of a report can be fetched."""
    return timedelta(days=settings.REPORTS_KEPT_DAYS)


def order(
    message: Message,
    user: User,
    format: str,
    detail: str,
    devices: list[str],
    *,
    by_school: bool = False,
    bom: bool = True,
) -> Report:
    """Stores the order and rings for a worker when it is committed. The rights were checked."""
    report = Report.objects.create(
        message=message,
        user=user,
        format=format,
        detail=detail,
        devices=devices,
        by_school=by_school,
        bom=bom,
        schools=schools_of(rights.rows_scope(user, message)),
        see_private=rights.may(user, rights.CONTACTS_SEE_PRIVATE),
        language=translation.get_language() or "en",
    )
    _ring(report.pk)
    return report


def _ring(report_id: int) -> None:
    from sentlog.tasks import make_report  # the task imports this module

    doorbell.ring(make_report, report_id, queue=QUEUE)


def path_of(report: Report) -> Path:
    """Where the file of a finished report is."""
    return Path(settings.MEDIA_ROOT) / report.file


def may_download(user: User, report: Report) -> bool:
    """Whether the user may have this file now: it is theirs, and they still see what it holds."""
    if report.user_id != user.pk or not rights.may(user, rights.LOG_REPORT):
        return False
    if report.see_private and not rights.may(user, rights.CONTACTS_SEE_PRIVATE):
        return False
    if not rights.messages_for(user).filter(pk=report.message_id).exists():
        return False
    scope = rights.rows_scope(user, report.message)
    if scope.district:
        return True
    return report.schools is not None and set(report.schools) <= scope.school_ids


def make(report_id: int) -> bool:
    """Writes the file of a report; returns whether this call did it.

    Safe to call twice: a report that another worker holds or has finished is left alone. One that
    is canceled meanwhile leaves no file.
    """
    found = Report.objects.filter(pk=report_id).values_list("format", flat=True).first()
    # The name says nothing and cannot be guessed; the extension is for the reader's program.
    name = f"{DIRECTORY}/{token_urlsafe(24)}.{found}"
    claimed = (
        Report.objects.filter(pk=report_id)
        .filter(
            Q(state=Report.State.WAITING)
            | Q(state=Report.State.RUNNING, lease_until__lt=clock.now())
        )
        .update(state=Report.State.RUNNING, lease_until=clock.now() + LEASE, file=name)
    )
    if not claimed:
        return False
    report = Report.objects.select_related("message").get(pk=report_id)
    target = Path(settings.MEDIA_ROOT) / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with translation.override(report.language):
            rows = write_report(
                report.message,
                report.format,
                target,
                ReportOptions(
                    detail=report.detail,
                    devices=tuple(report.devices),
                    see_private=report.see_private,
                    by_school=report.by_school,
                    bom=report.bom,
                ),
                _scope(report),
                lambda done, total: _tell(name, done, total),
            )
        _end(name, Report.State.READY, rows_done=rows, rows_total=rows)
    except Stopped:
        target.unlink(missing_ok=True)
        return False
    except ReportTooLong as too_long:
        _end(name, Report.State.FAILED, problem=too_long.words)
    except Exception:
        with translation.override(report.language):
            problem = _("The report could not be written. Ask for it again.")
        Report.objects.filter(file=name, state=Report.State.RUNNING).update(
            state=Report.State.FAILED, finished_at=clock.now(), lease_until=None, problem=problem
        )
        raise
    return True


def cancel(report: Report) -> bool:
    """Ends a report that is waiting or being written; its worker stops at its next word (half a
    second). Returns whether there was anything to end."""
    return bool(
        Report.objects.filter(pk=report.pk, state__in=Report.UNFINISHED).update(
            state=Report.State.CANCELED, finished_at=clock.now(), lease_until=None
        )
    )


def _scope(report: Report) -> Scope:
    if report.schools is None:
        return Scope(district=True)
    return Scope(district=False, school_ids=frozenset(report.schools))


def _tell(name: str, done: int, total: int) -> None:
    """Stores the progress of the claim with this file name; Stopped when it holds no more."""
    if not Report.objects.filter(file=name, state=Report.State.RUNNING).update(
        rows_done=done, rows_total=total, lease_until=clock.now() + LEASE
    ):
        raise Stopped


def _end(name: str, state: str, **values: object) -> None:
    if not Report.objects.filter(file=name, state=Report.State.RUNNING).update(
        state=state, finished_at=clock.now(), lease_until=None, **values
    ):
        raise Stopped


def ring_for_forgotten() -> int:
    """Rings again for reports that nobody holds (a tick). Returns how many."""
    now = clock.now()
    forgotten = Report.objects.filter(
        Q(state=Report.State.WAITING, created_at__lt=now - UNHEARD)
        | Q(state=Report.State.RUNNING, lease_until__lt=now)
    ).values_list("pk", flat=True)
    ids = list(forgotten)
    for report_id in ids:
        _ring(report_id)
    return len(ids)


def purge() -> int:
    """Deletes the files of reports that were kept long enough, and what killed workers left behind
    (a tick). Returns how many reports expired; their orders stay, so that an address says why."""
    expired = list(
        Report.objects.filter(
            state=Report.State.READY, finished_at__lt=clock.now() - kept()
        ).values_list("pk", "file")
    )
    # The orders first: a page must not offer a file that is gone.
    Report.objects.filter(pk__in=[pk for pk, _file in expired]).update(state=Report.State.EXPIRED)
    for _pk, file in expired:
        (Path(settings.MEDIA_ROOT) / file).unlink(missing_ok=True)
    _sweep()
    return len(expired)


def expire(message_id: int) -> None:
    """Deletes the files of a message's reports: what they list is not kept any longer."""
    listed = Report.objects.filter(message_id=message_id)
    for report in listed.filter(state__in=Report.UNFINISHED):
        cancel(report)
    files = list(listed.filter(state=Report.State.READY).values_list("file", flat=True))
    listed.filter(state=Report.State.READY).update(state=Report.State.EXPIRED)
    for file in files:
        (Path(settings.MEDIA_ROOT) / file).unlink(missing_ok=True)


def _sweep() -> None:
    """Deletes old files that no finished report names."""
    before = (clock.now() - ABANDONED).timestamp()
    directory = Path(settings.MEDIA_ROOT) / DIRECTORY
    old = [path for path in directory.glob("*") if path.stat().st_mtime < before]
    if not old:
        return
    named = set(
        Report.objects.filter(state__in=[Report.State.READY, *Report.UNFINISHED]).values_list(
            "file", flat=True
        )
    )
    for path in old:
        if f"{DIRECTORY}/{path.name}" not in named:
            path.unlink(missing_ok=True)
            log.info("deleted a file of no report")
