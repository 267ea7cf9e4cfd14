"""The form of a message: what a sender writes, to whom it goes, and when.

One form serves the general and the emergency tool; an emergency has neither a time nor a window
(A2-01, A2-02). It turns fields into a draft's content and back; who may write to which school is
`messenger.reach`'s business, whether a message can be sent `lifecycle`'s.
"""

import re
from datetime import datetime, time
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messenger.audience.criteria import CONTACTS, STAFF, STUDENTS, Criteria
from messenger.channels.registry import KeptRecording, recorder
from messenger.composition import EMERGENCY_TOOL, LANGUAGES
from messenger.forms.wall_time import moment_of
from messenger.models import District, Enrollment, MessageDraft, User
from messenger.reach import may_write_to_all, schools_for
from messenger.templatetags.shown import duration
from messenger.templatetags.shown import grade as grade_in_words

# About four and a half minutes of speech; longer calls are hung up on.
LONGEST_VOICE_TEXT = 4000
# XML 1.0 cannot carry them, and a dialer would refuse the whole job.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
DELIVER_TO = [(CONTACTS, _("Messenger contacts")), (STUDENTS, _("Students")), (STAFF, _("Staff"))]
NOW, LATER = "now", "later"
NO_SUBJECT, NO_WORDS = _("Enter a subject."), _("Enter what the call should say.")
# Grades in the order of school life; words a district made up come last.
GRADE_ORDER = [
    "IT",
    "PR",
    "PK",
    "TK",
    "KG",
    *(f"{n:02}" for n in range(1, 14)),
    "PS",
    "UG",
    "Other",
]
LINES_FOR_WORDS = 7


class ComposeForm(forms.Form):
    """Subject, words, audience, time and window of one message."""

    subject = forms.CharField(
        label=_("Subject"),
        max_length=200,
        help_text=_("For the log and for you. It is not read aloud."),
        error_messages={"required": NO_SUBJECT},
    )
    voice_text = forms.CharField(
        label=_("What the call says"),
        max_length=LONGEST_VOICE_TEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": LINES_FOR_WORDS}),
        help_text=_("Read aloud to everyone who answers, and left on answering machines."),
    )
    language = forms.ChoiceField(
        label=_("Language of the call"),
        choices=LANGUAGES,
        required=False,
        help_text=_("The voice that reads the words, and the prompts around them."),
    )
    # The reference of a recording that was kept with an earlier press of the button.
    recording = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    recording_file = forms.FileField(
        label=_("A recording instead of the words"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".wav,audio/wav,audio/x-wav"}),
        help_text=_(
            "A WAV file of up to 5 MB and 5 minutes. The words above are then kept for the log and "
            "are not read aloud."
        ),
    )
    drop_recording = forms.BooleanField(
        label=_("Remove the recording and read the words aloud"), required=False
    )
    whole_district = forms.BooleanField(label=_("The whole district"), required=False)
    schools = forms.MultipleChoiceField(
        label=_("Schools"), required=False, widget=forms.CheckboxSelectMultiple
    )
    grades = forms.MultipleChoiceField(
        label=_("Grades"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Tick none for every grade."),
    )
    active_only = forms.BooleanField(
        label=_("Active students only"),
        required=False,
        initial=True,
        help_text=_("Leaves out students whose enrollment has ended or not begun."),
    )
    deliver_to = forms.MultipleChoiceField(
        label=_("Who is called"),
        choices=DELIVER_TO,
        initial=[CONTACTS],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose who is called.")},
    )
    simultaneous = forms.BooleanField(
        label=_("Ring all numbers of a person at once"),
        required=False,
        help_text=_(
            "Otherwise one number after the other is called, until somebody presses 0. At once is "
            "quicker and rings more phones."
        ),
    )
    when = forms.ChoiceField(
        label=_("When"),
        choices=[(NOW, _("Now")), (LATER, _("On a day, at a time"))],
        initial=NOW,
        widget=forms.RadioSelect,
    )
    day = forms.DateField(
        label=_("Day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    at = forms.TimeField(
        label=_("Time"), required=False, widget=forms.TimeInput(attrs={"type": "time"})
    )
    window_start = forms.TimeField(
        label=_("Calls start at"), required=False, widget=forms.TimeInput(attrs={"type": "time"})
    )
    window_end = forms.TimeField(
        label=_("Calls end at"), required=False, widget=forms.TimeInput(attrs={"type": "time"})
    )

    def __init__(self, *args: Any, user: User, tool: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tool, self.user = tool, user
        self.zone = District.current().zone
        schools = list(schools_for(user, tool).values_list("pk", "name"))
        offer(self.fields["schools"], [(str(pk), name) for pk, name in schools])
        offer(self.fields["grades"], grade_choices())
        self.school_ids = [pk for pk, _name in schools]
        if len(schools) < 2 or not may_write_to_all(user, tool):
            del self.fields["whole_district"]
        if len(schools) == 1:
            self.fields["schools"].initial = [str(schools[0][0])]
        if recorder() is None:
            for name in ("recording", "recording_file", "drop_recording"):
                del self.fields[name]
        if tool == EMERGENCY_TOOL:
            for name in ("when", "day", "at", "window_start", "window_end"):
                del self.fields[name]

    def clean_subject(self) -> str:
        return " ".join(CONTROL_CHARACTERS.sub(" ", self.cleaned_data["subject"]).split())

    def clean_voice_text(self) -> str:
        words = self.cleaned_data["voice_text"].replace("\r\n", "\n").replace("\r", "\n")
        return CONTROL_CHARACTERS.sub("", words).strip()

    def clean_language(self) -> str:
        return str(self.cleaned_data["language"] or LANGUAGES[0][0])

    def clean_recording_file(self) -> KeptRecording | None:
        """The file, kept at once: a page with errors cannot send a file a second time."""
        file, keeper = self.cleaned_data["recording_file"], recorder()
        if file is None or keeper is None:
            return None
        try:
            return keeper.keep(file.read(keeper.most_bytes + 1), self.user)
        except ValueError as refusal:
            raise forms.ValidationError(getattr(refusal, "words", str(refusal))) from refusal

    @property
    def kept(self) -> KeptRecording | None:
        """The recording that the call plays, for the page; None when the words are read."""
        keeper = recorder()
        if keeper is None:
            return None
        if not self.is_bound:
            ref = self.initial.get("recording")
            return keeper.find(str(ref), self.user) if ref else None
        # A new file takes the place of an old recording, whether that was dropped or not.
        new: KeptRecording | None = self.cleaned_data.get("recording_file")
        ref = "" if self.cleaned_data.get("drop_recording") else self.data.get("recording")
        return new or (keeper.find(str(ref), self.user) if ref else None)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "subject" in cleaned and not cleaned["subject"]:
            self.add_error("subject", NO_SUBJECT)
        silent = "recording_file" not in self.errors and self.kept is None
        if silent and "voice_text" in cleaned and not cleaned["voice_text"]:
            self.add_error("voice_text", NO_WORDS)
        nowhere = not cleaned.get("whole_district") and not cleaned.get("schools")
        if nowhere and "schools" not in self.errors:
            self.add_error("schools", _("Choose at least one school. No school means nobody."))
        if self.tool != EMERGENCY_TOOL:
            self._clean_time(cleaned)
            self._clean_window(cleaned)
        return cleaned

    def _clean_time(self, cleaned: dict[str, Any]) -> None:
        cleaned["scheduled_at"] = None
        if cleaned.get("when") != LATER:
            return
        for name, words in (("day", _("Enter a day.")), ("at", _("Enter a time."))):
            if cleaned.get(name) is None and name not in self.errors:
                self.add_error(name, words)
        if cleaned.get("day") and cleaned.get("at"):
            moment = moment_of(cleaned["day"], cleaned["at"], self.zone)
            if moment < timezone.now():
                self.add_error("at", _("This time has passed. Choose a later one, or send now."))
            cleaned["scheduled_at"] = moment

    def _clean_window(self, cleaned: dict[str, Any]) -> None:
        start, end = cleaned.get("window_start"), cleaned.get("window_end")
        if bool(start) != bool(end) and not {"window_start", "window_end"} & set(self.errors):
            self.add_error(
                "window_end" if start else "window_start",
                _("Enter both times, or neither for the district's own hours."),
            )
        elif start and end and start >= end:
            self.add_error("window_end", _("Calls must end after they start."))

    def content(self) -> dict[str, Any]:
        """The draft's content (see `Composition.from_draft`), after the form was found valid."""
        cleaned = self.cleaned_data
        schools = cleaned["schools"]
        criteria = Criteria(
            school_ids=tuple(
                self.school_ids if cleaned.get("whole_district") else map(int, schools)
            ),
            grades=tuple(cleaned["grades"]),
            active_only=cleaned["active_only"],
            deliver_to=tuple(cleaned["deliver_to"]),
        )
        scheduled_at: datetime | None = cleaned.get("scheduled_at")
        kept = self.kept
        length = duration(kept.seconds) if kept else ""
        recorded = str(_("Recorded message (%(length)s)")) % {"length": length} if kept else ""
        return {
            "subject": cleaned["subject"],
            # The log and the reports show what was said; of a recording at least how long it is.
            "voice_text": cleaned["voice_text"] or recorded,
            "language": cleaned["language"],
            "recording": kept.ref if kept else "",
            "simultaneous": cleaned["simultaneous"],
            "criteria": criteria.to_json(),
            "scheduled_at": scheduled_at.isoformat() if scheduled_at else None,
            "window_start": _hours_and_minutes(cleaned.get("window_start")),
            "window_end": _hours_and_minutes(cleaned.get("window_end")),
        }


def initial_of(draft: MessageDraft, user: User) -> dict[str, Any]:
    """What the form shows for a draft that was written before."""
    content = draft.content
    criteria = Criteria.from_json(content.get("criteria", {}))
    everything = set(schools_for(user, draft.tool).values_list("pk", flat=True))
    whole = may_write_to_all(user, draft.tool) and set(criteria.school_ids) >= everything
    scheduled = content.get("scheduled_at")
    local = timezone.localtime(datetime.fromisoformat(scheduled)) if scheduled else None
    return {
        "subject": content.get("subject", ""),
        "voice_text": content.get("voice_text", ""),
        "language": content.get("language", LANGUAGES[0][0]),
        "recording": content.get("recording", ""),
        "simultaneous": bool(content.get("simultaneous", False)),
        "whole_district": whole,
        "schools": [] if whole else [str(pk) for pk in criteria.school_ids],
        "grades": list(criteria.grades),
        "active_only": criteria.active_only,
        "deliver_to": list(criteria.deliver_to),
        "when": LATER if local else NOW,
        "day": local.date().isoformat() if local else None,
        "at": f"{local:%H:%M}" if local else None,
        "window_start": content.get("window_start"),
        "window_end": content.get("window_end"),
    }


def grade_choices() -> list[tuple[str, str]]:
    """The grades that current enrollments have, youngest first."""
    found = (
        Enrollment.objects.filter(active=True, calendar__active=True)
        .exclude(grade="")
        .values_list("grade", flat=True)
        .distinct()
        .order_by()
    )

    def place(grade: str) -> tuple[int, str]:
        return GRADE_ORDER.index(grade) if grade in GRADE_ORDER else len(GRADE_ORDER), grade

    return [(grade, grade_in_words(grade)) for grade in sorted(found, key=place)]


def offer(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    """Gives a field of choices the ones that hold for this form."""
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices


def _hours_and_minutes(value: time | None) -> str | None:
    return f"{value:%H:%M}" if value else None
