"""Hand-written answers of a dialer, so that nothing of ours has written what our code must read."""

from __future__ import annotations

from dialer_adapters.shoutpoint.log_pages import COLUMNS

NS = "urn:school-messenger:dialer:v1"


def envelope(inside: str, *, declaration: str = '<?xml version="1.0" encoding="utf-8"?>') -> bytes:
    return (
        f'{declaration}<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<soap:Body>{inside}</soap:Body></soap:Envelope>"
    ).encode()


def response(operation: str, inside: str) -> bytes:
    return envelope(f'<{operation}Response xmlns="{NS}">{inside}</{operation}Response>')


def fault(name: str, inside: str, faultcode: str = "soap:Client") -> bytes:
    return envelope(
        f"<soap:Fault><faultcode>{faultcode}</faultcode><faultstring>no</faultstring>"
        f'<detail><d:{name} xmlns:d="{NS}">{inside}</d:{name}></detail></soap:Fault>'
    )


def fault_values(**values: object) -> str:
    return "".join(f"<d:{name}>{value}</d:{name}>" for name, value in values.items())


VERIFIED = response(
    "VerifyCustomer",
    "<CustomerID>D-0101</CustomerID><AccountStatus>ACTIVE</AccountStatus>"
    "<Capability>VOICE</Capability><Capability>TEXT</Capability>"
    "<Limits><MaxChainsPerBatch>1000</MaxChainsPerBatch><MaxPageSize>5000</MaxPageSize>"
    "<MaxAudioBytes>5242880</MaxAudioBytes><NormalLines>40</NormalLines>"
    "<EmergencyLines>20</EmergencyLines><CallsPerSecond>12.5</CallsPerSecond>"
    "<LogRetentionDays>30</LogRetentionDays></Limits>"
    "<Epoch>e1</Epoch><ServerTime>2026-11-23T22:00:00Z</ServerTime><StateID>state-1</StateID>",
)
SUBMITTED = (
    "<JobID>J1</JobID><Replayed>false</Replayed><State>RECEIVING</State><Sealed>false</Sealed>"
    "<ChainsAccepted>1</ChainsAccepted>"
)

ENTRY = {
    "Seq": "1",
    "EntryID": "a1:1",
    "EntryType": "ATTEMPT_RESULT",
    "OccurredAt": "2026-11-23T22:00:01.5Z",
    "JobID": "J1",
    "JobRef": "msg-7f1c",
    "ChainRef": "c1",
    "StepRef": "s1",
    "AttemptID": "a1",
    "AttemptNumber": "1",
    "Revision": "1",
    "Channel": "VOICE",
    "PhoneNumber": "+16125557735",
    "StatusCode": "5",
    "Disposition": "SUCCESSFUL",
    "Final": "true",
    "Confirmed": "false",
    "AnsweredBy": "HUMAN",
    "StartedAt": "2026-11-23T22:00:00Z",
    "DurationSeconds": "20",
}
"""One entry as the wire names it; the absent columns are optional ones."""


def entry(seq: int, rest: str = "", **changes: str | None) -> str:
    values = {**ENTRY, "Seq": str(seq), "EntryID": f"a{seq}:1", **changes}
    ordered = {name: values[name] for name in COLUMNS if name in values}
    inside = "".join(
        f"<{name}>{value}</{name}>" for name, value in ordered.items() if value is not None
    )
    return f"<Entry>{inside}{rest}</Entry>"


def page(
    *entries: str,
    epoch: str = "e1",
    next_seq: object = None,
    has_more: str = "false",
    oldest: object = 1,
    server_time: str = "2026-11-23T22:00:09Z",
) -> bytes:
    last = len(entries) if next_seq is None else next_seq
    return response(
        "GetCallLog",
        "".join(entries)
        + f"<Epoch>{epoch}</Epoch><NextSeq>{last}</NextSeq><HasMore>{has_more}</HasMore>"
        f"<OldestSeq>{oldest}</OldestSeq><ServerTime>{server_time}</ServerTime>",
    )
