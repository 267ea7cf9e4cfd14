"""Reading on in the call log: pages are fetched, parsed and made into lines by two threads of their
own, while the page before is stored.

A page of 5,000 entries waits for the dialer, computes and waits for PostgreSQL, each about as long;
one after the other that was 170 ms, beside each other it is what two processors need. Nothing of
ours is read or changed here: which page may be stored, and what it means, `collect` decides.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event
from time import monotonic

from dialer_adapters.contract import DialerError, LogPage
from voice.credentials import Unreadable
from voice.log_lines import PageLines, job_refs, make_lines

WAITING = 1  # pages that are ready and not stored: each holds 20 MB

Answer = LogPage | DialerError | Unreadable


@dataclass(frozen=True)
class Fetched:
    """An answer of the dialer in its turn: a page, or what went wrong. `lines` are on their way
    when the messages of all its jobs were known; `last` says that nothing is read after it."""

    answer: Answer
    lines: Future[PageLines] | None
    last: bool


def read_on(
    fetch: Callable[[str, int], Answer],
    state_id: str,
    messages: Mapping[str, int],
    epoch: str,
    after: int,
    until: float,
) -> Generator[Fetched, None, None]:
    """The answers from the cursor (epoch, after) on, while the dialer has more and the time (of
    `monotonic`) is not up. Close the iterator when you leave it early. Raises what `fetch` raises.
    """
    ready: Queue[Fetched | BaseException] = Queue(WAITING)
    stop = Event()

    def read(seq: int) -> None:
        while not stop.is_set():
            answer = fetch(epoch, seq)
            if not isinstance(answer, LogPage):
                ready.put(Fetched(answer, None, last=True))
                return
            last = not answer.has_more or answer.epoch != epoch or monotonic() > until
            lines = None
            if answer.entries and _all_known(answer, messages):
                lines = writing.submit(make_lines, answer.entries, state_id, answer.epoch, messages)
            ready.put(Fetched(answer, lines, last))
            if last:
                return
            seq = answer.next_seq

    def read_or_tell(seq: int) -> None:
        try:
            read(seq)
        except BaseException as error:  # noqa: BLE001 - raised again where the pages are stored
            ready.put(error)

    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        reading.submit(read_or_tell, after)
        try:
            while True:
                fetched = ready.get()
                if isinstance(fetched, BaseException):
                    raise fetched
                yield fetched
                if fetched.last:
                    return
        finally:
            stop.set()
            with suppress(Empty):
                ready.get_nowait()  # makes room for a page that nobody wants any more


def _all_known(page: LogPage, messages: Mapping[str, int]) -> bool:
    """Whether every job of the page is one of these."""
    return job_refs(page.entries) <= messages.keys()
