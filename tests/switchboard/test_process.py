"""The real process over HTTP: any SOAP client can use it, and kill -9 loses and doubles nothing."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import zeep
import zeep.exceptions
from django.db import connections
from lxml import etree

from dialer_adapters.shoutpoint.wsdl import message_schema
from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.invariants import describe, list_violations
from dialer_adapters.switchboard.models import Attempt, Batch, Entry, Job
from tests.switchboard.desk import chain, element, envelope, job_values, number
from tests.switchboard_process import SwitchboardProcess

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

DEADLINE = 60.0


def wait_for(condition: Callable[[], bool], switchboard: SwitchboardProcess) -> None:
    """Ask until it is true; the other process needs its time."""
    deadline = time.monotonic() + DEADLINE
    asking = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, switchboard.output
        asking.wait(0.05)


class Wire:
    """One connection that is kept alive, as raw HTTP."""

    def __init__(self, switchboard: SwitchboardProcess) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", switchboard.port, timeout=30)
        pair = f"{switchboard.username}:{switchboard.password}".encode()
        self.headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": '""',
            "Authorization": f"Basic {b64encode(pair).decode()}",
        }

    def post(self, body: bytes) -> tuple[int, bytes]:
        self.connection.request("POST", "/soap", body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def call(self, operation: str, *chains: str, **elements: Any) -> etree._Element:
        """The content of a good answer."""
        parts = [element(name, value) for name, value in elements.items()]
        status, body = self.post(envelope(operation, [*parts, *chains]))
        assert status == 200, body
        content = etree.fromstring(body)[0][0]
        message_schema().assertValid(content)
        return content

    def submit(self, job_ref: str, *chains: str, **changes: Any) -> etree._Element:
        changes.setdefault("TotalChains", len(chains))
        return self.call("SubmitJob", *chains, Job=job_values(job_ref, **changes))


def is_final(job_ref: str) -> bool:
    return Job.objects.filter(job_ref=job_ref, final_seq__isnull=False).exists()


# -------------------------------------------------------------------------------------- clients


def test_zeep_speaks_it_from_the_wsdl_alone(switchboard: SwitchboardProcess) -> None:
    session = requests.Session()
    session.auth = (switchboard.username, switchboard.password)
    transport = zeep.Transport(session=session)
    service = zeep.Client(f"{switchboard.url}?wsdl", transport=transport).service
    verified = service.VerifyCustomer(ExternalID="district-1", Name="District")
    assert verified.AccountStatus == "ACTIVE"
    school = service.GetCustomerID(Kind="SCHOOL", ExternalID="school-1", Name="School")
    assert school.Created
    now = datetime.now(UTC)
    job_ref = str(uuid.uuid4())
    job = {
        "JobRef": job_ref,
        "CustomerID": school.CustomerID,
        "Priority": "NORMAL",
        "MessageType": "GENERAL",
        "WindowStart": now,
        "WindowEnd": now + timedelta(hours=1),
        "Redial": {
            "MaxAttemptsPerNumber": 1,
            "MinutesBetween": 15,
            "RedialMachine": False,
            "UnknownOutcome": "STOP",
        },
        "StopOn": ["CONFIRM"],
        "MachineAction": "LEAVE_MESSAGE",
        "DetectMachine": True,
        "SuppressDuplicates": False,
        "ScrubWireless": False,
        "Script": {"Live": [{"Say": "Hello"}]},
        "StartPolicy": "WHEN_SEALED",
    }
    step = {"StepRef": "s1", "Channel": "VOICE", "PhoneNumber": number(100)}
    accepted = service.SubmitJob(Job=job, Chain=[{"ChainRef": "c1", "Step": [step]}])
    assert (accepted.ChainsAccepted, accepted.Sealed) == (1, False)
    sealed = service.AddChains(JobRef=job_ref, BatchNumber=1, TotalChains=1)
    assert sealed.JobID == accepted.JobID

    def finished() -> bool:
        state: str = service.GetJobStatus(JobRef=[job_ref]).Job[0].State
        return state == "FINISHED"

    wait_for(finished, switchboard)
    page = service.GetCallLog(AfterSeq=0)
    assert [entry.EntryType for entry in page.Entry] == [
        "ATTEMPT_RESULT",
        "CHAIN_RESULT",
        "JOB_RESULT",
    ]
    assert page.Entry[0].Confirmed
    with pytest.raises(zeep.exceptions.Fault) as refused:
        service.AddChains(JobRef="nobody", BatchNumber=1)
    assert refused.value.detail[0].tag.endswith("NotFoundFault")


def test_connections_are_kept_alive(switchboard: SwitchboardProcess) -> None:
    wire = Wire(switchboard)
    wire.call("GetJobStatus", JobRef="nobody")
    socket = wire.connection.sock
    for _ in range(5):
        wire.call("GetJobStatus", JobRef="nobody")
    assert wire.connection.sock is socket


# ----------------------------------------------------------------------------------- concurrency


def test_the_same_submit_many_times_at_once_makes_one_job(switchboard: SwitchboardProcess) -> None:
    job_ref = str(uuid.uuid4())
    values = job_values(job_ref, TotalChains=300)
    chains = [chain(f"c{place}", number(110)) for place in range(300)]
    body = envelope("SubmitJob", [element("Job", values), *chains])
    answers: list[tuple[int, bytes]] = []
    together = threading.Barrier(8)

    def send() -> None:
        wire = Wire(switchboard)
        together.wait()
        answers.append(wire.post(body))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    replayed = Counter(b"<Replayed>true</Replayed>" in answer for _, answer in answers)
    assert replayed == {True: 7, False: 1}
    assert (Job.objects.count(), Batch.objects.count()) == (1, 1)
    wait_for(lambda: is_final(job_ref), switchboard)
    assert Attempt.objects.count() == 300


def test_batches_that_come_at_once_are_all_stored(switchboard: SwitchboardProcess) -> None:
    job_ref = str(uuid.uuid4())
    Wire(switchboard).submit(job_ref, TotalChains=400, WindowStart=datetime.now(UTC))
    numbers = iter(range(1, 41))
    lock = threading.Lock()

    def send() -> None:
        wire = Wire(switchboard)
        while True:
            with lock:
                batch = next(numbers, None)
            if batch is None:
                return
            chains = [chain(f"b{batch}-{place}", number(110)) for place in range(10)]
            wire.call("AddChains", *chains, JobRef=job_ref, BatchNumber=batch)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: is_final(job_ref), switchboard)
    totals = ledger.add_up(job_ref)
    assert (totals.chains, totals.attempts, totals.lost, totals.doubled) == (400, 400, 0, 0)


# ------------------------------------------------------------------------------------- kill -9


def test_kill_9_again_and_again_loses_and_doubles_nothing(transactional_db: None) -> None:
    """What was answered is stored, what was stored is dialed to its end, nothing twice."""
    job_ref = str(uuid.uuid4())
    policy = {"MaxAttemptsPerNumber": 2, "MinutesBetween": 1, "UnknownOutcome": "STOP"}
    redial = {"Redial": {**policy, "RedialCode": None, "RedialMachine": False}}
    plain = {"StartPolicy": "IMMEDIATE", "TotalChains": None}
    town = [number(100 + place % 90, 200 + place % 700) for place in range(300)]
    with SwitchboardProcess(speed=60, lines=100) as switchboard:
        Wire(switchboard).submit(job_ref, **plain, **redial)
        for batch in range(1, 4):
            add_and_kill(switchboard, job_ref, batch, town)
        Wire(switchboard).call("AddChains", JobRef=job_ref, BatchNumber=4, TotalChains=300)
        wait_for(lambda: is_final(job_ref), switchboard)
    totals = ledger.add_up(job_ref)
    assert (totals.chains, totals.steps) == (300, 900)
    assert (totals.lost, totals.doubled, totals.under_way) == (0, 0, 0)
    violations = list_violations()
    assert violations == [], describe(violations)
    assert 0 < totals.no_response < totals.attempts
    seqs = list(Entry.objects.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    dialed = ledger.list_attempts(town[0], job_ref)
    assert dialed
    assert {attempt.phone_number for attempt in dialed} == {town[0]}


def add_and_kill(
    switchboard: SwitchboardProcess, job_ref: str, batch: int, town: list[str]
) -> None:
    """Hand 100 chains over, kill the switchboard while it calls them, and hand them over again."""
    chains = [
        chain(f"c{place}", town[place], town[-place], "T" + town[place])
        for place in range((batch - 1) * 100, batch * 100)
    ]
    before = Attempt.objects.count()
    Wire(switchboard).call("AddChains", *chains, JobRef=job_ref, BatchNumber=batch)
    wait_for(lambda: Attempt.objects.count() > before + 20, switchboard)
    switchboard.kill()
    assert Batch.objects.filter(number=batch).exists()
    switchboard.start()
    repeat = Wire(switchboard).call("AddChains", *chains, JobRef=job_ref, BatchNumber=batch)
    assert repeat.findtext("{*}Replayed") == "true"


def test_a_database_that_goes_and_comes_loses_and_doubles_nothing(
    switchboard: SwitchboardProcess,
) -> None:
    wire = Wire(switchboard)
    job_ref = str(uuid.uuid4())
    wire.submit(job_ref, *(chain(f"c{place}", number(110), number(120)) for place in range(500)))
    for calls in (100, 300, 500):
        wait_for(lambda calls=calls: Attempt.objects.count() > calls, switchboard)
        with connections["switchboard"].cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    ask = envelope("GetJobStatus", [element("JobRef", job_ref)])
    wait_for(lambda: wire.post(ask)[0] == 200, switchboard)
    wait_for(lambda: is_final(job_ref), switchboard)
    totals = ledger.add_up(job_ref)
    assert (totals.steps, totals.lost, totals.doubled, totals.under_way) == (1000, 0, 0, 0)
    assert switchboard.process is not None
    assert switchboard.process.poll() is None


def test_after_a_cancel_is_answered_nothing_starts(switchboard: SwitchboardProcess) -> None:
    wire = Wire(switchboard)
    job_ref = str(uuid.uuid4())
    wire.submit(job_ref, *(chain(f"c{place}", number(110), number(120)) for place in range(900)))
    wait_for(lambda: Attempt.objects.count() > 300, switchboard)
    assert wire.call("CancelJob", JobRef=job_ref).findtext("{*}State") == "CANCELLING"
    attempts = Attempt.objects.count()
    wait_for(lambda: is_final(job_ref), switchboard)
    assert Attempt.objects.count() == attempts < 1800
    assert list_violations() == []


def test_a_second_switchboard_does_not_start_on_the_same_database(
    switchboard: SwitchboardProcess,
) -> None:
    second = SwitchboardProcess(claim_seconds=0.5)
    with pytest.raises(RuntimeError, match="another switchboard runs on this database"):
        second.start()
    assert Wire(switchboard).call("GetJobStatus", JobRef="nobody") is not None


# ------------------------------------------------------------------------------------- trouble


def test_trouble_can_be_switched_on_and_off(switchboard: SwitchboardProcess) -> None:
    body = envelope("GetJobStatus", [element("JobRef", "nobody")])
    switchboard.control(trouble="unavailable", times=1)
    status, answer = Wire(switchboard).post(body)
    assert (status, b"<html>" in answer) == (503, True)
    assert Wire(switchboard).post(body)[0] == 200
    switchboard.control(trouble="html", operations=["GetCallLog"])
    assert Wire(switchboard).post(body)[0] == 200
    switchboard.control(trouble="garbage")
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(Wire(switchboard).post(body)[1])
    switchboard.control(trouble="doctype")
    assert b"<!DOCTYPE" in Wire(switchboard).post(body)[1]
    switchboard.control(trouble=None)
    assert Wire(switchboard).call("GetJobStatus", JobRef="nobody") is not None


def test_work_may_be_done_and_the_answer_lost(switchboard: SwitchboardProcess) -> None:
    now = datetime.now(UTC)
    window = {"WindowStart": now, "WindowEnd": now + timedelta(hours=1)}
    for trouble in ("cut", "empty", "timeout"):
        job_ref = str(uuid.uuid4())
        values = job_values(job_ref, TotalChains=1, **window)
        body = envelope("SubmitJob", [element("Job", values), chain("c1", number(110))])
        switchboard.control(trouble=trouble, operations=["SubmitJob"], times=1, seconds=0.2)
        with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected)):
            Wire(switchboard).post(body)
        status, answer = Wire(switchboard).post(body)
        assert (status, b"<Replayed>true</Replayed>" in answer) == (200, True)
        wait_for(lambda job_ref=job_ref: is_final(job_ref), switchboard)
        assert Attempt.objects.filter(job_id=Job.objects.get(job_ref=job_ref).pk).count() == 1


@pytest.mark.parametrize(
    ("trouble", "fault", "code"),
    [
        ("throttled", b"ServerBusyFault", b"THROTTLED"),
        ("maintenance", b"ServerBusyFault", b"MAINTENANCE"),
        ("bad_credentials", b"AuthenticationFault", b"BAD_CREDENTIALS"),
        ("account_disabled", b"AuthenticationFault", b"ACCOUNT_DISABLED"),
    ],
)
def test_typed_faults_can_be_switched_on(
    switchboard: SwitchboardProcess, trouble: str, fault: bytes, code: bytes
) -> None:
    job_ref = str(uuid.uuid4())
    body = envelope(
        "SubmitJob",
        [element("Job", job_values(job_ref, TotalChains=1)), chain("c1", number(110))],
    )
    switchboard.control(trouble=trouble, operations=["SubmitJob"], times=1, seconds=7)
    status, answer = Wire(switchboard).post(body)
    assert (status, fault in answer, code in answer) == (500, True, True)
    assert (b"<RetryAfterSeconds>7<" in answer) == (fault == b"ServerBusyFault")
    status, answer = Wire(switchboard).post(body)
    assert (status, b"<Replayed>false</Replayed>" in answer) == (200, True)


def test_the_door_can_be_closed_while_calls_go_on(switchboard: SwitchboardProcess) -> None:
    wire, job_ref = Wire(switchboard), str(uuid.uuid4())
    wire.submit(job_ref, chain("c1", number(140), number(100)))
    switchboard.control(refuse=1.5)

    def refuses() -> bool:
        try:
            Wire(switchboard).call("GetJobStatus", JobRef=job_ref)
        except (ConnectionRefusedError, ConnectionResetError):
            return True  # reset: it had just been taken when the door closed
        return False

    wait_for(refuses, switchboard)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        wire.call("GetJobStatus", JobRef=job_ref)  # the idle connection was ended too
    wait_for(lambda: not refuses(), switchboard)
    wait_for(lambda: is_final(job_ref), switchboard)
    assert ledger.add_up(job_ref).attempts == 2


def test_what_was_under_way_can_be_lost_without_a_kill(transactional_db: None) -> None:
    with SwitchboardProcess(speed=10) as switchboard:
        job_ref = str(uuid.uuid4())
        Wire(switchboard).submit(job_ref, *(chain(f"c{place}", number(140)) for place in range(5)))
        wait_for(lambda: Attempt.objects.count() == 5, switchboard)
        switchboard.control(restart=True)
        wait_for(lambda: is_final(job_ref), switchboard)
        assert ledger.add_up(job_ref).no_response == 5


def test_an_account_can_be_held_back(transactional_db: None) -> None:
    with SwitchboardProcess(options=("--requests-per-second=0.1",)) as switchboard:
        wire = Wire(switchboard)
        ask = envelope("GetJobStatus", [element("JobRef", "nobody")])
        assert wire.post(ask)[0] == 200
        status, answer = wire.post(ask)
        assert (status, b"THROTTLED" in answer) == (500, True)
        assert wire.call("CancelJob", JobRef="nobody").findtext("{*}State") == "CANCELLING"
        switchboard.control(requests_per_second=0)
        assert wire.post(ask)[0] == 200


def test_a_restored_switchboard_is_started_with_a_new_epoch(transactional_db: None) -> None:
    with SwitchboardProcess(speed=1) as switchboard:
        job_ref = str(uuid.uuid4())
        Wire(switchboard).submit(job_ref, chain("c1", number(140)), TotalChains=2)
        before = Wire(switchboard).call("GetCallLog", AfterSeq=0).findtext("{*}Epoch")
    with SwitchboardProcess(options=("--new-epoch",)) as switchboard:
        wait_for(lambda: is_final(job_ref), switchboard)
        page = Wire(switchboard).call("GetCallLog", AfterSeq=0)
        assert page.findtext("{*}Epoch") != before
        assert page.findtext("{*}Entry/{*}Reason") == "EPOCH_CHANGED"
    assert Attempt.objects.count() == 0


@pytest.mark.parametrize("option", ["--retention-days=29", "--requests-per-second=-1", "--speed=0"])
def test_settings_that_break_the_contract_are_refused(transactional_db: None, option: str) -> None:
    with pytest.raises(RuntimeError, match=option.partition("=")[0]):
        SwitchboardProcess(options=(option,)).start()
