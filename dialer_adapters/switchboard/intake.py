"""Taking jobs in: SubmitJob, AddChains and CancelJob, durable before they are answered.

Keys are natural and never expire (contract 7.5). A repeat is looked up by key and fingerprint
before every other check, so that what was accepted always answers Replayed (ruling 18). JOB_CLOSED
means: never stored, and never will be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller
from dialer_adapters.switchboard.batches import TAG, ChainsText, fingerprint, pack, read_chains
from dialer_adapters.switchboard.database import execute, query, read_json, transaction
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import element, read_text, read_texts
from dialer_adapters.switchboard.faults import ConflictFault, InvalidRequestFault, NotFoundFault
from dialer_adapters.switchboard.job_body import (
    PRIORITIES,
    Body,
    check_job,
    check_words,
    list_audio,
    read_job,
    window_end,
)
from dialer_adapters.switchboard.refs import RefIndex, stored_refs
from dialer_adapters.switchboard.screening import Refusal, refuse

MAX_CHAINS = 2000
NEVER_SEALED_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """What acceptance must know of a job; a tombstone has no `script` and takes no chains."""

    pk: int
    job_id: str
    state: str
    epoch: str
    created_at: datetime
    window_end: datetime | None
    ended: bool
    tombstone: bool
    total_chains: int | None
    sealed: bool
    batches: int
    stored_chains: int
    scrub_wireless: bool
    fingerprint: bytes | None  # of the batch that was asked for along with the job
    script: Any


class Intake:
    """The three operations that change jobs. Each returns the parts of its answer. `is_forgetful`
    says whether a service is played that does not know its own references again."""

    def __init__(self, dialer: Dialer, is_forgetful: Callable[[], bool] = lambda: False) -> None:
        self.dialer = dialer
        self.is_forgetful = is_forgetful
        self.refs = RefIndex()

    # --------------------------------------------------------------------------------- SubmitJob

    def submit_job(self, caller: Caller, operation: etree._Element) -> list[str]:
        """Create a job with batch 0 of its chains, or repeat the answer."""
        found = operation.find(f"{TAG}Job")
        assert found is not None  # the schema demands it
        body, chains = read_job(found), read_chains(operation)
        mark = fingerprint(body, chains.text)
        stored = find_job(caller.account_id, body["job_ref"])
        if stored is not None:
            return self._repeat_submit(caller, stored, mark, chains)
        now = datetime.now(UTC)
        check_job(body, now)
        end = window_end(body)
        if end is not None and end <= now:
            raise ConflictFault("JOB_CLOSED", "The window has ended.")
        self._check_chains(caller, chains, body["script"])
        if body["caller_id"] and caller.caller_ids and body["caller_id"] not in caller.caller_ids:
            raise InvalidRequestFault("CALLER_ID_NOT_ALLOWED", "Not registered.", "CallerID")
        _check_refs_differ(chains.refs)
        _check_total(body["total_chains"], chains.chains, None)
        refusals = refuse(chains.text, body["scrub_wireless"])
        pk = self._store_job(caller, body, chains, mark, len(refusals), now)
        if pk is None:  # the same JobRef came twice at once, and the other was first
            stored = find_job(caller.account_id, body["job_ref"])
            assert stored is not None
            return self._repeat_submit(caller, stored, mark, chains)
        self.dialer.notice(pk)
        stored = find_job(caller.account_id, body["job_ref"])
        assert stored is not None
        return _answer(stored, False, chains, refusals)

    def _repeat_submit(
        self, caller: Caller, stored: StoredJob, mark: bytes, chains: ChainsText
    ) -> list[str]:
        if self.is_forgetful() and chains.chains and not stored.tombstone:
            return self._take_as_new(caller, stored, mark, chains)
        if stored.tombstone:  # canceled before it came: it is closed, and nothing is dialed
            return _answer(stored, True, None, [])
        if stored.fingerprint != mark and not self.is_forgetful():
            raise ConflictFault(
                "JOBREF_REUSED", "This JobRef stands for another job.", stored.job_id
            )
        self.dialer.notice(stored.pk)
        return _answer(stored, True, chains, refuse(chains.text, stored.scrub_wireless))

    def _take_as_new(
        self, caller: Caller, stored: StoredJob, mark: bytes, chains: ChainsText
    ) -> list[str]:
        """A repeat, as a service takes it that keeps no references: another job with these chains
        alone, which is complete as it is. Its own reference is the first one's and a number."""
        (content,) = query("SELECT body FROM switchboard_job WHERE id = %s", [stored.pk])[0]
        body: Body = read_json(content)
        refusals = refuse(chains.text, stored.scrub_wireless)
        now, pk = self.dialer.read_clock(), None
        while pk is None:  # two at once may have chosen the same number
            ((count,),) = query(
                "SELECT count(*) FROM switchboard_job WHERE account_id = %s AND job_ref LIKE %s",
                [caller.account_id, f"{body['job_ref']}~%"],
            )
            another = {"job_ref": f"{body['job_ref']}~{count + 2}", "total_chains": chains.chains}
            pk = self._store_job(caller, body | another, chains, mark, len(refusals), now)
        self.dialer.notice(pk)
        return _answer(stored, False, chains, refusals)

    def _store_job(
        self,
        caller: Caller,
        body: Body,
        chains: ChainsText,
        mark: bytes,
        refused: int,
        now: datetime,
    ) -> int | None:
        sealed = body["total_chains"] == chains.chains
        with transaction():
            rows = query(
                "INSERT INTO switchboard_job (account_id, job_ref, job_id, epoch, priority, body,"
                " state, created_at, window_end, ending, total_chains, sealed, batches,"
                " stored_chains, chains_confirmed, chains_done, chains_canceled, steps_attempted,"
                " attempts, last_seq) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, '', %s, %s, 1,"
                " %s, 0, 0, 0, 0, 0, 0) ON CONFLICT (account_id, job_ref) DO NOTHING RETURNING id",
                [
                    caller.account_id,
                    body["job_ref"],
                    new_job_id(),
                    self.dialer.epoch,
                    PRIORITIES[body["priority"]],
                    json.dumps(body, sort_keys=True),
                    "READY" if sealed else "RECEIVING",
                    now,
                    window_end(body),
                    body["total_chains"],
                    sealed,
                    chains.chains,
                ],
            )
            if not rows:
                return None
            pk: int = rows[0][0]
            _insert_batch(pk, 0, mark, chains, refused)
        return pk

    # --------------------------------------------------------------------------------- AddChains

    def add_chains(self, caller: Caller, operation: etree._Element) -> list[str]:
        """Add a batch, or repeat the answer. The job seals itself with its last chain."""
        job_ref, number = (
            read_text(operation, "JobRef"),
            int(read_text(operation, "BatchNumber") or 0),
        )
        given = read_text(operation, "TotalChains")
        total = None if given is None else int(given)
        chains = read_chains(operation)
        mark = fingerprint(chains.text, total)
        stored = find_job(caller.account_id, job_ref or "", number)
        if stored is None:
            raise NotFoundFault("JOB", "No such job.")
        if self.is_forgetful() and stored.fingerprint is not None and chains.chains:
            return self._take_as_new(caller, stored, mark, chains)
        repeated = self._repeat_batch(stored, mark, chains)
        if repeated is not None:
            return repeated
        self._check_takes_chains(stored)
        self._check_chains(caller, chains, stored.script)
        refs = chains.refs
        _check_refs_differ(refs)
        refusals = refuse(chains.text, stored.scrub_wireless)
        with transaction():
            current = find_job(caller.account_id, job_ref or "", number, lock=True)
            if current is None:
                raise NotFoundFault("JOB", "No such job.")
            repeated = self._repeat_batch(current, mark, chains)
            if repeated is not None:
                return repeated
            self._check_takes_chains(current)
            after = _add_up(current, chains.chains, total, counts=not self.is_forgetful())
            reused = self.refs.find_reused(current.pk, current.batches, refs)
            if reused is not None:
                raise ConflictFault(
                    "CHAINREF_REUSED", f"ChainRef {reused} is stored already.", current.job_id
                )
            _insert_batch(current.pk, number, mark, chains, len(refusals), after)
            # Before the commit lets the next batch in, or it would read all refs from the database.
            self.refs.add(current.pk, current.batches + 1, refs)
        if after.sealed:
            self.refs.forget(current.pk)
        self.dialer.notice(current.pk)
        return _answer(after, False, chains, refusals)

    def _repeat_batch(self, stored: StoredJob, mark: bytes, chains: ChainsText) -> list[str] | None:
        if stored.fingerprint is None:
            return None
        if stored.fingerprint != mark:
            raise ConflictFault(
                "BATCH_REUSED", "This BatchNumber stands for other chains.", stored.job_id
            )
        self.dialer.notice(stored.pk)
        return _answer(stored, True, chains, refuse(chains.text, stored.scrub_wireless))

    def _check_takes_chains(self, job: StoredJob) -> None:
        now = datetime.now(UTC)
        over = job.window_end is not None and job.window_end <= now
        too_old = now - job.created_at >= NEVER_SEALED_AFTER
        foreign = job.epoch != self.dialer.epoch
        if job.tombstone or job.ended or job.sealed or over or too_old or foreign:
            raise ConflictFault("JOB_CLOSED", "The job takes no more chains.", job.job_id)

    def _check_chains(self, caller: Caller, chains: ChainsText, script: Any) -> None:
        if chains.chains > MAX_CHAINS:
            raise InvalidRequestFault(
                "TOO_MANY_CHAINS", f"A batch has at most {MAX_CHAINS} chains.", "Chain"
            )
        check_words(script, chains)
        if caller.caller_ids and not chains.caller_ids <= caller.caller_ids:
            raise InvalidRequestFault("CALLER_ID_NOT_ALLOWED", "Not registered.", "Chain/CallerID")
        audio = list_audio(script, *chains.scripts)
        if audio:
            rows = query(
                "SELECT 'a' || sha256 FROM switchboard_audio WHERE account_id = %s"
                " AND 'a' || left(sha256, 40) = ANY(%s)",
                [caller.account_id, list(audio)],
            )
            if len(rows) < len(audio):
                raise InvalidRequestFault("UNKNOWN_AUDIO", "A recording is not known.", "AudioID")

    # --------------------------------------------------------------------------------- CancelJob

    def cancel_job(self, caller: Caller, operation: etree._Element) -> list[str]:
        """Cancel a job, or some of its chains and numbers. After the answer no attempt of them
        starts: the dialing thread waits at its gate and reads the news before it dials again."""
        job_ref = read_text(operation, "JobRef") or ""
        refs = read_texts(operation, "ChainRef")
        numbers = read_texts(operation, "PhoneNumber")
        with self.dialer.gate:
            with transaction():
                if refs or numbers:
                    now = self.dialer.read_clock()
                    _leave_tombstones(caller.account_id, job_ref, refs, numbers, now)
                else:
                    self._close_whole(caller.account_id, job_ref)
            job = find_job(caller.account_id, job_ref)
            busy = 0
            if job is not None:
                self.dialer.notice(job.pk)
                busy = self.dialer.count_in_progress(job.pk, refs, numbers)
        canceled = count_canceled(job, set(refs), whole=not (refs or numbers))
        return [
            element("JobRef", job_ref),
            element("JobID", job.job_id if job else None),
            element("State", job.state if job else "UNKNOWN"),
            element("ChainsCancelled", canceled),
            element("AttemptsInProgress", busy),
        ]

    def _close_whole(self, account_id: int, job_ref: str) -> None:
        now = self.dialer.read_clock()
        # An unknown JobRef gets a tombstone: a job that comes late is closed on arrival.
        execute(
            "INSERT INTO switchboard_job (account_id, job_ref, job_id, epoch, priority, state,"
            " created_at, cancel_requested_at, ending, sealed, batches, stored_chains,"
            " chains_confirmed, chains_done, chains_canceled, steps_attempted, attempts, last_seq)"
            " VALUES (%s, %s, %s, %s, 2, 'CANCELLING', %s, %s, '', true, 0, 0, 0, 0, 0, 0, 0, 0)"
            " ON CONFLICT (account_id, job_ref) DO UPDATE SET"
            " cancel_requested_at = coalesce(switchboard_job.cancel_requested_at,"
            " EXCLUDED.cancel_requested_at),"
            " state = 'CANCELLING' WHERE switchboard_job.final_seq IS NULL",
            [account_id, job_ref, new_job_id(), self.dialer.epoch, now, now],
        )


def new_job_id() -> str:
    return "J" + token_hex(12)


def find_job(
    account_id: int, job_ref: str, batch_number: int = 0, lock: bool = False
) -> StoredJob | None:
    """A job by its natural key, with the fingerprint of one of its batches; with `lock`, held until
    the transaction ends."""
    rows = query(
        "SELECT id, job_id, state, epoch, created_at, window_end,"
        " cancel_requested_at IS NOT NULL OR ending <> '' OR final_seq IS NOT NULL, body IS NULL,"
        " total_chains, sealed, batches, stored_chains,"
        " coalesce((body->>'scrub_wireless')::boolean, false), (SELECT fingerprint FROM"
        " switchboard_batch b WHERE b.job_id = j.id AND b.number = %s), body->'script'"
        " FROM switchboard_job j WHERE account_id = %s AND job_ref = %s"
        + (" FOR UPDATE OF j" if lock else ""),
        [batch_number, account_id, job_ref],
    )
    if not rows:
        return None
    *values, mark, script = rows[0]
    return StoredJob(*[*values, None if mark is None else bytes(mark), read_json(script)])


def count_canceled(job: StoredJob | None, refs: set[str], whole: bool) -> int:
    """How many stored chains the cancel reaches: those named, or all, that had no result yet."""
    if job is None or job.tombstone:
        return 0
    if whole:
        rows = query(
            "SELECT stored_chains - chains_confirmed - chains_done FROM switchboard_job"
            " WHERE id = %s",
            [job.pk],
        )
        return int(rows[0][0])
    if not refs:
        return 0
    stored = {ref for refs_of_batch in stored_refs(job.pk) for ref in refs_of_batch if ref in refs}
    ended = query(
        "SELECT count(*) FROM switchboard_entry WHERE job_id = %s AND chain_ref = ANY(%s)"
        " AND entry_type = 'CHAIN_RESULT' AND disposition <> 'CANCELLED'",
        [job.pk, list(refs)],
    )
    return len(stored) - int(ended[0][0])


def _leave_tombstones(
    account_id: int, job_ref: str, refs: Sequence[str], numbers: Sequence[str], now: datetime
) -> None:
    named = [("C", ref) for ref in refs] + [("N", number) for number in numbers]
    execute(
        "INSERT INTO switchboard_cancellation (account_id, job_ref, canceled_at, kind, value)"
        " SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        [account_id, job_ref, now, [kind for kind, _ in named], [value for _, value in named]],
    )


def _insert_batch(
    job_pk: int,
    number: int,
    mark: bytes,
    chains: ChainsText,
    refused: int,
    after: StoredJob | None = None,
) -> None:
    """Store a batch, and what the job looks like after it."""
    values: list[Any] = [job_pk, number, mark, chains.chains, chains.voice_steps]
    values += [chains.text_steps, refused, pack(chains.text)]
    insert = (
        "INSERT INTO switchboard_batch (job_id, number, fingerprint, chains, voice_steps,"
        " text_steps, refused_steps, content) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    )
    if after is None:
        execute(insert, values)
        return
    execute(
        f"WITH batch AS ({insert}) UPDATE switchboard_job SET batches = batches + 1,"
        " stored_chains = %s, total_chains = %s, sealed = %s,"
        " state = CASE WHEN %s AND state = 'RECEIVING' THEN 'READY' ELSE state END WHERE id = %s",
        [
            *values,
            *(after.stored_chains, after.total_chains, after.sealed, after.sealed, job_pk),
        ],
    )


def _check_refs_differ(refs: list[str]) -> None:
    if len(set(refs)) != len(refs):
        raise ConflictFault("CHAINREF_REUSED", "A ChainRef is there twice.")


def _check_total(total: int | None, stored: int, job_id: str | None) -> None:
    if total is not None and total < stored:
        raise ConflictFault("BATCH_REUSED", "More chains than TotalChains.", job_id)


def _add_up(job: StoredJob, chains: int, total: int | None, counts: bool = True) -> StoredJob:
    """The job with a batch more. Another total than before is a conflict, and so is one that is
    exceeded (ruling 20), unless nobody `counts`: then a total only says that nothing more comes."""
    if counts and total is not None and job.total_chains not in (None, total):
        raise ConflictFault("BATCH_REUSED", "TotalChains was another number.", job.job_id)
    total = job.total_chains if total is None else total
    stored = job.stored_chains + chains
    if counts:
        _check_total(total, stored, job.job_id)
    sealed = total is not None and stored >= total
    state = "READY" if sealed and job.state == "RECEIVING" else job.state
    return replace(job, total_chains=total, stored_chains=stored, sealed=sealed, state=state)


def _answer(
    job: StoredJob, replayed: bool, chains: ChainsText | None, refusals: Sequence[Refusal]
) -> list[str]:
    """SubmitJobResponse and AddChainsResponse alike. ChainsAccepted counts the chains of this batch
    that are stored, those with refused steps too."""
    return [
        element("JobID", job.job_id),
        element("Replayed", replayed),
        element("State", job.state),
        element("Sealed", job.sealed),
        element("ChainsAccepted", chains.chains if chains else 0),
        *(
            "<Rejected>"
            + element("ChainRef", refusal.chain_ref)
            + element("StepRef", refusal.step_ref)
            + element("StatusCode", refusal.code)
            + element("Detail", refusal.detail)
            + "</Rejected>"
            for refusal in refusals
        ),
    ]
