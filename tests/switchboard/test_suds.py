"""A second SOAP client, older than and unlike the application's, made from the WSDL alone: so that
the switchboard is a service, and not the mirror of one library."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import suds
import suds.client
import suds.transport.http

from dialer_adapters.switchboard.invariants import list_violations
from tests.switchboard.desk import number
from tests.switchboard_process import SwitchboardProcess

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

DEADLINE = 60.0


def connect(switchboard: SwitchboardProcess, password: str | None = None) -> Any:
    """A suds client that has read the contract from the switchboard itself."""
    transport = suds.transport.http.HttpAuthenticated(
        username=switchboard.username, password=password or switchboard.password
    )
    return suds.client.Client(f"{switchboard.url}?wsdl", transport=transport, cache=None)


def make_job(client: Any, job_ref: str, **changes: Any) -> Any:
    """A Job of the client's own type."""
    job, now = client.factory.create("Job"), datetime.now(UTC)
    job.JobRef, job.CustomerID = job_ref, changes.pop("customer_id")
    job.Priority, job.MessageType = "NORMAL", "GENERAL"
    # suds writes times of a restricted type as str() does, which no schema takes: write them out.
    job.WindowStart = (now - timedelta(hours=1)).isoformat()
    job.WindowEnd = (now + timedelta(hours=2)).isoformat()
    job.LocalHours, job.Script = None, client.factory.create("Script")
    live = client.factory.create("Segment")
    live.Say = "School is closed <today> & tomorrow."
    job.Script.Live, job.Script.Text = [live], "School is closed."
    job.Redial.MaxAttemptsPerNumber, job.Redial.MinutesBetween = 2, 0
    job.Redial.RedialMachine, job.Redial.UnknownOutcome = False, "STOP"
    job.StopOn, job.MachineAction, job.StartPolicy = ["CONFIRM"], "LEAVE_MESSAGE", "WHEN_SEALED"
    job.DetectMachine, job.SuppressDuplicates, job.ScrubWireless = True, False, False
    for name, value in changes.items():
        setattr(job, name, value)
    return job


def make_chain(client: Any, ref: str, *numbers: str) -> Any:
    chain = client.factory.create("Chain")
    chain.ChainRef, chain.Order, chain.Script = ref, "SEQUENTIAL", None
    chain.Step = []
    for place, phone in enumerate(numbers, start=1):
        step = client.factory.create("Step")
        step.StepRef, step.Channel, step.PhoneNumber = f"{ref}-{place}", "VOICE", phone
        chain.Step.append(step)
    return chain


def test_suds_verifies_submits_adds_asks_cancels_and_reads(
    switchboard: SwitchboardProcess,
) -> None:
    client = connect(switchboard)
    service = client.service
    verified = service.VerifyCustomer("district-1", "District")
    assert str(verified.AccountStatus) == "ACTIVE"
    assert verified.Limits.MaxChainsPerBatch == 2000
    school = service.GetCustomerID("SCHOOL", "school-1", "Harding High")
    customer_id = str(school.CustomerID)

    # A job with its first batch, a second batch that seals it, each repeated.
    job_ref = str(uuid.uuid4())
    job = make_job(client, job_ref, customer_id=customer_id)
    first = [
        make_chain(client, "c1", number(140), number(100)),
        make_chain(client, "c2", number(130)),
    ]
    accepted, again = service.SubmitJob(job, first), service.SubmitJob(job, first)
    assert (accepted.Replayed, accepted.Sealed, accepted.ChainsAccepted) == (False, False, 2)
    assert (again.Replayed, str(again.JobID)) == (True, str(accepted.JobID))
    second = [make_chain(client, "c3", number(110)), make_chain(client, "c4", number(190))]
    added = service.AddChains(job_ref, 1, second, 4)
    assert (added.Sealed, added.ChainsAccepted) == (True, 2)
    assert [(str(row.StepRef), row.StatusCode) for row in added.Rejected] == [("c4-1", -3)]
    assert service.AddChains(job_ref, 1, second, 4).Replayed is True

    wait_until_finished(service, job_ref)
    status = service.GetJobStatus([job_ref, "nobody"])
    assert [str(row.State) for row in status.Job] == ["FINISHED", "UNKNOWN"]
    assert (status.Job[0].Counts.Chains, status.Job[0].Counts.ChainsConfirmed) == (4, 2)

    # The log, page by page.
    entries: list[Any] = []
    epoch, after, has_more = None, 0, True
    while has_more:
        page = service.GetCallLog(None, epoch, after, 3)
        entries += page.Entry
        epoch, after, has_more = str(page.Epoch), page.NextSeq, page.HasMore
    assert [entry.Seq for entry in entries] == sorted({entry.Seq for entry in entries})
    codes = [
        (str(entry.StepRef), entry.AttemptNumber, entry.StatusCode)
        for entry in entries
        if str(entry.EntryType) == "ATTEMPT_RESULT"
    ]
    assert sorted(codes) == [
        ("c1-1", 1, 0),
        ("c1-2", 1, 5),
        ("c2-1", 1, 1),
        ("c2-1", 2, 5),
        ("c3-1", 1, 5),
    ]
    assert str(entries[-1].EntryType) == "JOB_RESULT"
    assert status.Job[0].FinalSeq == entries[-1].Seq

    # A job that waits is canceled; nothing of it is ever dialed.
    waiting = str(uuid.uuid4())
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    patient = make_job(client, waiting, customer_id=customer_id, WindowStart=later, TotalChains=1)
    service.SubmitJob(patient, [make_chain(client, "c1", number(100))])
    canceled = service.CancelJob(waiting)
    assert (canceled.ChainsCancelled, canceled.AttemptsInProgress) == (1, 0)
    wait_until_finished(service, waiting)
    with pytest.raises(suds.WebFault) as refused:
        service.AddChains(waiting, 1, [make_chain(client, "c2", number(100))])
    assert str(refused.value.fault.detail.ConflictFault.Code) == "JOB_CLOSED"
    assert list_violations() == []


def test_suds_is_told_that_its_password_is_wrong(switchboard: SwitchboardProcess) -> None:
    with pytest.raises(suds.WebFault) as refused:
        connect(switchboard, "not it").service.VerifyCustomer("district-1", "District")
    assert str(refused.value.fault.detail.AuthenticationFault.Code) == "BAD_CREDENTIALS"


def wait_until_finished(service: Any, job_ref: str) -> None:
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while str(service.GetJobStatus([job_ref]).Job[0].State) not in ("FINISHED", "CANCELLED"):
        assert time.monotonic() < deadline
        pause.wait(0.05)
