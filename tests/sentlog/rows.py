"""Messages with rows in any state, written straight into the tables: the log reads what the ledger
wrote, whoever wrote it. Only tests of the log use this; the ledger's own tests use the ledger."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from messenger.models import (
    Calendar,
    ContactReason,
    Delivery,
    District,
    Enrollment,
    Message,
    MessageMode,
    Person,
    School,
)
from sentlog.counting import Row

NOON = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)  # 12:05 PM in Chicago, a Friday


def make_district(**settings: Any) -> District:
    """The district of these tests: voice and text on, unless told otherwise."""
    values = {
        "name": "Harrison Unified",
        "time_zone": "America/Chicago",
        "voice_enabled": True,
        "text_enabled": True,
        **settings,
    }
    district, _created = District.objects.update_or_create(pk=1, defaults=values)
    return district


def make_school(name: str = "Harrison High") -> School:
    return School.objects.create(name=name)


def enroll(student: Person, school: School, grade: str = "05") -> Enrollment:
    """The student is at the school from last summer until the next."""
    today = timezone.localdate()
    year = Calendar.objects.create(
        school=school,
        name="This year",
        school_year=today.year,
        start_date=today - timedelta(days=180),
        end_date=today + timedelta(days=180),
    )
    return Enrollment.objects.create(person=student, calendar=year, grade=grade)


def make_person(name: str, **values: Any) -> Person:
    """A person from "Family, Given"."""
    family, _comma, given = name.partition(", ")
    return Person.objects.create(family_name=family, given_name=given, **values)


def make_message(**values: Any) -> Message:
    """A classic message; `modes` names its modes (default: voice)."""
    modes = values.pop("modes", ["voice"])
    schools = values.pop("schools", [])
    message = Message.objects.create(
        **{
            "tool": "general",
            "type_label": "Message Builder - General Notification",
            "contact_reason": ContactReason.GENERAL,
            "status": Message.Status.SENT,
            "subject": "School is closed",
            "voice_text": "School is closed because of the weather.",
            "sender_name": "Administrator, System",
            "created_at": NOON,
            "scheduled_at": NOON,
            "launched_at": NOON,
            "finished_at": NOON,
            "results_changed_at": NOON,
            **values,
        }
    )
    message.schools.set(schools)
    MessageMode.objects.bulk_create(
        MessageMode(message=message, mode=mode, state=MessageMode.State.FINAL) for mode in modes
    )
    return message


@dataclass
class Ledger:
    """Adds rows to one message, numbered as the ledger does and marked by its rule (B5-09)."""

    message: Message
    ids: "count[int]" = field(default_factory=lambda: count(1))
    seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, recipient: Person, mode: str, address: str = "", **values: Any) -> Delivery:
        """One row; a result makes it done: `outcome=...`, else it is pending."""
        number = next(self.ids)
        devices = defaultdict(lambda: "cell", inbox="inbox", email="email", none="none")
        if mode == "none":
            values.setdefault("outcome", "no_device")
        outcome = values.get("outcome", "")
        value = (mode, address)
        row = Delivery(
            **{
                "message": self.message,
                "id": number,
                "recipient": recipient,
                "mode": mode,
                "device": devices[mode],
                "address": address,
                "role": Delivery.Role.CONTACT,
                "state": "done" if outcome else "pending",
                "duplicate": mode != "none" and value in self.seen,
                "result_at": NOON if outcome and mode != "none" else None,
                **values,
            }
        )
        self.seen.add(value)
        row.save(force_insert=True)
        return row


def plain(rows: Iterable[Delivery]) -> list[Row]:
    """The rows as the oracle of `sentlog.counting` reads them."""
    return [
        Row(
            recipient=row.recipient_id,
            mode=row.mode,
            address=row.address,
            device=row.device,
            state=row.state,
            outcome=row.outcome,
            reason=row.reason,
            confirmed=row.confirmed,
            tries=row.tries,
        )
        for row in rows
    ]
