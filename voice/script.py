"""What a call says, from the first word to the last: frozen at confirm, played on the check page,
sent as the job's Script.

The order: the district's name, always first (a caller says who calls); the greeting; the message;
to a person the confirmation prompt; the closing. A school's own prompts take the place of the
district's. One function builds it for the preview and for the wire, so that what was heard is what
is said. Recordings are named by their hash here; `voice.recordings` knows the dialer's names.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import reduce
from types import MappingProxyType
from typing import Any

from dialer_adapters.contract import Script, Segment
from messenger.composition import LANGUAGES, Composition
from messenger.models import District
from voice import dictionary, recordings, sound
from voice.sound_models import Prompt

CONFIRM_DIGIT = "0"
# Said when the district has no confirmation prompt of its own: key 0 must be told (A3-07). In a
# language without a sentence here, the English one is read by an English voice.
STANDARD_CONFIRMATION = {
    "en": "Press 0 to confirm this message.",
    "es": "Oprima 0 para confirmar este mensaje.",
}
Kind = Prompt.Kind


def freeze(composition: Composition) -> dict[str, Any]:
    """What the message says, as JSON for its `settings_frozen` (ruling 5): the final words, with
    the dictionary applied, and the hashes of all recordings."""
    entries = dictionary.read_dictionary()
    language = composition.language
    recording = recordings.recording_of(composition.recording, composition.sender_id)
    if recording is not None:
        message = Segment(audio_id=recording.audio_id, language=language)
    else:
        said = dictionary.apply(entries, composition.voice_text)
        message = Segment(say=said, language=language)
    name = dictionary.apply(entries, District.current().name)
    prompts = read_prompts(language, composition.criteria.school_ids, entries)
    segments = [message, *(segment for own in prompts.values() for segment in own.values())]
    return {
        "language": language,
        "name": Segment(say=f"{name.rstrip('.')}.", language=language).to_json(),
        "message": message.to_json(),
        "prompts": {
            school: {kind: segment.to_json() for kind, segment in own.items()}
            for school, own in prompts.items()
        },
        "audio": sorted({segment.audio_id for segment in segments if segment.audio_id}),
    }


def read_prompts(
    language: str, school_ids: Sequence[int], entries: dict[str, str]
) -> dict[str, dict[str, Segment]]:
    """Prompts by school id, as text; '' is what the job itself says: the one school's, else the
    district's. Further keys are schools (of several) that have prompts of their own."""
    found: dict[int | None, dict[str, Segment]] = {}
    rows = Prompt.objects.filter(language=language).defer("audio__content")
    for row in rows.filter(school=None) | rows.filter(school_id__in=list(school_ids)):
        found.setdefault(row.school_id, {})[row.kind] = Segment(
            audio_id=row.audio_id or None,
            say=dictionary.apply(entries, row.words) or None,
            language=language,
        )
    district = {Kind.CONFIRMATION.value: _standard_confirmation(language), **found.pop(None, {})}
    if len(school_ids) == 1:
        return {"": {**district, **found.get(school_ids[0], {})}}
    own = {str(school): {**district, **prompts} for school, prompts in found.items()}
    return {"": district, **own}


def _standard_confirmation(language: str) -> Segment:
    words = STANDARD_CONFIRMATION.get(language.partition("-")[0])
    if words is None:
        return Segment(say=STANDARD_CONFIRMATION["en"], language=LANGUAGES[0][0])
    return Segment(say=words, language=language)


def build(
    frozen: dict[str, Any],
    school: str = "",
    text: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Script:
    """The Script of a frozen message: of its job, or of a school with prompts of its own. `names`
    are the dialer's for the recordings that it has; the others keep their hash."""

    def segment(row: list[str | None]) -> Segment:
        audio, say, language = row
        return Segment(names.get(audio, audio) if audio else None, say, language)

    own = frozen["prompts"].get(school) or frozen["prompts"][""]
    name, message = segment(frozen["name"]), segment(frozen["message"])
    prompts = {kind: segment(row) for kind, row in own.items()}

    def in_order(*parts: Segment | None) -> tuple[Segment, ...]:
        return tuple(part for part in parts if part is not None)

    greeting, closing = prompts.get(Kind.GREETING), prompts.get(Kind.CLOSING)
    return Script(
        live=in_order(name, greeting, message, prompts[Kind.CONFIRMATION], closing),
        machine=in_order(name, greeting, message, closing),
        text=text or None,
        confirm_digit=CONFIRM_DIGIT,
    )


def one_after_another(scripts: Sequence[Script]) -> Script:
    """What one call says in place of several (B3-12): everything that each of them would have said,
    in its order; what they share is said once. The text is the first one's: a text with other words
    is a text of its own (ruling 9)."""
    first = scripts[0]
    return Script(
        live=reduce(_join, [said.live for said in scripts]),
        machine=reduce(_join, [said.machine for said in scripts]),
        text=first.text,
        confirm_digit=first.confirm_digit,
        repeat_digit=first.repeat_digit,
    )


def _join(said: tuple[Segment, ...], also: tuple[Segment, ...]) -> tuple[Segment, ...]:
    joined: list[Segment] = []
    for shared, start, end, other, last in SequenceMatcher(
        None, said, also, autojunk=False
    ).get_opcodes():
        joined += said[start:end]
        joined += also[other:last] if shared != "equal" else ()
    return tuple(joined)


def play(segments: Iterable[Segment]) -> sound.Sound:
    """The segments as one sound, each recording as it is and all words read by a voice. Raises
    `sound.BadSound`, and AudioFile.DoesNotExist for a recording that was deleted."""
    return sound.render(
        [
            recordings.sound_of(segment.audio_id)
            if segment.audio_id
            else sound.Said(segment.say or "", segment.language or LANGUAGES[0][0])
            for segment in segments
        ]
    )
