"""The small answers, from zeep's objects to our frozen values, and the rules of every paged read.

With strict=False zeep turns a missing or unreadable value into None without a word (contract,
section 9), so every field that the WSDL requires is asked for by its type. zeep itself is not
imported here: its objects are known by their fields alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from dialer_adapters.contract import (
    Audio,
    Cancelled,
    ConsentChanged,
    Counts,
    InboundText,
    InboundTextPage,
    JobStatus,
    Limits,
    RemoteMessage,
    RemoteMessagePage,
    Retry,
    StoredAudio,
    TextConsent,
    TextConsentPage,
    Verified,
)

T = TypeVar("T")


def _need(answer: Any, name: str, kind: type[T]) -> T:
    value = getattr(answer, name, None)
    if not isinstance(value, kind):
        raise Retry("garbled", detail=f"{name} is missing")
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise Retry("garbled", detail=f"{name} has no offset")
    return value


def _may(answer: Any, name: str, kind: type[T]) -> T | None:
    return None if getattr(answer, name, None) is None else _need(answer, name, kind)


def verified(answer: Any) -> Verified:
    limits = _need(answer, "Limits", object)
    return Verified(
        customer_id=_need(answer, "CustomerID", str),
        account_status=_need(answer, "AccountStatus", str),
        capabilities=frozenset(word for word in answer.Capability or () if word),
        limits=Limits(
            max_chains_per_batch=_need(limits, "MaxChainsPerBatch", int),
            max_page_size=_need(limits, "MaxPageSize", int),
            max_audio_bytes=_need(limits, "MaxAudioBytes", int),
            normal_lines=_need(limits, "NormalLines", int),
            emergency_lines=_need(limits, "EmergencyLines", int),
            calls_per_second=float(_need(limits, "CallsPerSecond", Decimal)),
            log_retention_days=_need(limits, "LogRetentionDays", int),
        ),
        epoch=_need(answer, "Epoch", str),
        server_time=_need(answer, "ServerTime", datetime),
        state_id=_need(answer, "StateID", str),
    )


def customer_id(answer: Any) -> str:
    return _need(answer, "CustomerID", str)


def stored_audio(answer: Any) -> StoredAudio:
    return StoredAudio(
        audio_id=_need(answer, "AudioID", str),
        created=_need(answer, "Created", bool),
        state=_need(answer, "State", str),
        duration_seconds=_may(answer, "DurationSeconds", int),
    )


def audio(answer: Any) -> Audio:
    return Audio(
        audio_id=_need(answer, "AudioID", str),
        content_type=_need(answer, "ContentType", str),
        sha256=_need(answer, "Sha256", str),
        content=_need(answer, "Content", bytes),
    )


def cancelled(answer: Any) -> Cancelled:
    return Cancelled(
        job_ref=_need(answer, "JobRef", str),
        job_id=_may(answer, "JobID", str),
        state=_need(answer, "State", str),
        chains_cancelled=_need(answer, "ChainsCancelled", int),
        attempts_in_progress=_need(answer, "AttemptsInProgress", int),
    )


def job_states(answer: Any) -> list[JobStatus]:
    epoch = _need(answer, "Epoch", str)
    return [
        JobStatus(
            job_ref=_need(job, "JobRef", str),
            job_id=_may(job, "JobID", str),
            state=_need(job, "State", str),
            sealed=_need(job, "Sealed", bool),
            counts=_counts(job.Counts),
            last_seq=_need(job, "LastSeq", int),
            final_seq=_may(job, "FinalSeq", int),
            cancel_requested_at=_may(job, "CancelRequestedAt", datetime),
            epoch=epoch,
        )
        for job in answer.Job or ()
    ]


def _counts(counts: Any) -> Counts | None:
    if counts is None:
        return None
    return Counts(
        chains=_need(counts, "Chains", int),
        chains_open=_need(counts, "ChainsOpen", int),
        chains_confirmed=_need(counts, "ChainsConfirmed", int),
        chains_done=_need(counts, "ChainsDone", int),
        chains_cancelled=_need(counts, "ChainsCancelled", int),
        steps_attempted=_need(counts, "StepsAttempted", int),
        attempts=_need(counts, "Attempts", int),
    )


def consent_page(answer: Any) -> TextConsentPage:
    return TextConsentPage(
        consents=tuple(
            TextConsent(
                phone_number=_need(row, "PhoneNumber", str),
                state=_need(row, "State", str),
                changed_at=_need(row, "ChangedAt", datetime),
                source=_need(row, "Source", str),
            )
            for row in answer.Consent or ()
        ),
        has_more=_need(answer, "HasMore", bool),
        as_of=_need(answer, "AsOf", datetime),
    )


def consent_changed(answer: Any) -> ConsentChanged:
    return ConsentChanged(
        state=_need(answer, "State", str),
        replayed=_need(answer, "Replayed", bool),
        confirmation_queued=_need(answer, "ConfirmationQueued", bool),
    )


def inbound_page(answer: Any, epoch: str | None, after_seq: int) -> InboundTextPage:
    texts = tuple(
        InboundText(
            seq=_need(row, "Seq", int),
            text_id=_need(row, "TextID", str),
            received_at=_need(row, "ReceivedAt", datetime),
            from_number=_need(row, "FromNumber", str),
            to_sender=_need(row, "ToSender", str),
            body=getattr(row, "Body", None) or "",
            keyword=getattr(row, "Keyword", None) or "",
            consent_after=_need(row, "ConsentAfter", str),
            auto_reply=_may(row, "AutoReply", str),
        )
        for row in answer.Text or ()
    )
    return InboundTextPage(
        texts=texts, **_paging(answer, [text.seq for text in texts], epoch, after_seq)
    )


def remote_page(answer: Any, epoch: str | None, after_seq: int) -> RemoteMessagePage:
    messages = tuple(
        RemoteMessage(
            seq=_need(row, "Seq", int),
            remote_message_id=_need(row, "RemoteMessageID", str),
            received_at=_need(row, "ReceivedAt", datetime),
            user_ref=_need(row, "UserRef", str),
            caller_number=_may(row, "CallerNumber", str),
            audience_code=_need(row, "AudienceCode", str),
            audio_id=_need(row, "AudioID", str),
            duration_seconds=_need(row, "DurationSeconds", int),
            state=_need(row, "State", str),
        )
        for row in answer.Message or ()
    )
    return RemoteMessagePage(
        messages=messages, **_paging(answer, [row.seq for row in messages], epoch, after_seq)
    )


def _paging(answer: Any, seqs: list[int], epoch: str | None, after_seq: int) -> dict[str, Any]:
    paging: dict[str, Any] = {
        "epoch": _need(answer, "Epoch", str),
        "next_seq": _need(answer, "NextSeq", int),
        "has_more": _need(answer, "HasMore", bool),
        "oldest_seq": _need(answer, "OldestSeq", int),
        "server_time": _need(answer, "ServerTime", datetime),
    }
    require_in_order(
        seqs, epoch, after_seq, paging["epoch"], paging["next_seq"], paging["has_more"]
    )
    return paging


def require_in_order(
    seqs: Sequence[int],
    asked_epoch: str | None,
    after_seq: int,
    epoch: str,
    next_seq: int,
    has_more: bool,
) -> None:
    """The rules of section 9 for every paged read. Raises Retry("log"): a page that contradicts
    itself is dropped whole, because taking part of it would lose the rest without a trace."""
    if asked_epoch is not None and epoch != asked_epoch:
        raise Retry("log", detail="another epoch than was asked for")
    previous = after_seq
    for seq in seqs:
        if seq <= previous:
            raise Retry("log", detail=f"Seq {seq} follows {previous}")
        previous = seq
    if next_seq != previous:
        raise Retry("log", detail=f"NextSeq {next_seq} after Seq {previous}")
    if has_more and not seqs:
        raise Retry("log", detail="an empty page that promises more")
