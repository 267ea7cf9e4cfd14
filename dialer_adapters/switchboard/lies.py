"""What a lying switchboard answers: counts, numbers and results that are wrong or of other jobs.

For tests of who believes it. The lies keep to the form of the contract (a page's own numbering is
what its reader goes by), and nothing of what is stored here changes.
"""

from __future__ import annotations

import re
from uuid import uuid4

from dialer_adapters.switchboard.envelope import element

WRONG_COUNT = 987_654
ANOTHER_JOB = "J000000000000000000000000"
NO_SUCH_CODE = 4242
LIVE_PERSON = 5

_COUNT = re.compile(r"<(Chains\w*|StepsAttempted|Attempts)>\d+<")
_CHAIN_RESULT = "<EntryType>CHAIN_RESULT</EntryType>"


def tell_lies(operation: str, parts: list[str]) -> list[str]:
    """The answer's parts as a liar gives them."""
    told = [_COUNT.sub(rf"<\1>{WRONG_COUNT}<", part) for part in parts]
    told = [re.sub(r"<JobID>[^<]*<", f"<JobID>{ANOTHER_JOB}<", part) for part in told]
    if operation in ("SubmitJob", "AddChains"):
        return [*map(_flip, told), _refused_chain()]
    if operation == "GetCallLog":
        return [_forge(part, place) for place, part in enumerate(told)]
    return told


def _flip(part: str) -> str:
    """Sealed and Replayed, the other way round."""
    for name in ("Sealed", "Replayed"):
        if part.startswith(f"<{name}>"):
            return element(name, "false" if "true" in part else "true")
    return part


def _refused_chain() -> str:
    """A chain is refused that was never sent."""
    parts = (element("ChainRef", "77"), element("StatusCode", -2), element("Detail", "no number"))
    return f"<Rejected>{''.join(parts)}</Rejected>"


def _forge(part: str, place: int) -> str:
    """Every CHAIN_RESULT becomes a call that reached somebody: of a job that does not exist, of a
    chain that the job does not have, of a step that the chain does not have, or with a code that no
    table lists. Its number and name in the log stay."""
    if _CHAIN_RESULT not in part:
        return part
    chain = _text(part, "ChainRef")
    job_ref, chain_ref, step_ref, code = _text(part, "JobRef"), chain, f"{chain}-1", LIVE_PERSON
    lie = place % 4
    if lie in (0, 3):
        job_ref = str(uuid4())
    if lie == 1:
        chain_ref, step_ref = "999999999", "999999999-1"
    if lie == 2:
        step_ref = f"{chain}-99"
    if lie == 3:
        code = NO_SUCH_CODE
    parts = (
        element("Seq", _text(part, "Seq")),
        element("EntryID", _text(part, "EntryID")),
        element("EntryType", "ATTEMPT_RESULT"),
        element("OccurredAt", _text(part, "OccurredAt")),
        element("JobID", ANOTHER_JOB),
        element("JobRef", job_ref),
        element("ChainRef", chain_ref),
        element("StepRef", step_ref),
        element("AttemptID", f"LIE-{_text(part, 'Seq')}"),
        element("AttemptNumber", 1),
        element("Revision", 1),
        element("Channel", "VOICE"),
        element("PhoneNumber", "+16125550100"),
        element("StatusCode", code),
        element("Disposition", "SUCCESSFUL"),
        element("Final", True),
        element("Confirmed", True),
    )
    return f"<Entry>{''.join(parts)}</Entry>"


def _text(part: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)<", part)
    return found[1] if found else ""
