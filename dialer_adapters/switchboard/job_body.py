"""The Job element of SubmitJob: its parsed values, the rules it must keep, and its dialing policy.

The parsed values are what is stored and fingerprinted: defaults filled in, times in UTC, sorted
keys. Chains are not read here, and nothing here touches the database.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lxml import etree

from dialer_adapters.chain_engine import DEFAULT_REDIAL_CODES, LocalHours, Policy
from dialer_adapters.switchboard.batches import TAG, ChainsText, Script, iterate_chains, read_script
from dialer_adapters.switchboard.faults import InvalidRequestFault

PRIORITIES = {"EMERGENCY": 0, "PRIORITY": 1, "NORMAL": 2}
DEFAULT_RING_SECONDS = 30
# A message about attendance or behavior needs time to reach a family (A2-08).
LONG_WINDOW_TYPES = ("ATTENDANCE", "BEHAVIOR")
LONG_WINDOW = timedelta(minutes=30)

Body = dict[str, Any]
"""The parsed Job: keys as in `read_job`."""


def read_job(job: etree._Element) -> Body:
    """The values of a schema-valid Job element. Raises InvalidRequestFault for a time or a zone
    that the schema allows and no clock knows."""
    values: Body = {
        "stop_on": sorted({_text(found) for found in job.iterfind(f"{TAG}StopOn")}),
        "ring_seconds": DEFAULT_RING_SECONDS,
    }
    readers = {
        "JobRef": ("job_ref", _text),
        "CustomerID": ("customer_id", _text),
        "Priority": ("priority", _text),
        "MessageType": ("message_type", _text),
        "Title": ("title", lambda found: found.text or ""),
        "CallerID": ("caller_id", _text),
        "TextSender": ("text_sender", _text),
        "WindowStart": ("window_start", _moment),
        "WindowEnd": ("window_end", _moment),
        "LocalHours": ("local_hours", _local_hours),
        "Redial": ("redial", _redial),
        "MachineAction": ("machine_action", _text),
        "DetectMachine": ("detect_machine", _flag),
        "MaxLines": ("max_lines", _number),
        "SuppressDuplicates": ("suppress_duplicates", _flag),
        "ScrubWireless": ("scrub_wireless", _flag),
        "Script": ("script", read_script),
        "TotalChains": ("total_chains", _number),
        "StartPolicy": ("start_policy", _text),
        "RingSeconds": ("ring_seconds", _number),
    }
    for name, (key, reader) in readers.items():
        found = job.find(f"{TAG}{name}")
        values[key] = values.get(key) if found is None else reader(found)
    return values


def _text(found: etree._Element) -> str:
    return " ".join((found.text or "").split())


def _child(found: etree._Element, name: str) -> etree._Element:
    """A child that the schema demands."""
    child = found.find(f"{TAG}{name}")
    if child is None:
        raise InvalidRequestFault("SCHEMA", "An element is missing.", name)
    return child


def _number(found: etree._Element) -> int:
    return int(_text(found))


def _flag(found: etree._Element) -> bool:
    return _text(found) in ("true", "1")


def _moment(found: etree._Element) -> str:
    try:
        moment = datetime.fromisoformat(_text(found)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        name = etree.QName(found).localname
        raise InvalidRequestFault("SCHEMA", "Not a time that a clock shows.", name) from error
    return moment.isoformat()


def _local_hours(found: etree._Element) -> Body:
    zone = _text(_child(found, "DefaultTimeZone"))
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRequestFault("SCHEMA", "Unknown time zone.", "DefaultTimeZone") from error
    return {
        "earliest": _wall_time(_child(found, "Earliest")),
        "latest": _wall_time(_child(found, "Latest")),
        "fail": _text(_child(found, "OnViolation")) == "FAIL",
        "zone": zone,
    }


def _wall_time(found: etree._Element) -> str:
    text = _text(found)
    if text.startswith("24:"):  # xs:time may write midnight so
        return time.max.isoformat()
    try:
        return time.fromisoformat(text).replace(tzinfo=None).isoformat()
    except ValueError as error:
        name = etree.QName(found).localname
        raise InvalidRequestFault("SCHEMA", "Not a time of day.", name) from error


def _redial(found: etree._Element) -> Body:
    codes = {_number(code) for code in found.iterfind(f"{TAG}RedialCode")}
    return {
        "max_attempts": _number(_child(found, "MaxAttemptsPerNumber")),
        "minutes_between": _number(_child(found, "MinutesBetween")),
        "codes": sorted(codes or DEFAULT_REDIAL_CODES),
        "machine": _flag(_child(found, "RedialMachine")),
        "unknown": _text(_child(found, "UnknownOutcome")) == "REDIAL",
    }


# ------------------------------------------------------------------------------------------- rules


def check_job(body: Body, now: datetime) -> None:
    """Refuse a job that breaks a rule of 7.3 by itself: WINDOW_REQUIRED, WINDOW_TOO_SHORT."""
    if body["priority"] == "EMERGENCY":
        return
    start, end = read_moment(body["window_start"]), window_end(body)
    if end is None:
        raise InvalidRequestFault("WINDOW_REQUIRED", "A dialing window is needed.", "WindowEnd")
    opens = start or now
    needs_long = body["message_type"].upper().startswith(LONG_WINDOW_TYPES)
    shortest = LONG_WINDOW if needs_long and start is not None else timedelta(0)
    if end - opens < shortest or (start is not None and end <= start):
        raise InvalidRequestFault("WINDOW_TOO_SHORT", "The window is too short.", "WindowEnd")


def check_words(script: Script | None, chains: ChainsText) -> None:
    """Refuse chains with nothing to say or to write (NO_SCRIPT), by the job's script or their
    own."""
    job_script: Script = script or {}
    if chains.voice_steps and not job_script.get("live"):
        missing = "VOICE"
    elif chains.text_steps and not job_script.get("text"):
        missing = "TEXT"
    elif chains.scripts:
        missing = ""
    else:
        return
    if missing and not chains.scripts:
        raise InvalidRequestFault("NO_SCRIPT", "There is nothing to say or to write.", "Script")
    for chain in iterate_chains(chains.text):
        words = job_script if chain.script is None else chain.script
        for step in chain.steps:
            if not words.get("live" if step.channel == "VOICE" else "text"):
                raise InvalidRequestFault(
                    "NO_SCRIPT", "A step has nothing to say or to write.", "Chain/Script"
                )


def list_audio(*scripts: Script | None) -> set[str]:
    """The AudioIDs that scripts play."""
    return {
        segment[0]
        for script in scripts
        if script
        for segment in [*script["live"], *script["machine"]]
        if segment[0]
    }


# ------------------------------------------------------------------------------------------ dialing


def read_moment(text: str | None) -> datetime | None:
    """A time of the body, aware, or None."""
    return None if text is None else datetime.fromisoformat(text)


def window_end(body: Body) -> datetime | None:
    """When the job's window ends; None for an emergency, which ignores windows (contract 4.7)."""
    return None if body["priority"] == "EMERGENCY" else read_moment(body["window_end"])


def window_start(body: Body) -> datetime | None:
    """When the job's window begins; None is at once."""
    return None if body["priority"] == "EMERGENCY" else read_moment(body["window_start"])


def make_policy(body: Body, speed: float) -> Policy:
    """The rules for this job's chains. `speed` shortens the pause before redials, never the window
    (ruling 35). An emergency ignores local hours (contract 7.4.7)."""
    redial, hours = body["redial"], body["local_hours"]
    end = window_end(body)
    local_hours = None
    if hours is not None and body["priority"] != "EMERGENCY":
        local_hours = LocalHours(
            time.fromisoformat(hours["earliest"]),
            time.fromisoformat(hours["latest"]),
            hours["zone"],
            hours["fail"],
        )
    return Policy(
        max_attempts=max(1, redial["max_attempts"]),
        seconds_between=max(0, redial["minutes_between"]) * 60.0 / speed,
        redial_codes=frozenset(redial["codes"]),
        redial_machine=redial["machine"],
        redial_unknown=redial["unknown"],
        stop_on=frozenset(body["stop_on"]),
        leave_message=body["machine_action"] == "LEAVE_MESSAGE",
        window_end=None if end is None else end.timestamp(),
        local_hours=local_hours,
    )


def estimate_talk(script: Script | None, machine: bool = False) -> float:
    """Seconds that a script takes to play: 2.5 words a second, 20 s for a recording. A machine
    hears the Machine part, or the Live one where there is none (contract 7.4.5)."""
    parts = script or {}
    played = (machine and parts.get("machine")) or parts.get("live") or []
    return sum(20.0 if audio else len((words or "").split()) / 2.5 for audio, words, _ in played)
