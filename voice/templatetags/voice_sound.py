"""What pages outside the phone's room play: a call before it is sent, and one that was sent.

Templates reach the phone through these tags, because no other room may import it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from dialer_adapters.contract import Segment
from messenger.composition import LANGUAGES, Composition
from messenger.models import Message, MessageDraft, School
from voice import script
from voice.sound_models import AudioFile

register = template.Library()


@dataclass(frozen=True)
class Piece:
    """One piece of a call on the page: words in their language, or how long a recording plays."""

    words: str
    language: str
    seconds: float | None


@dataclass(frozen=True)
class Call:
    """A call as it will be heard: whose families hear it, and where it plays."""

    school: str
    live_url: str
    machine_url: str
    pieces: list[Piece]


@register.inclusion_tag("voice/parts/calls.html")
def draft_calls(draft: MessageDraft) -> dict[str, Any]:
    """Players and every word of a draft's calls: as most families hear it, then of each school
    with prompts of its own."""
    frozen = script.freeze(Composition.from_draft(draft))
    own = [int(school) for school in frozen["prompts"] if school]
    schools = School.objects.filter(pk__in=own).values_list("pk", "uuid", "name")
    lengths = dict(AudioFile.objects.filter(pk__in=frozen["audio"]).values_list("pk", "seconds"))
    calls = [_call(draft, frozen, lengths, "", "", _("Most families hear this") if own else "")]
    for pk, uuid, name in schools:
        heard_by = _("Families of %(school)s hear this") % {"school": name}
        calls.append(_call(draft, frozen, lengths, str(pk), str(uuid), heard_by))
    return {"calls": calls, "language": dict(LANGUAGES).get(frozen["language"], "")}


def _call(
    draft: MessageDraft,
    frozen: dict[str, Any],
    lengths: dict[str, float],
    school: str,
    school_uuid: str,
    heard_by: str,
) -> Call:
    asked = f"?{urlencode({'school': school_uuid})}" if school_uuid else ""
    return Call(
        school=heard_by,
        live_url=reverse("draft_call", args=[draft.uuid]) + asked,
        machine_url=reverse("draft_call_machine", args=[draft.uuid]) + asked,
        pieces=list(_pieces(script.build(frozen, school).live, lengths)),
    )


def _pieces(segments: Iterable[Segment], lengths: dict[str, float]) -> Iterable[Piece]:
    for segment in segments:
        seconds = lengths.get(segment.audio_id) if segment.audio_id else None
        yield Piece(segment.say or "", segment.language or "", seconds)


@register.inclusion_tag("voice/parts/message_sound.html")
def message_sound(message: Message) -> dict[str, Any]:
    """The Audio File line of Message Detail (B7-19): a player, words when a recording was deleted,
    nothing for a message that was not spoken."""
    frozen = message.settings_frozen
    if "message" not in frozen or not message.voice_text:
        return {"url": ""}
    there = AudioFile.objects.filter(pk__in=frozen["audio"]).count() == len(frozen["audio"])
    return {
        "url": reverse("message_call", args=[message.uuid]),
        "there": there,
        "recorded": bool(frozen["audio"]),
    }
