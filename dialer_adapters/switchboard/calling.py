"""Starting calls and texts: which chains get the next lines, and bringing them to memory for it.

The lower half of the dialing thread's work (`rounds` is the upper one, `dialing` the thread
itself). Nothing is placed here: what starts is collected, committed with the round, and placed
after that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from secrets import token_hex
from typing import NamedTuple

from dialer_adapters.chain_engine import TEXT_QUEUED, Closing
from dialer_adapters.switchboard import entries
from dialer_adapters.switchboard.lines import Lines, Placement, Result
from dialer_adapters.switchboard.loading import PastAttempt, load_batch
from dialer_adapters.switchboard.openjob import BatchState, OpenChain, OpenJob, measure_script
from dialer_adapters.switchboard.pools import LinePools
from dialer_adapters.switchboard.recording import NewAttempt, Unit, write
from dialer_adapters.switchboard.reporting import (
    Flight,
    close_chain,
    report_attempt,
    report_closings,
)

NO_RESPONSE, SMS_OPT_OUT = -5, -33
BATCHES_A_ROUND = 8
CALLS_A_TURN = 16
TEXTS_A_ROUND = 1000


class Start(NamedTuple):
    """An attempt to commit and then to place."""

    attempt: NewAttempt
    placement: Placement
    text: bool


class CallingFloor:
    """Open jobs, lines, and the attempts between them. `units` and `starts` are what this round
    will commit."""

    def __init__(self, lines: Lines, pools: LinePools) -> None:
        self.lines = lines
        self.pools = pools
        self.jobs: dict[int, OpenJob] = {}
        self.flights: dict[str, Flight] = {}
        self.opted_out: dict[int, set[str]] = defaultdict(set)
        self.units: list[Unit] = []
        self.starts: list[Start] = []
        self._changed: set[int] = set()  # batches with entries in `units`
        self._worked = False  # whether this round has written anything
        self._loads_left = 0
        self._turn = 0

    # ------------------------------------------------------------------------------------ choosing

    def _choose(self, now: float) -> None:
        """Start what may start: emergencies first, then priority, then the rest; jobs of one kind
        take turns."""
        self._turn += 1
        dialing = [job for job in self.jobs.values() if job.has_ready(now)]
        for urgency in sorted({job.urgency for job in dialing}):
            peers = [job for job in dialing if job.urgency == urgency]
            first = self._turn % len(peers)
            peers = peers[first:] + peers[:first]
            texts_left = TEXTS_A_ROUND
            for job in peers:
                texts_left -= self._take_texts(job, texts_left, now)
            while peers:
                peers = [job for job in peers if self._take_calls(job, now)]

    def _take_calls(self, job: OpenJob, now: float) -> int:
        """Start up to a turn's calls of one job; how many."""
        started = 0
        emergency = job.urgency == 0
        while started < CALLS_A_TURN and self.pools.free(emergency) and job.free_lines() > 0:
            chain = job.next_chain(now)
            if chain is not None:
                started += self._start_chain(job, chain, now)
                continue
            if self._loads_left <= 0:
                break
            batch = job.next_batch(True, now)
            if batch is None:
                break
            self._load_for_calls(job, batch, now)
        return started

    def _load_for_calls(self, job: OpenJob, batch: BatchState, now: float) -> None:
        """Queue the chains of a batch that have calls to make. One whose calls are all held back by
        their local hours, and that has not begun, stays in the batch until then."""
        held_until: float | None = None
        for chain in self._load_all(job, batch, now):
            engine = chain.chain
            closings = engine.review(now)
            if closings:
                self._settle(job, chain, closings, now)
            if engine.finished or chain.calling or not _has_calls(chain):
                continue
            wake = engine.wake_at(now)
            if wake is not None and wake > now and not engine.attempted and not chain.in_flight:
                held_until = wake if held_until is None else min(held_until, wake)
                continue
            chain.calling = True
            chain.keep()
            if wake == now and not engine.attempted:
                job.queue_fresh(chain)
            else:
                job.queue_again(chain, wake, now)
        if held_until is not None:
            job.put_back(batch, True, held_until)

    def _start_chain(self, job: OpenJob, chain: OpenChain, now: float) -> int:
        engine = chain.chain
        closings = engine.review(now)
        if closings:
            self._settle(job, chain, closings, now)
        started = 0
        for index in engine.startable(now):
            if chain.step(index).channel == "TEXT":
                self._start(job, chain, index, now)
            elif self.pools.free(job.urgency == 0) and job.free_lines() > 0:
                started += self._start(job, chain, index, now)
            else:
                job.return_chain(chain)
                return started
        if not engine.finished:
            job.queue_again(chain, engine.wake_at(now), now)
        return started

    def _take_texts(self, job: OpenJob, most: int, now: float) -> int:
        """Start the texts of batches, whole batches, until `most` is reached; how many."""
        started = 0
        while started < most and self._loads_left > 0:
            batch = job.next_batch(False, now)
            if batch is None:
                break
            held_until: float | None = None
            for chain in self._load_all(job, batch, now):
                closings = chain.chain.review(now)
                if closings:
                    self._settle(job, chain, closings, now)
                for index in chain.chain.startable(now):
                    if chain.step(index).channel == "TEXT":
                        started += self._start(job, chain, index, now)
                if not chain.calling and _redials_text(chain):
                    self._requeue(job, chain, now)
                opens = _texts_open_at(chain, now)
                if opens is not None:
                    held_until = opens if held_until is None else min(held_until, opens)
            if held_until is not None:
                job.put_back(batch, False, held_until)
        return started

    def _start(self, job: OpenJob, chain: OpenChain, index: int, now: float) -> int:
        """Begin an attempt, to be committed with this round; 1, or 0 when it was closed instead."""
        step = chain.step(index)
        text = step.channel == "TEXT"
        if text and step.number in self.opted_out[job.key.account_id]:
            closing = chain.chain.close(index, SMS_OPT_OUT, entries.OPTED_OUT)
            self._settle(job, chain, [closing] if closing else [], now)
            return 0
        pool = None if text else self.pools.take(job.urgency == 0)
        number = chain.chain.start(index)
        flight = Flight(job, chain, index, "A" + token_hex(16), number, now, pool)
        self.flights[flight.attempt_id] = flight
        job.in_flight += 1
        job.lines_used += not text
        chain.in_flight += 1
        chain.keep()
        chain.batch.touched = True
        attempt = NewAttempt(
            job=job.key,
            attempt_id=flight.attempt_id,
            batch_id=chain.batch.pk,
            pos=chain.spec.pos,
            step=index,
            number=number,
            chain_ref=chain.spec.ref,
            step_ref=step.ref,
            channel=step.channel,
            phone_number=step.number,
            extension=step.extension,
            started_at=now,
        )
        self.starts.append(Start(attempt, self._placement(job, flight), text))
        return 1

    def _placement(self, job: OpenJob, flight: Flight) -> Placement:
        step, script = flight.chain.step(flight.step), flight.chain.spec.script
        words = script or job.body["script"]
        sound = job.sound if script is None else measure_script(script)
        return Placement(
            attempt_id=flight.attempt_id,
            number=step.number,
            extension=step.extension,
            attempt_number=flight.number,
            talk_seconds=sound.live_seconds,
            machine_seconds=sound.machine_seconds,
            ring_seconds=job.body["ring_seconds"],
            detect_machine=job.body["detect_machine"],
            leave_message=job.policy.leave_message,
            confirm_digit=words["confirm"] or "0",
            segments=sound.segments,
        )

    # ------------------------------------------------------------------------------------ loading

    def _load(self, job: OpenJob, batch: BatchState, now: float) -> Iterator[OpenChain]:
        """The unfinished chains of a batch that are not in memory, with what was overdue
        settled."""
        self._loads_left -= 1
        if batch.pk in self._changed:
            self._write_units()  # or the chains would be rebuilt without what this round heard
        for loaded in load_batch(job, batch, self.flights):
            chain = loaded.chain
            unit = job.unit()
            for past in loaded.lost:
                self._report_lost(job, chain, past, now, unit, loaded.closings)
            for past in loaded.queued:
                flight = self._fly(job, chain, past)
                self.lines.text(self._placement(job, flight), now, after=TEXT_QUEUED)
                chain.in_flight += 1
                chain.keep()
            if unit.drafts or loaded.closings or chain.chain.finished:
                self._settle(job, chain, loaded.closings, now, unit)
            if not chain.chain.finished:
                yield chain
        batch.refused = False

    def _load_all(self, job: OpenJob, batch: BatchState, now: float) -> list[OpenChain]:
        """The unfinished chains of a batch, from memory and from the database."""
        in_memory = list(batch.open.values())
        return in_memory + list(self._load(job, batch, now))

    def _report_lost(
        self,
        job: OpenJob,
        chain: OpenChain,
        past: PastAttempt,
        now: float,
        unit: Unit,
        closings: list[Closing],
    ) -> None:
        """An attempt that was under way when the switchboard died: it may have been dialed (-5)."""
        closings += chain.chain.report(past.step, NO_RESPONSE, now)
        flight = Flight(
            job, chain, past.step, past.attempt_id, past.number, past.started_at, None, revision=1
        )
        unit.drafts.append(report_attempt(flight, Result(past.attempt_id, now, NO_RESPONSE)))

    def _fly(self, job: OpenJob, chain: OpenChain, past: PastAttempt) -> Flight:
        flight = Flight(
            *(job, chain, past.step, past.attempt_id, past.number, past.started_at, None),
            revision=past.revision,
        )
        self.flights[past.attempt_id] = flight
        return flight

    def _write_units(self, attempts: Sequence[NewAttempt] = ()) -> None:
        units, self.units = self.units, []
        self._changed.clear()
        self._worked = self._worked or bool(attempts or units)
        write(attempts, units)

    def _settle(
        self,
        job: OpenJob,
        chain: OpenChain,
        closings: Iterable[Closing],
        now: float,
        unit: Unit | None = None,
    ) -> None:
        """Write down what closed, end the chain or queue it for what comes next."""
        unit = unit or job.unit()
        unit.drafts += report_closings(chain, closings, now)
        if chain.chain.finished:
            if not chain.closed and (job.ending is None or chain.chain.confirmed):
                close_chain(chain, unit, now)
                job.closed_chains += 1
            if not chain.in_flight:
                chain.leave()
        elif job.ending is None:
            self._requeue(job, chain, now)
        if unit.drafts:
            self._add_unit(chain, unit)

    def _add_unit(self, chain: OpenChain, unit: Unit) -> None:
        chain.batch.touched = True
        self._changed.add(chain.batch.pk)
        self.units.append(unit)

    def _requeue(self, job: OpenJob, chain: OpenChain, now: float) -> None:
        if chain.calling or _redials_text(chain):
            chain.calling = True
            chain.keep()
            job.queue_again(chain, chain.chain.wake_at(now), now)
        elif not chain.in_flight:
            chain.leave()  # back to its batch, whose turn for calls will come


def _has_calls(chain: OpenChain) -> bool:
    steps = enumerate(chain.spec.steps)
    return any(step.channel == "VOICE" and chain.chain.is_open(index) for index, step in steps)


def _redials_text(chain: OpenChain) -> bool:
    steps = enumerate(chain.spec.steps)
    return any(
        step.channel == "TEXT" and chain.chain.redial_at(index) is not None for index, step in steps
    )


def _texts_open_at(chain: OpenChain, now: float) -> float | None:
    """When the local hours of texts that have not started begin, if they are held back."""
    hours = chain.chain.policy.local_hours
    if hours is None or chain.chain.stopped is not None:
        return None
    return min(
        (
            hours.opens_at(step.zone, now)
            for index, step in enumerate(chain.spec.steps)
            if step.channel == "TEXT"
            and chain.chain.is_open(index)
            and not chain.chain.attempts(index)
            and not hours.is_open(step.zone, now)
        ),
        default=None,
    )
