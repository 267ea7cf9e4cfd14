"""Taking back what was handed over: a whole message, or one number of all of them (ruling 22).

What was never sent is looked at again when it is claimed (`voice.claims`). For the rest an order
goes to the dialer, ahead of the next push, and is repeated until it is confirmed: STOP by
SetTextConsent, do-not-contact by CancelJob with the number, for every job that is not over. Orders
are worked out from what is recorded and from the jobs there are, so that no ring that is lost and
no job that was just being made escapes them. Rows end with what the dialer reports.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Q, QuerySet

from dialer_adapters.contract import DialerError, Rejected
from messenger import clock, results
from messenger.models import TextConsent
from messenger.one_at_a_time import only_one
from voice import account, credentials, doorbell, doubts, epochs
from voice.channel import PHONE_MODES
from voice.models import DialerBatch, DialerJob, NumberRecall, VoiceSettings

log = logging.getLogger(__name__)

NUMBERS_A_REQUEST = 100
CANCELED_BY_US = "CANCELLED"  # the reason of a step that an order of ours has ended

# STOPs of the last day that have no order; the order bears the STOP's time. A number is in the
# contract's form or in no job.
_STOPS = """
    INSERT INTO voice_numberrecall (uuid, number, mode, ordered_at, failures, trouble)
    SELECT gen_random_uuid(), t.number, 'text', t.changed_at, 0, ''
    FROM messenger_textconsent t
    WHERE t.state = 'opted_out' AND t.changed_at > clock_timestamp() - interval '1 day'
        AND t.number ~ '^[+]1[2-9][0-9]{9}$'
        AND EXISTS (SELECT 1 FROM voice_voicesettings WHERE state_id <> '')
        AND NOT EXISTS (SELECT 1 FROM voice_numberrecall r
            WHERE r.job_id IS NULL AND r.number = t.number AND r.ordered_at >= t.changed_at)"""
# What was recorded before a launch is left out by its expansion; a minute for clocks.
_LISTED = """
    INSERT INTO voice_numberrecall (uuid, number, mode, job_id, ordered_at, failures, trouble)
    SELECT gen_random_uuid(), x.value, x.mode, j.id, clock_timestamp(), 0, ''
    FROM voice_dialerjob j
    JOIN messenger_message m ON m.id = j.message_id
    JOIN messenger_messagemode o ON o.message_id = m.id
    JOIN messenger_donotcontact x ON x.mode = o.mode
        AND x.recorded_at > m.launched_at - interval '1 minute'
    WHERE j.state <> ALL(%(over)s) AND j.cancel_confirmed_at IS NULL AND x.mode = ANY(%(modes)s)
        AND x.value ~ '^[+]1[2-9][0-9]{9}$'
    ON CONFLICT (job_id, number, mode) WHERE job_id IS NOT NULL DO NOTHING"""


# -------------------------------------------------------------------------------------- numbers


def give_orders() -> int:
    """Writes the orders that are missing and rings for them; may be repeated and may run inside the
    transaction that records the STOP or the entry. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_STOPS)
        orders = cursor.rowcount
        over = [str(state) for state in DialerJob.OVER]
        cursor.execute(_LISTED, {"over": over, "modes": list(PHONE_MODES)})
        orders += cursor.rowcount
    if orders:
        doorbell.recall()
    return int(orders)


def unconfirmed() -> QuerySet[NumberRecall]:
    """The orders that the dialer has not confirmed, of jobs that are not over."""
    open_job = Q(job__cancel_confirmed_at=None) & ~Q(job__state__in=DialerJob.OVER)
    return NumberRecall.objects.filter(Q(job=None) | open_job, confirmed_at=None)


def send_orders(job: DialerJob | None = None) -> bool:
    """Sends the orders that are due: those of the account and those of every job, or of this one.
    Returns whether none of them is left unconfirmed.

    The account's come first: a text is on its way sooner than a call. The first doubt ends it: an
    emergency that comes after these waits for one request at most.
    """
    if VoiceSettings.current().paused:
        return False
    orders = unconfirmed()
    if job is not None:
        orders = orders.filter(Q(job=None) | Q(job=job))
    if not orders.exists():
        return True
    with only_one("recall") as alone:
        if not alone:
            return False
        due = orders.filter(Q(retry_at=None) | Q(retry_at__lte=clock.now()))
        waiting = _grouped(due.select_related("job__message").order_by("pk"))
        for place, group in enumerate(waiting):
            doubt = _cancel_numbers(group) if group[0].job_id else _stop_texts(group[0])
            if doubt is not None:
                _try_later([order for later in waiting[place:] for order in later], doubt)
                break
    return not orders.exists()


def _grouped(orders: Iterable[NumberRecall]) -> list[list[NumberRecall]]:
    """The orders by request: each STOP alone, then the numbers of each job, some at a time."""
    by_job: dict[int | None, list[NumberRecall]] = defaultdict(list)
    for order in orders:
        by_job[order.job_id].append(order)
    groups = [[order] for order in by_job.pop(None, [])]
    for listed in by_job.values():
        starts = range(0, len(listed), NUMBERS_A_REQUEST)
        groups += [listed[start : start + NUMBERS_A_REQUEST] for start in starts]
    return groups


def _stop_texts(order: NumberRecall) -> doubts.Doubt | None:
    """Sends the order; what is in doubt is returned."""
    stands = TextConsent.objects.filter(number=order.number, state=TextConsent.State.OPTED_OUT)
    if not stands.exists():  # the owner has begun anew meanwhile
        _confirm([order], "")
        return None
    try:
        account.adapter().set_text_consent(order.number, "OPTED_OUT", str(order.uuid), "messenger")
    except Rejected as error:
        _refused([order], error)
    except (DialerError, credentials.Unreadable) as doubt:
        return doubt
    else:
        _confirm([order], "")
    return None


def _cancel_numbers(orders: list[NumberRecall]) -> doubts.Doubt | None:
    """Sends the orders of a job; what is in doubt is returned."""
    job = orders[0].job
    assert job is not None  # grouped by it
    numbers = sorted({order.number for order in orders})
    try:
        account.adapter(endpoint=job.endpoint).cancel(
            str(job.job_ref), reason="do not contact", phone_numbers=numbers
        )
    except Rejected as error:
        _refused(orders, error)
    except (DialerError, credentials.Unreadable) as doubt:
        return doubt
    else:
        _confirm(orders, "")
        doorbell.collect()
    return None


def _confirm(orders: Iterable[NumberRecall], trouble: str) -> None:
    NumberRecall.objects.filter(pk__in=[order.pk for order in orders]).update(
        confirmed_at=clock.now(), retry_at=None, trouble=trouble
    )


def _refused(orders: list[NumberRecall], error: Rejected) -> None:
    """Repeating a refused order cannot help: it is kept with the reason, loudly."""
    log.error("the dialer refuses to recall %s numbers: %s", len(orders), error.code)
    _confirm(orders, error.code[:300])


def _try_later(orders: list[NumberRecall], doubt: doubts.Doubt) -> None:
    """Later, as an emergency is: at most ten seconds."""
    words = doubts.note_trouble(doubt)
    failures = 1 + max(order.failures for order in orders)
    wait = doubts.wait_after(failures, True, getattr(doubt, "retry_after", None))
    log.warning("recall of %s numbers: %s; again in %.1f s", len(orders), doubt, wait)
    NumberRecall.objects.filter(pk__in=[order.pk for order in orders]).update(
        failures=F("failures") + 1,
        retry_at=clock.now() + timedelta(seconds=wait),
        trouble=words[:300],
    )


def name_ends(message_ids: Iterable[int]) -> None:
    """Rows that an order of ours has ended without a call are do-not-contact, as they would have
    been before the launch. Runs in the collector's transaction, after the results."""
    orders = NumberRecall.objects.filter(job__message_id__in=list(message_ids))
    for message_id, mode, number in orders.values_list("job__message_id", "mode", "number"):
        results.name_end(message_id, mode, number, was=CANCELED_BY_US, reason="do_not_contact")


# ------------------------------------------------------------------------------- a whole message


def jobs_to_cancel(message_id: int) -> list[DialerJob]:
    """The jobs of a message that may still be dialed for, the current one and any that another
    dialer has (ruling 23)."""
    jobs = DialerJob.objects.filter(
        message_id=message_id,
        submitted_at__isnull=False,
        result_at=None,
        cancel_confirmed_at=None,
    ).exclude(state=DialerJob.State.LOST)
    return list(jobs.select_related("message"))


def canceled_elsewhere(now: datetime) -> QuerySet[DialerJob]:
    """Jobs that another dialer has, of messages that were canceled in the last day: their cancel is
    repeated although the message has ended here."""
    return DialerJob.objects.filter(
        current=False,
        result_reason=epochs.DOORS_DIFFER,
        result_at=None,
        cancel_confirmed_at=None,
        message__cancel_requested_at__gt=now - timedelta(days=1),
    ).filter(Q(retry_at=None) | Q(retry_at__lte=now))


def cancel_job(job: DialerJob) -> None:
    """Sends the cancel of the whole job; repeated until the dialer has confirmed it. After that
    answer no attempt of the job starts (7.5); a job it never saw leaves a tombstone."""
    DialerJob.objects.filter(pk=job.pk, cancel_sent_at=None).update(cancel_sent_at=clock.now())
    try:
        account.adapter(endpoint=job.endpoint).cancel(
            str(job.job_ref), reason="canceled by the sender"
        )
    except (DialerError, credentials.Unreadable) as doubt:
        doubts.stand_back(job, None, doubt)
        return
    DialerJob.objects.filter(pk=job.pk).update(
        cancel_confirmed_at=clock.now(), failures=0, retry_at=None, trouble=""
    )
    job.batches.exclude(state__in=DialerBatch.ANSWERED).update(
        state=DialerBatch.State.CANCELED, lease_until=None
    )
    doorbell.collect_canceled()
