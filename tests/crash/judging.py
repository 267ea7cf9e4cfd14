"""What must be true of a message after everything that was done to it; the switchboard's books are
the judge, our own rows the accused. Nothing here repairs or waits for results to come."""

from collections import Counter
from collections.abc import Callable
from threading import Event
from time import monotonic

from dialer_adapters.switchboard.invariants import describe, list_violations
from messenger.models import Attempt, Delivery, Message
from sentlog.models import MessageSummary
from tests.end_to_end.town import Exchange, ask_switchboard
from voice.models import DialerJob

PATIENCE = 60.0


def await_end(
    message: Message, patience: float = PATIENCE, meanwhile: Callable[[], object] = list
) -> Message:
    """Waits until the workers have finished the message; does something again and again meanwhile
    (nothing, when it is not told what)."""
    last, pause = monotonic() + patience, Event()  # nobody sets it: a wait that ends by its time
    message.refresh_from_db()
    while not message.finished:
        assert monotonic() < last, f"still {message.status}; {_whereabouts(message)}"
        meanwhile()
        pause.wait(0.05)
        message.refresh_from_db()
    return message


def _whereabouts(message: Message) -> str:
    job = DialerJob.objects.filter(message=message).first()
    if job is None:
        return "no job"
    batches = Counter(job.batches.values_list("state", flat=True))
    return f"job {job.state}, {job.trouble!r}, again at {job.retry_at}, {dict(batches)}"


def judge(message: Message, switchboard: Exchange, status: str = Message.Status.SENT) -> None:
    """Nobody lost, nobody twice, nothing late, no invariant broken, every row final, and what we
    show is what was dialed (ruling 32; invariants 1 to 10)."""
    message.refresh_from_db()
    assert message.status == status
    switchboard.judge(message)
    reference = str(message.job_ref)
    violations = ask_switchboard(switchboard.database, list_violations, reference)
    assert violations == [], describe(violations)
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists(), "a delivery never became final"
    books = switchboard.books(message)
    assert Attempt.objects.filter(message=message).count() == books.attempts
    if status == Message.Status.SENT:
        dialed = set(rows.exclude(chain=None).values_list("chain", "step"))
        assert books.steps == len(dialed), "an accepted step is missing, or one is there twice"
        assert books.attempts > 0


def await_summary(message: Message, patience: float = PATIENCE) -> None:
    """The stored summary is that of the rows as they are (invariant 11)."""
    last, pause = monotonic() + patience, Event()
    while not _summarized(message):
        assert monotonic() < last, "the summary is behind for ever"
        pause.wait(0.05)


def _summarized(message: Message) -> bool:
    message.refresh_from_db()
    return MessageSummary.objects.filter(
        message=message, schools=None, as_of=message.results_changed_at
    ).exists()
