"""How the log says things: where a message went, a phone number, a code, a status, a moment.

Words alone, for pages, reports and commands alike; nothing is counted or decided here. The words of
delivery rows are put together by PostgreSQL (`sentlog.delivery_rows`).
"""

from datetime import datetime
from math import ceil
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from messenger import clock
from messenger.models import District, Message
from messenger.roster.phones import national
from voice.outcomes import describe

# What each status means, in the sources' sense and in plain words (B2-02 to B2-08, B8-01: one
# wording for the list and the Delivery Summary).
STATUS_NOTES = {
    Message.Status.WAITING: gettext_lazy("Scheduled: delivery has not completed."),
    Message.Status.IN_PROGRESS: gettext_lazy("The message is being delivered now."),
    Message.Status.SENT: gettext_lazy(
        "The message was handed to the phone, text and email services and has finished processing."
    ),
    Message.Status.ERROR: gettext_lazy(
        "Not all results came back in time. Refresh Status may change this to another status."
    ),
    Message.Status.FAILED: gettext_lazy("The message was not sent because of a technical problem."),
    Message.Status.CANCELED: gettext_lazy("The message was canceled before delivery began."),
    Message.Status.CANCELED_IP: gettext_lazy(
        "The message was canceled after delivery had started."
    ),
}

# Whose recipients are picked one by one, or who are no messenger: there are no criteria to show
# (B7-11). By the tool's name, as `Message.tool` has it.
TOOLS_WITHOUT_CRITERIA = frozenset(
    {"class", "scheduling", "behavior_referral", "special_education"}
)


def criteria_of(message: Message) -> list[tuple[str, str]]:
    """Filter Criteria Detail as it was when the message was confirmed, label and value in the order
    of its tool (B7-10); empty for tools that have none, whose area is not shown."""
    if message.tool in TOOLS_WITHOUT_CRITERIA:
        return []
    return [(label, value) for label, value in message.criteria_shown]


def caller_id(number: str) -> str:
    """A caller ID as the sources print it: (987)999-9876 (B7-17)."""
    return national(number).replace(") ", ")")


def code_text(code: int) -> str:
    """A call status code under Status: "5 Live Person"; an unlisted one as "code 999" (B6-01)."""
    label = describe(code).label
    return label if str(code) in label else f"{code} {label}"


def where(message: Message, district: District) -> str:
    """The District/School of a message (B2-10): the district's name when it went to all of it."""
    if message.district_wide:
        return district.name
    names = sorted(school.name for school in message.schools.all())
    return ", ".join(names) or district.name


def seconds_held(message: Message) -> int:
    """Seconds of the undo window that are left; 0 when the message does not wait for its end."""
    if message.status != Message.Status.WAITING or message.held_until is None:
        return 0
    now = clock.now()
    if max(message.scheduled_at, message.dial_from or now) > message.held_until:
        return 0  # something later holds it anyway
    return max(0, ceil((message.held_until - now).total_seconds()))


def undo_words(seconds: int) -> str:
    """How long a sender may still think again."""
    return ngettext(
        "Sending in %(seconds)s second. A cancel until then leaves nothing behind.",
        "Sending in %(seconds)s seconds. A cancel until then leaves nothing behind.",
        seconds,
    ) % {"seconds": seconds}


def status_text(message: Message) -> str:
    """The status as it is shown; a cancel that the dialer has not confirmed yet says so (X-6)."""
    label = str(message.get_status_display())
    if message.cancel_requested_at and message.status in Message.UNFINISHED:
        return _("%(status)s, cancel requested") % {"status": label}
    return label


def screen_time(moment: datetime | None, zone: ZoneInfo) -> str:
    """05/01/2022 8:30 AM: the unpadded hour of the screen (B1-08, X-28)."""
    if moment is None:
        return ""
    local = moment.astimezone(zone)
    return f"{local:%m/%d/%Y} {local.hour % 12 or 12}:{local:%M %p}"


def report_time(moment: datetime | None, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """12/02/2019 08:54 AM: the padded hour of the report (B4-12, X-28)."""
    if moment is None:
        return ""
    return moment.astimezone(zone).strftime(
        "%m/%d/%Y %I:%M:%S %p" if seconds else "%m/%d/%Y %I:%M %p"
    )
