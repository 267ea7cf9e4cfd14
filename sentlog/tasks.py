"""Celery's doors into the log: thin shells over functions that a test calls directly."""

from celery import shared_task

from messenger.one_at_a_time import only_one
from sentlog import retention, summary
from sentlog.reports import making

# A report of a million rows takes minutes; the broker's visibility time-out lies above (ruling 38).
REPORT_SECONDS = 1_800


@shared_task(soft_time_limit=REPORT_SECONDS, time_limit=REPORT_SECONDS + 60)
def make_report(report_id: int) -> None:
    making.make(report_id)


@shared_task
def recompute_summaries() -> None:
    with only_one("summaries") as alone:
        if alone:
            summary.recompute_stale()


@shared_task
def resume_reports() -> None:
    making.ring_for_forgotten()


@shared_task
def purge_reports() -> None:
    with only_one("old reports") as alone:
        if alone:
            making.purge()


@shared_task
def remove_old_detail() -> None:
    with only_one("retention") as alone:
        if alone:
            retention.remove_due()
