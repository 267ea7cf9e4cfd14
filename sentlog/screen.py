"""The Delivery Summary as the screen and the command line show it: labels and values in order.

The report has its own, longer list (`reports.document`). Labels follow the district's phone
settings (B3-08, B3-10); what the values mean is `sentlog.counting`'s.
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from messenger.models import District, Message
from sentlog.counting import Figures
from sentlog.words import screen_time, status_text


@dataclass(frozen=True)
class Total:
    """One total: its label, its value and, for a total of a mode, how much of it was attempted."""

    label: str
    value: int
    attempted_label: str = ""
    attempted: int | None = None


def facts(message: Message, district: District) -> list[tuple[str, str]]:
    """Who, when and which number: the lines above the totals (B3-02, B3-03, B3-18)."""
    zone = district.zone
    pairs = [
        (_("Sender"), message.sender_name),
        (_("Date/Time Created"), with_zone(message, district, "created_at")),
        (_("Date/Time Scheduled"), with_zone(message, district, "scheduled_at")),
    ]
    if message.schedule_id is not None:
        pairs.append((_("ScheduleID"), str(message.schedule_id)))
    if message.cancel_requested_at is not None:
        pairs += [
            (_("Canceled By"), message.canceled_by_name),
            (
                _("Date/Time Canceled"),
                f"{screen_time(message.cancel_requested_at, zone)} "
                f"{message.cancel_requested_at.astimezone(zone):%Z}",
            ),
        ]
    return pairs


def with_zone(message: Message, district: District, field: str) -> str:
    """A moment of the message as 05/01/2022 8:30 AM CDT."""
    moment = getattr(message, field)
    return f"{screen_time(moment, district.zone)} {moment.astimezone(district.zone):%Z}"


def totals(figures: Figures, district: District) -> list[Total]:
    """The totals in the source's order (B3-04 to B3-10). Phone totals only where voice is enabled
    (B5-01); one label for voice alone, another where texts are sent too."""
    shown = [
        Total(_("Total Recipients"), figures.total_recipients),
        Total(_("Total No Device"), figures.total_no_device),
        Total(_("Total Inbox"), figures.total_inbox),
        Total(
            _("Total Emails"),
            figures.total_emails,
            _("Total Emails Attempted"),
            figures.total_emails_attempted,
        ),
    ]
    if district.voice_enabled and district.text_enabled:
        shown.append(
            Total(
                _("Total Voice/Text"),
                figures.total_voice_text,
                _("Total Voice/Text Attempted"),
                figures.total_voice_text_attempted,
            )
        )
    elif district.voice_enabled:
        shown.append(
            Total(
                _("Total Voice"),
                figures.total_voice,
                _("Total Voice Attempted"),
                figures.total_voice_attempted,
            )
        )
    return shown


def outcome_words(message: Message, figures: Figures) -> str:
    """One sentence that says where the message stands, for the live region and the command line."""
    return _("%(status)s: %(done)s of %(rows)s deliveries have their result.") % {
        "status": status_text(message),
        "done": f"{figures.rows_done:,}",
        "rows": f"{figures.rows:,}",
    }
