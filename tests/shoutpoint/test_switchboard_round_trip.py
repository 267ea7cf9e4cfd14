"""The adapter and the switchboard over real HTTP: each written to the contract by itself."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from dialer_adapters.contract import (
    ChainRow,
    CredentialsRefused,
    CursorLost,
    FrozenJob,
    LogEntry,
    LogPage,
    Redial,
    Rejected,
    Retry,
    Script,
    Segment,
)
from dialer_adapters.registry import DialerDoor, adapter_for
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from tests.switchboard.sound import make_sound
from tests.switchboard_process import SwitchboardProcess

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

PATIENCE_SECONDS = 60.0


@pytest.fixture
def switchboard(transactional_db: None) -> Iterator[SwitchboardProcess]:
    with SwitchboardProcess() as process:
        yield process


@pytest.fixture
def adapter(switchboard: SwitchboardProcess) -> Iterator[ShoutpointAdapter]:
    adapter = ShoutpointAdapter(
        switchboard.url, switchboard.username, switchboard.password, allow_loopback=True
    )
    yield adapter
    adapter.close()


def job(customer_id: str, **changes: object) -> FrozenJob:
    """A job of now, for two hours, in one voice."""
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "job_ref": str(uuid.uuid4()),
        "customer_id": customer_id,
        "priority": "NORMAL",
        "message_type": "GENERAL",
        "redial": Redial(2, 0, (0, 1, 4, 14, 17)),
        "script": Script(
            live=(Segment(say="School is closed."),), text="Closed", confirm_digit="0"
        ),
        "window_start": now,
        "window_end": now + timedelta(hours=2),
        **changes,
    }
    return FrozenJob(**values)  # type: ignore[arg-type]


def chain(number: int) -> ChainRow:
    phone = f"+1612555{number:04d}"
    return {
        "r": f"c{number}",
        "s": [[f"v{number}", "V", phone, None, "America/Chicago"], [f"t{number}", "T", phone]],
    }


def whole_log(read: Callable[[int], LogPage]) -> list[LogEntry]:
    entries: list[LogEntry] = []
    after = 0
    while True:
        page = read(after)
        entries += page.entries
        after = page.next_seq
        if not page.has_more:
            return entries


def until_finished(adapter: ShoutpointAdapter, job_ref: str) -> int:
    """Asks for the job's state until it is final; the Seq of its JOB_RESULT."""
    last = monotonic() + PATIENCE_SECONDS
    while monotonic() < last:
        (status,) = adapter.job_status([job_ref])
        if status.final_seq is not None:
            return status.final_seq
    raise AssertionError(f"job {job_ref} never ended")


@pytest.mark.spec("A1-15")
def test_a_job_goes_out_and_comes_back_as_its_log(
    adapter: ShoutpointAdapter, switchboard: SwitchboardProcess
) -> None:
    account = adapter.verify("district-1", "Añoka & Hennepin")
    assert account.account_status == "ACTIVE"
    assert account.capabilities >= {"CHAINS", "CURSOR_LOG", "VOICE", "TEXT"}
    school = adapter.customer_id("SCHOOL", "school-1", "Lincoln Elementary")
    assert school == adapter.customer_id("SCHOOL", "school-1", "Lincoln Elementary")
    assert school != account.customer_id

    frozen = job(account.customer_id)
    first = adapter.submit(frozen, [chain(n) for n in range(40)])
    assert (first.replayed, first.sealed, first.chains_accepted) == (False, False, 40)
    again = adapter.submit(FrozenJob.from_json(frozen.to_json()), [chain(n) for n in range(40)])
    assert (again.replayed, again.job_id) == (True, first.job_id)
    batch: list[ChainRow] = [{**chain(n), "u": school, "o": "P"} for n in range(40, 60)]
    assert adapter.add_chains(frozen.job_ref, 1, batch).chains_accepted == 20
    assert adapter.add_chains(frozen.job_ref, 1, batch).replayed
    assert adapter.add_chains(frozen.job_ref, 2, [], 60).sealed

    final = until_finished(adapter, frozen.job_ref)
    everything = whole_log(lambda after: adapter.read_log(account.epoch, after, 5_000))
    in_small_pages = whole_log(lambda after: adapter.read_log(account.epoch, after, 7))
    assert in_small_pages[: len(everything)] == everything
    own = whole_log(lambda after: adapter.read_log(None, after, 5_000, frozen.job_ref))
    assert [entry.seq for entry in own if entry.entry_type == "JOB_RESULT"] == [final]
    assert {entry.job_id for entry in own} == {first.job_id}
    reported = {entry.step_ref for entry in own if entry.final and entry.step_ref}
    assert reported == {f"{mark}{n}" for n in range(60) for mark in "vt"}
    assert not any(entry.properties and "malformed" in entry.properties for entry in own)
    (status,) = adapter.job_status([frozen.job_ref])
    assert status.counts is not None
    assert (status.state, status.counts.chains, status.counts.chains_open) == ("FINISHED", 60, 0)


def test_a_cancel_is_a_tombstone(adapter: ShoutpointAdapter) -> None:
    account = adapter.verify("district-1", "District")
    never = job(account.customer_id)
    gone = adapter.cancel(never.job_ref, reason="before it left")
    assert gone.job_ref == never.job_ref
    assert adapter.submit(never, [chain(1)], 1).state == "CANCELLED"
    running = job(account.customer_id)
    adapter.submit(running, [chain(n) for n in range(10)])
    some = adapter.cancel(running.job_ref, ["c1", "c2"], phone_numbers=["+16125550003"])
    assert some.chains_cancelled >= 2
    assert adapter.cancel(running.job_ref).state in ("CANCELLING", "CANCELLED")
    until_finished(adapter, running.job_ref)
    own = whole_log(lambda after: adapter.read_log(None, after, 5_000, running.job_ref))
    assert not any(entry.attempt_number for entry in own)


def test_every_refusal_arrives_as_what_it_is(
    adapter: ShoutpointAdapter, switchboard: SwitchboardProcess
) -> None:
    stranger = ShoutpointAdapter(switchboard.url, "district", "guess", allow_loopback=True)
    with pytest.raises(CredentialsRefused):
        stranger.verify("district-1", "District")
    account = adapter.verify("district-1", "District")
    frozen = job(account.customer_id)
    adapter.submit(frozen, [chain(1)], 1)
    with pytest.raises(Rejected) as conflict:
        adapter.submit(frozen, [chain(1), chain(2)], 2)
    assert (conflict.value.code, conflict.value.kind) == ("JOBREF_REUSED", "conflict")
    assert not conflict.value.local
    with pytest.raises(Rejected) as unknown:
        adapter.add_chains("nobody", 1, [chain(1)])
    assert (unknown.value.code, unknown.value.kind) == ("JOB", "not_found")
    with pytest.raises(Rejected) as windowless:
        adapter.submit(job(account.customer_id, window_end=None, window_start=None), [chain(1)], 1)
    assert windowless.value.code == "WINDOW_REQUIRED"
    (nobody,) = adapter.job_status(["nobody"])
    assert nobody.state == "UNKNOWN"
    with pytest.raises(CursorLost) as changed:
        adapter.read_log("another-epoch", 1)
    assert (changed.value.code, changed.value.current_epoch) == ("EPOCH_CHANGED", account.epoch)
    with pytest.raises(CursorLost) as ahead:
        adapter.read_log(account.epoch, 10**9)
    assert ahead.value.code == "AHEAD_OF_LOG"
    with pytest.raises(CursorLost) as required:
        adapter.read_log(None, 1)
    assert required.value.code == "EPOCH_REQUIRED"


TROUBLES = {
    "unavailable": "busy",
    "cut": "garbled",
    "garbage": "garbled",
    "doctype": "garbled",
    "html": "foreign",
    "empty": "garbled",
}


def test_trouble_on_the_way_changes_nothing(
    adapter: ShoutpointAdapter, switchboard: SwitchboardProcess
) -> None:
    """Whatever happens to the answer, the same request again gets the first result."""
    account = adapter.verify("district-1", "District")
    for number, trouble in enumerate(TROUBLES, start=1):
        frozen = job(account.customer_id, window_start=datetime.now(UTC) + timedelta(hours=1))
        switchboard.control(trouble=trouble, operations=["SubmitJob", "GetCallLog"], times=2)
        with pytest.raises(Retry) as submitting:
            adapter.submit(frozen, [chain(number)], 1)
        with pytest.raises(Retry):
            adapter.read_log(None, 0)
        assert submitting.value.retryable
        assert submitting.value.reason == TROUBLES[trouble], trouble
        switchboard.control(trouble=None)
        answer = adapter.submit(frozen, [chain(number)], 1)
        assert answer.replayed == (trouble in ("cut", "empty")), trouble
        assert adapter.read_log(None, 0).epoch == account.epoch


def test_a_killed_switchboard_is_a_doubt_and_remembers(
    adapter: ShoutpointAdapter, switchboard: SwitchboardProcess
) -> None:
    account = adapter.verify("district-1", "District")
    frozen = job(account.customer_id, window_start=datetime.now(UTC) + timedelta(hours=1))
    first = adapter.submit(frozen, [chain(1)])
    switchboard.kill()
    with pytest.raises(Retry) as down:
        adapter.submit(frozen, [chain(1)])
    assert down.value.reason == "unreachable"
    switchboard.start()
    again = adapter.submit(frozen, [chain(1)])
    assert (again.replayed, again.job_id) == (True, first.job_id)


def test_threads_of_a_process_share_one_adapter(switchboard: SwitchboardProcess) -> None:
    door = DialerDoor(
        switchboard.url, switchboard.username, switchboard.password, allow_loopback=True
    )
    account = adapter_for(door).verify("district-1", "District")
    frozen = replace(job(account.customer_id), window_start=datetime.now(UTC) + timedelta(hours=1))
    adapter_for(door).submit(frozen)

    def send(number: int) -> int:
        chains = [chain(number * 100 + n) for n in range(100)]
        return adapter_for(door).add_chains(frozen.job_ref, number + 1, chains).chains_accepted

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, range(12))) == [100] * 12
    (status,) = adapter_for(door).job_status([frozen.job_ref])
    assert status.counts is not None
    assert status.counts.chains == 1_200


def test_the_other_operations_are_spoken_too(
    adapter: ShoutpointAdapter, switchboard: SwitchboardProcess
) -> None:
    sound = make_sound(2)
    stored = adapter.put_audio(sound, "audio/wav")
    assert (stored.created, stored.duration_seconds) == (True, 2)
    assert adapter.put_audio(sound, "audio/wav").audio_id == stored.audio_id
    assert adapter.get_audio(stored.audio_id).content == sound
    with pytest.raises(Rejected) as refused:
        adapter.put_audio(make_sound(rate=44100), "audio/wav")
    assert (refused.value.code, refused.value.field) == ("SCHEMA", "Content")
    assert adapter.inbound_texts(None, 0).texts == ()
    assert adapter.remote_dial_in(None, 0).messages == ()
    changed = adapter.set_text_consent("+16125550001", "OPTED_OUT", "change-1", "PORTAL")
    again = adapter.set_text_consent("+16125550001", "OPTED_OUT", "change-1", "PORTAL")
    assert (changed.replayed, again.replayed) == (False, True)
    (consent,) = adapter.text_consents().consents
    assert (consent.phone_number, consent.state) == ("+16125550001", "OPTED_OUT")
    switchboard.control(inbound_text={"from": "+16125550002", "body": "Stop."})
    switchboard.control(inbound_text={"from": "+16125550002", "body": "thanks"})
    spoken = base64.b64encode(sound).decode()
    switchboard.control(recording={"user": "u-1", "audience": "ALL", "sound": spoken})
    page = adapter.inbound_texts(None, 0, 1)
    assert [(text.keyword, text.consent_after) for text in page.texts] == [("STOP", "OPTED_OUT")]
    assert page.has_more
    (other,) = adapter.inbound_texts(page.epoch, page.next_seq).texts
    assert (other.body, other.keyword, other.auto_reply) == ("thanks", "NONE", None)
    (message,) = adapter.remote_dial_in(page.epoch, 0).messages
    assert (message.audio_id, message.duration_seconds) == (stored.audio_id, 2)
    with pytest.raises(Rejected) as stopped:
        adapter.set_text_consent("+16125550002", "OPTED_IN", "change-2", "PORTAL")
    assert (stopped.value.kind, stopped.value.code) == ("conflict", "CONSENT_STOPPED")
