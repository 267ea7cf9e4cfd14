"""What a sender wants to send, as one value on its way from a draft to a message.

Pure: it is checked by channels, previewed by the audience and confirmed by `lifecycle`; it changes
nothing itself.
"""

from dataclasses import dataclass
from datetime import datetime, time

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messenger.audience.criteria import Criteria
from messenger.models import ContactReason, MessageDraft, Mode

EMERGENCY_TOOL = "emergency"
# tool → (type label of the log, contact reason)
TOOLS: dict[str, tuple[str, ContactReason]] = {
    "general": ("Message Builder", ContactReason.GENERAL),
    EMERGENCY_TOOL: ("Emergency Messenger", ContactReason.EMERGENCY),
}
# BCP 47 languages that a message may be spoken in; the first is what a message starts with.
LANGUAGES = [
    ("en-US", _("English")),
    ("es-US", _("Spanish")),
    ("ar", _("Arabic")),
    ("zh-CN", _("Chinese")),
    ("fr-FR", _("French")),
    ("ht-HT", _("Haitian Creole")),
    ("hi-IN", _("Hindi")),
    ("ko-KR", _("Korean")),
    ("pt-BR", _("Portuguese")),
    ("ru-RU", _("Russian")),
    ("vi-VN", _("Vietnamese")),
]


@dataclass(frozen=True)
class Composition:
    """A message before confirm. `scheduled_at` empty is now; window times are wall time in the
    district's zone, empty for the district's own hours. `recording` is what the phone's channel
    calls the sender's recording (`channels.registry.Recorder`), empty when the words are read.
    `names_recipients`: the words hold a field of the recipient's name, so that a number is called
    once and one name is said (A3-09, X-36). `simultaneous`: all numbers of a person at once instead
    of one after the other (E-2)."""

    tool: str
    subject: str
    voice_text: str
    criteria: Criteria
    scheduled_at: datetime | None = None
    window_start: time | None = None
    window_end: time | None = None
    modes: tuple[str, ...] = (Mode.VOICE.value,)
    language: str = LANGUAGES[0][0]
    recording: str = ""
    names_recipients: bool = False
    simultaneous: bool = False
    sender_id: int | None = None

    @property
    def emergency(self) -> bool:
        return self.tool == EMERGENCY_TOOL

    @property
    def type_label(self) -> str:
        return TOOLS[self.tool][0]

    @property
    def reason(self) -> ContactReason:
        return TOOLS[self.tool][1]

    @classmethod
    def from_draft(cls, draft: MessageDraft) -> "Composition":
        """Reads `draft.content`: subject, voice_text, criteria, scheduled_at (ISO with offset or
        null), window_start and window_end ("HH:MM"), language, recording, names_recipients and
        simultaneous. An emergency has neither time nor window (A2-01, A2-02), whatever the draft
        says."""
        content = draft.content
        emergency = draft.tool == EMERGENCY_TOOL
        scheduled = None if emergency else content.get("scheduled_at")
        return cls(
            tool=draft.tool,
            subject=content.get("subject", ""),
            voice_text=content.get("voice_text", ""),
            criteria=Criteria.from_json(content.get("criteria", {})),
            scheduled_at=_aware(scheduled) if scheduled else None,
            window_start=None if emergency else _time(content.get("window_start")),
            window_end=None if emergency else _time(content.get("window_end")),
            modes=tuple(content.get("modes", (Mode.VOICE.value,))),
            language=content.get("language", LANGUAGES[0][0]),
            recording=content.get("recording", ""),
            names_recipients=bool(content.get("names_recipients", False)),
            simultaneous=bool(content.get("simultaneous", False)),
            sender_id=draft.user_id,
        )


def _time(value: str | None) -> time | None:
    return time.fromisoformat(value) if value else None


def _aware(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else timezone.make_aware(moment)
