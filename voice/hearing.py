"""Sounds that a page plays: a recording, a call before it is sent, a call that was sent, a prompt.

Each answer is a WAV file made at that moment from what is stored; who may hear it is asked of
`messenger.rights`. Nothing is changed here.
"""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dialer_adapters.contract import Segment
from messenger import rights
from messenger.composition import LANGUAGES, Composition
from messenger.models import District, MessageDraft, School
from messenger.reach import RIGHT_OF_TOOL, problems_of_reach
from messenger.views.gate import needs
from voice import dictionary, recordings, script, sound
from voice.sound_models import AudioFile, Recording

LONGEST_SAMPLE = 400
LIVE, MACHINE = "live", "machine"


@require_safe
def recording(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """A recording, for the one who brought it."""
    found = get_object_or_404(Recording, uuid=uuid, uploaded_by=request.user)
    return _as_wav(request, recordings.sound_of(found.audio_id))


@require_safe
def draft_call(request: HttpRequest, uuid: UUID, part: str = LIVE) -> HttpResponse:
    """What a call of this draft will say: `part` is live (to a person) or machine. `?school=` is
    the uuid of a school with prompts of its own."""
    draft = get_object_or_404(MessageDraft, uuid=uuid, user=request.user)
    if not rights.may(request.user, RIGHT_OF_TOOL[draft.tool]):
        raise PermissionDenied
    composition = Composition.from_draft(draft)
    if problems_of_reach(draft.user, composition):
        raise Http404
    return _call(request, script.freeze(composition), part)


@require_safe
def message_call(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What the calls of a message said, for those who may see it in the log (B7-19)."""
    message = get_object_or_404(rights.messages_for(request.user), uuid=uuid)
    if "message" not in message.settings_frozen:
        raise Http404
    return _call(request, message.settings_frozen, LIVE)


@require_safe
@needs(rights.SETTINGS_VIEW)
def prompts_call(request: HttpRequest) -> HttpResponse:
    """A call with the prompts as they are saved: `?language=` and `?school=` (a uuid)."""
    language = str(request.GET.get("language", ""))
    if language not in dict(LANGUAGES):
        raise Http404
    school = _school(request)
    prompts = script.read_prompts(
        language, [school.pk] if school else [], dictionary.read_dictionary()
    )
    words = _("Here comes the message.")
    frozen = {
        "name": Segment(say=f"{District.current().name}.", language=language).to_json(),
        "message": Segment(say=words, language=LANGUAGES[0][0]).to_json(),
        "prompts": {"": {kind: segment.to_json() for kind, segment in prompts[""].items()}},
    }
    return _play(request, script.build(frozen).live)


@require_safe
@needs(rights.SETTINGS_VIEW)
def sample(request: HttpRequest) -> HttpResponse:
    """A sentence as the dictionary has it said: `?words=`."""
    words = str(request.GET.get("words", ""))[:LONGEST_SAMPLE]
    if not words.strip():
        raise Http404
    said = dictionary.apply(dictionary.read_dictionary(), words)
    return _play(request, [Segment(say=said, language=LANGUAGES[0][0])])


def _school(request: HttpRequest) -> School | None:
    """The school of `?school=`; None without one."""
    given = request.GET.get("school")
    if not given:
        return None
    try:
        return get_object_or_404(School, uuid=UUID(given))
    except ValueError as error:
        raise Http404 from error


def _call(request: HttpRequest, frozen: dict[str, Any], part: str) -> HttpResponse:
    school = _school(request)
    said = script.build(frozen, str(school.pk) if school else "")
    return _play(request, said.machine if part == MACHINE else said.live)


def _play(request: HttpRequest, segments: Sequence[Segment]) -> HttpResponse:
    try:
        return _as_wav(request, script.play(segments))
    except AudioFile.DoesNotExist:
        words, status = _("This recording is no longer available."), 404
    except sound.BadSound as refusal:
        words, status = refusal.words, 503
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")


def _as_wav(request: HttpRequest, made: sound.Sound) -> HttpResponse:
    """The file, or the part of it that the browser asks for: some play nothing without (RFC 9110,
    14.2)."""
    content, status = made.content, 200
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked:
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        last = min(last, len(content) - 1)
        if first > last:
            headers["Content-Range"] = f"bytes */{len(content)}"
            return HttpResponse(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        content, status = content[first : last + 1], 206
    return HttpResponse(content, status=status, content_type="audio/wav", headers=headers)
