"""What comes in from phones: texts, of which some are keywords, and recorded emergency messages.

Each kind is a log of its own with the paging of the call log: rows never change, numbers follow
commit order because the account's row is held, and reading has no effect. Nothing is ever removed,
so that a cursor cannot expire.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from secrets import token_hex

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller
from dialer_adapters.switchboard.audio import make_audio_id, store_audio
from dialer_adapters.switchboard.calllog import check_cursor
from dialer_adapters.switchboard.consents import (
    find_standing,
    lock_account,
    store_standing,
    tell_dialer,
)
from dialer_adapters.switchboard.database import execute, query, transaction
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import MAX_BYTES, element, read_text
from dialer_adapters.switchboard.keywords import (
    OPTED_IN,
    PENDING,
    Keyword,
    Standing,
    follow,
    recognize,
)
from dialer_adapters.switchboard.models import InboundText, Recording, ServiceText

DEFAULT_PAGE = 1000
MOST_BYTES = MAX_BYTES - 64 * 1024
SHORT_CODE = "82290"
LONGEST_BODY = 1600
NUMBER = re.compile(r"\+[1-9][0-9]{7,14}")
NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
NEW = "NEW"  # a recording that no job was made of yet; what becomes of it the application knows

REPLIES: dict[Keyword, str] = {
    "STOP": "You will receive no more texts from this number. Reply START to begin again.",
    "START": "School district alerts: reply YES to receive texts. Message rates may apply.",
    "YES": "You will receive texts from your school district. Reply STOP to end, HELP for help.",
    "HELP": "Texts from your school district. Reply STOP to end. For help call your school.",
}


# ----------------------------------------------------------------------------------- from phones


def receive_text(
    dialer: Dialer, account_id: int, number: str, body: str, to_sender: str = SHORT_CODE
) -> InboundText:
    """Take a text from a phone (E.164). A keyword takes effect at once: when this returns, no text
    starts to a number that sent STOP. Texts from a number follow one another."""
    if not NUMBER.fullmatch(number):
        raise ValueError("not a number of a phone")
    body = NOT_IN_XML.sub("", body)[:LONGEST_BODY]
    keyword = recognize(body)
    with dialer.gate:
        with transaction():
            last_seq, _ = lock_account(account_id)
            now = dialer.read_clock()
            before = find_standing(account_id, number)
            after = follow(before, keyword)
            if after != before:
                store_standing(account_id, number, after, "TEXT", now)
            reply = _choose_reply(keyword, before)
            if reply is not None:
                ServiceText.objects.create(
                    account_id=account_id, phone_number=number, body=reply, queued_at=now
                )
            text = InboundText.objects.create(
                account_id=account_id,
                seq=last_seq + 1,
                text_id="T" + token_hex(16),
                received_at=now,
                from_number=number,
                to_sender=to_sender,
                body=body,
                keyword=keyword,
                consent_after=after.state,
                auto_reply=reply,
            )
            execute(
                "UPDATE switchboard_account SET last_text_seq = %s WHERE id = %s",
                [last_seq + 1, account_id],
            )
        tell_dialer(dialer, account_id, number, after)
    return text


def _choose_reply(keyword: Keyword, before: Standing) -> str | None:
    """STOP and HELP are answered always (a carrier's rule). YES that nobody asked for gets help
    (A5-06), unless the number takes texts already: then it may answer a question of the school."""
    if keyword == "START" and before.state == OPTED_IN:
        return REPLIES["YES"]
    if keyword == "YES" and before.state != PENDING:
        return None if before.state == OPTED_IN else REPLIES["HELP"]
    return REPLIES.get(keyword)


def record_message(
    dialer: Dialer,
    account_id: int,
    user_ref: str,
    audience_code: str,
    sound: bytes,
    caller_number: str | None = None,
) -> Recording:
    """Keep an emergency message that an authorized person recorded by telephone. `sound` is WAV;
    the application fetches it by GetAudio."""
    with transaction():
        _, last_seq = lock_account(account_id)
        audio, _ = store_audio(account_id, sound, "audio/wav")
        recording = Recording.objects.create(
            account_id=account_id,
            seq=last_seq + 1,
            message_id="R" + token_hex(16),
            received_at=dialer.read_clock(),
            user_ref=user_ref,
            caller_number=caller_number,
            audience_code=audience_code,
            audio=audio,
        )
        execute(
            "UPDATE switchboard_account SET last_recording_seq = %s WHERE id = %s",
            [last_seq + 1, account_id],
        )
    return recording


# ------------------------------------------------------------------------------------------ pages


def get_inbound_texts(caller: Caller, operation: etree._Element, epoch: str) -> list[str]:
    """A page of inbound texts after AfterSeq. Raises CursorFault."""
    after, most = _read_cursor(caller, operation, epoch, "last_text_seq")
    texts = InboundText.objects.filter(account_id=caller.account_id, seq__gt=after)
    return _write_page(
        [(text.seq, _write_text(text)) for text in texts.order_by("seq")[: most + 1]],
        after,
        most,
        epoch,
    )


def get_recordings(caller: Caller, operation: etree._Element, epoch: str) -> list[str]:
    """GetRemoteDialInMessages: a page of recorded messages after AfterSeq. Raises CursorFault."""
    after, most = _read_cursor(caller, operation, epoch, "last_recording_seq")
    recordings = Recording.objects.filter(account_id=caller.account_id, seq__gt=after)
    rows = recordings.select_related("audio").defer("audio__content").order_by("seq")
    return _write_page(
        [(row.seq, _write_recording(row)) for row in rows[: most + 1]], after, most, epoch
    )


def _read_cursor(
    caller: Caller, operation: etree._Element, epoch: str, counter: str
) -> tuple[int, int]:
    after = int(read_text(operation, "AfterSeq") or 0)
    most = int(read_text(operation, "MaxEntries") or DEFAULT_PAGE)
    # The counter before the rows: an answer must never call a visible row the future.
    ((last_seq,),) = query(
        f"SELECT {counter} FROM switchboard_account WHERE id = %s", [caller.account_id]
    )
    check_cursor(read_text(operation, "Epoch"), after, epoch, last_seq, oldest_seq=1)
    return after, most


def _write_page(rows: list[tuple[int, str]], after: int, most: int, epoch: str) -> list[str]:
    page: list[str] = []
    next_seq, size = after, 0
    for seq, xml in rows[:most]:
        size += len(xml.encode())
        if size > MOST_BYTES:
            break
        page.append(xml)
        next_seq = seq
    return [
        *page,
        element("Epoch", epoch),
        element("NextSeq", next_seq),
        element("HasMore", len(rows) > len(page)),
        element("OldestSeq", 1),
        element("ServerTime", datetime.now(UTC)),
    ]


def _write_text(text: InboundText) -> str:
    parts = [
        element("Seq", text.seq),
        element("TextID", text.text_id),
        element("ReceivedAt", text.received_at),
        element("FromNumber", text.from_number),
        element("ToSender", text.to_sender),
        element("Body", text.body),
        element("Keyword", text.keyword),
        element("ConsentAfter", text.consent_after),
        element("AutoReply", text.auto_reply),
    ]
    return f"<Text>{''.join(parts)}</Text>"


def _write_recording(recording: Recording) -> str:
    parts = [
        element("Seq", recording.seq),
        element("RemoteMessageID", recording.message_id),
        element("ReceivedAt", recording.received_at),
        element("UserRef", recording.user_ref),
        element("CallerNumber", recording.caller_number),
        element("AudienceCode", recording.audience_code),
        element("AudioID", make_audio_id(recording.audio.sha256)),
        element("DurationSeconds", recording.audio.seconds or 0),
        element("State", NEW),
    ]
    return f"<Message>{''.join(parts)}</Message>"
