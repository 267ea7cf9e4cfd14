"""Reports that users asked for: ordered, claimed by a worker, written, kept, handed out.

The row in `Report` is the order and the progress; a worker that dies leaves a lease that runs out,
and the next one begins again. Whoever claims a report twice writes the same file name, once.
"""

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
from sentlog.reports.document import ReportOptions
from sentlog.reports.pdf import ReportTooLong
from sentlog.reports.writing import write_report
from sentlog.summary import schools_of

# A worker that is alive tells its progress twice a second; this long without a word, it is dead.
LEASE = timedelta(seconds=90)
# A waiting report that nobody has taken for this long lost its doorbell.
UNHEARD = timedelta(seconds=30)
DIRECTORY = "reports"
QUEUE = "reports"


def order(message: Message, user: User, format: str, detail: str, devices: list[str]) -> Report:
    """Stores the order and rings for a worker when it is committed. The rights were checked."""
    report = Report.objects.create(
        message=message,
        user=user,
        format=format,
        detail=detail,
        devices=devices,
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

    Safe to call twice: a report that another worker holds or has finished is left alone.
    """
    claimed = (
        Report.objects.filter(pk=report_id)
        .filter(
            Q(state=Report.State.WAITING)
            | Q(state=Report.State.RUNNING, lease_until__lt=clock.now())
        )
        .update(state=Report.State.RUNNING, lease_until=clock.now() + LEASE)
    )
    if not claimed:
        return False
    report = Report.objects.select_related("message").get(pk=report_id)
    # The name says nothing and cannot be guessed; the extension is for the reader's program.
    name = f"{DIRECTORY}/{token_urlsafe(24)}.{report.format}"
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
                ),
                _scope(report),
                lambda done, total: _tell(report_id, done, total),
            )
    except ReportTooLong as too_long:
        _end(report_id, Report.State.FAILED, problem=too_long.words)
        return True
    except Exception:
        with translation.override(report.language):
            problem = _("The report could not be written. Ask for it again.")
        _end(report_id, Report.State.FAILED, problem=problem)
        raise
    _end(report_id, Report.State.READY, file=name, rows_done=rows, rows_total=rows)
    return True


def _scope(report: Report) -> Scope:
    if report.schools is None:
        return Scope(district=True)
    return Scope(district=False, school_ids=frozenset(report.schools))


def _tell(report_id: int, done: int, total: int) -> None:
    Report.objects.filter(pk=report_id).update(
        rows_done=done, rows_total=total, lease_until=clock.now() + LEASE
    )


def _end(report_id: int, state: str, **values: object) -> None:
    Report.objects.filter(pk=report_id).update(
        state=state, finished_at=clock.now(), lease_until=None, **values
    )


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
