"""The Personal Contact Information editor as a form: numbers, addresses, Private, and the grid of
delivery devices by contact reason. Phone rules are those of `messenger.roster.phones`, for every
phone field alike (A7-06); what is written is decided in `messenger.preferences`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.core import signing
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messenger.models import ContactReason, Device, Mode
from messenger.preferences import ADDRESSES, DEVICE_MODES, WITH_EXTENSION, Line, Sheet
from messenger.roster.phones import (
    EMAIL_LENGTH,
    PROBLEMS,
    Address,
    national,
    normalise_email,
    normalise_phone,
    takes_texts,
)

REASONS = list(ContactReason)
SALT = "contact information"
MASKED_PHONE, MASKED_ADDRESS = "(•••) •••-••••", "•••@•••"
# The source's words for the devices of the editor.
LABELS: dict[Device, str | Promise] = {
    Device.EMAIL: gettext_lazy("Email"),
    Device.EMAIL2: gettext_lazy("Secondary Email"),
    Device.CELL: gettext_lazy("Cell Phone"),
    Device.OTHER: gettext_lazy("Other Phone"),
    Device.WORK: gettext_lazy("Work Phone"),
    Device.PAGER: gettext_lazy("Pager"),
}
# ISO 639 codes, as student systems write them; another one that a roster has is offered as it is.
PREFERRED_LANGUAGES: dict[str, str | Promise] = {
    "am": gettext_lazy("Amharic"),
    "ar": gettext_lazy("Arabic"),
    "en": gettext_lazy("English"),
    "es": gettext_lazy("Spanish"),
    "fr": gettext_lazy("French"),
    "hi": gettext_lazy("Hindi"),
    "hmn": gettext_lazy("Hmong"),
    "ht": gettext_lazy("Haitian Creole"),
    "kar": gettext_lazy("Karen"),
    "ko": gettext_lazy("Korean"),
    "pt": gettext_lazy("Portuguese"),
    "ru": gettext_lazy("Russian"),
    "so": gettext_lazy("Somali"),
    "sw": gettext_lazy("Swahili"),
    "tl": gettext_lazy("Tagalog"),
    "uk": gettext_lazy("Ukrainian"),
    "vi": gettext_lazy("Vietnamese"),
    "zh": gettext_lazy("Chinese"),
}
MODE_LABELS = {
    Mode.VOICE: gettext_lazy("Voice"),
    Mode.TEXT: gettext_lazy("Text (SMS)"),
    Mode.EMAIL: gettext_lazy("Email"),
}


def _languages(now: str) -> list[tuple[str, str | Promise]]:
    """The languages to choose from, by name; the one that there is among them."""
    offered = {now: now} | PREFERRED_LANGUAGES
    offered.pop("", None)
    return [("", _("Not known")), *sorted(offered.items(), key=lambda each: str(each[1]))]


def clean_phone(text: str) -> Address:
    """A phone number as somebody enters it; ValidationError with the reason when it cannot be
    dialed (A4-02)."""
    address = normalise_phone(text)
    if address.problem:
        raise forms.ValidationError(str(PROBLEMS[address.problem]), code=address.problem)
    return address


def clean_address(text: str) -> Address:
    """An email address as somebody enters it; ValidationError with the reason."""
    address = normalise_email(text)
    if address.problem:
        raise forms.ValidationError(str(PROBLEMS[address.problem]), code=address.problem)
    return address


@dataclass(frozen=True)
class Cell:
    """One box of the grid."""

    reason: str
    bit: int
    marked: bool
    was: bool


@dataclass(frozen=True)
class ModeRow:
    """The boxes of one mode of a device."""

    mode: str
    label: str | Promise
    name: str
    cells: list[Cell]


@dataclass(frozen=True)
class DeviceRow:
    """One device on the page: its fields, and the boxes of its modes."""

    key: str
    label: str
    value: forms.BoundField | None
    extension: forms.BoundField | None
    private: forms.BoundField | None
    shown: str  # what is shown where nothing can be entered
    problem: str
    notes: list[str]
    shared: bool
    modes: list[ModeRow]


class ContactForm(forms.Form):
    """The editor of one person; `sheet` is what there is now, `wanted()` what was entered.

    `hidden` are the lines whose value the user may not see: they show that there is something, and
    their marks alone can be changed. `texts` says whether the district has text messaging.
    """

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(
        self,
        data: Any = None,
        *,
        sheet: Sheet,
        homes: dict[int, str],
        may_see_private: bool,
        texts: bool,
        language: str = "",
        notes: dict[str, list[str]] | None = None,
        entered: Sheet | None = None,
    ) -> None:
        self.sheet = sheet
        self.homes, self.texts, self.notes = homes, texts, notes or {}
        self.hidden = {
            key
            for key, line in sheet.items()
            if line.private and line.value and not may_see_private
        }
        super().__init__(data, initial={"seen": pack(sheet, self.hidden)})
        self.fields["language"] = forms.ChoiceField(
            label=_("Preferred language"),
            required=False,
            choices=_languages(language),
            initial=language,
        )
        for key, line in (entered or sheet).items():
            self._add_fields(key, line)

    def _add_fields(self, key: str, line: Line) -> None:
        label = self.label_of(line)
        if key not in self.hidden:
            is_address = line.device in ADDRESSES
            kind = "email" if is_address else "tel"
            self.fields[f"value-{key}"] = forms.CharField(
                label=label,
                required=False,
                max_length=EMAIL_LENGTH,
                initial=line.value if is_address else national(line.value),
                widget=forms.TextInput(
                    attrs={"inputmode": kind, "autocomplete": "off", "spellcheck": "false"}
                ),
            )
            if line.device in WITH_EXTENSION:
                self.fields[f"ext-{key}"] = forms.RegexField(
                    r"^\d{1,11}$",
                    label=_("%(device)s, extension") % {"device": label},
                    required=False,
                    initial=line.extension,
                    error_messages={"invalid": _("An extension has digits alone, 11 at most.")},
                    widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
                )
            self.fields[f"private-{key}"] = forms.BooleanField(
                label=_("%(device)s, private") % {"device": label},
                required=False,
                initial=line.private,
            )
        for mode in self._modes(line):
            self.fields[f"marks-{key}-{mode.value}"] = forms.TypedMultipleChoiceField(
                label=f"{label}, {MODE_LABELS[mode]}",
                choices=[(str(reason.bit), reason.label) for reason in REASONS],
                coerce=int,
                required=False,
                initial=_bits(line.mask(mode)),
            )

    def label_of(self, line: Line) -> str:
        """The device in words; a household's phone by the household's name."""
        if line.household_id:
            return _("%(name)s Household") % {"name": self.homes[line.household_id]}
        return str(LABELS[line.device])

    def _modes(self, line: Line) -> tuple[Mode, ...]:
        return tuple(m for m in DEVICE_MODES[line.device] if m != Mode.TEXT or self.texts)

    # ------------------------------------------------------------------------- what was entered
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        self._wanted: Sheet = {}
        for key, line in self.sheet.items():
            try:
                self._wanted[key] = self._line(key, line, cleaned)
            except forms.ValidationError as problem:
                self.add_error(f"value-{key}", problem)
        return cleaned

    def _line(self, key: str, line: Line, cleaned: dict[str, Any]) -> Line:
        """What one line becomes."""
        marks = dict(line.marks)  # those of modes that are not shown are kept
        for mode in self._modes(line):
            marks[mode.value] = sum(cleaned.get(f"marks-{key}-{mode.value}") or [])
        marks = {mode: mask for mode, mask in marks.items() if mask}
        if key in self.hidden:
            return replace(line, marks=marks)
        text = (cleaned.get(f"value-{key}") or "").strip()
        extension = cleaned.get(f"ext-{key}") or ""
        private = bool(cleaned.get(f"private-{key}"))
        if not text:
            if marks and not line.value:
                raise forms.ValidationError(
                    _("There is nothing to reach: enter it, or clear the marks beside it.")
                )
            if extension and not line.value:
                raise forms.ValidationError(_("There is an extension and no number."))
            return Line(line.device, line.household_id)
        shown = line.value if line.device in ADDRESSES else national(line.value)
        if text in (shown, line.value):  # kept as it is, an imported one that is wrong as well
            made = replace(line, extension=extension, private=private, marks=marks)
        else:
            address = clean_address(text) if line.device in ADDRESSES else clean_phone(text)
            if address.extension and line.device not in WITH_EXTENSION:
                raise forms.ValidationError(_("A household phone has no extension."))
            made = Line(
                line.device,
                line.household_id,
                address.value,
                extension or address.extension,
                private,
                marks=marks,
            )
        new_texts = made.mask(Mode.TEXT) & ~line.mask(Mode.TEXT)
        if new_texts and not takes_texts(made.value, made.extension):
            raise forms.ValidationError(
                _("No text can reach this number: clear its Text (SMS) marks.")
            )
        return made

    def wanted(self) -> Sheet:
        """What was entered, of a valid form."""
        return self._wanted

    # --------------------------------------------------------------------------------- the page
    def rows(self) -> Iterator[DeviceRow]:
        """Every device in the source's order."""
        for key, line in self.sheet.items():
            is_hidden = key in self.hidden
            masked = MASKED_ADDRESS if line.device in ADDRESSES else MASKED_PHONE
            problem = str(PROBLEMS[line.problem]) if line.problem in PROBLEMS else ""
            yield DeviceRow(
                key=key,
                label=self.label_of(line),
                value=None if is_hidden else self[f"value-{key}"],
                extension=self[f"ext-{key}"] if f"ext-{key}" in self.fields else None,
                private=None if is_hidden else self[f"private-{key}"],
                shown=masked if is_hidden else "",
                problem=problem,
                notes=self.notes.get(key, []),
                shared=line.household_id is not None,
                modes=[self._mode_row(key, line, mode) for mode in self._modes(line)],
            )

    def _mode_row(self, key: str, line: Line, mode: Mode) -> ModeRow:
        name = f"marks-{key}-{mode.value}"
        marked = {str(bit) for bit in self[name].value() or []}
        return ModeRow(
            mode.value,
            MODE_LABELS[mode],
            name,
            [
                Cell(
                    str(reason.label),
                    reason.bit,
                    str(reason.bit) in marked,
                    bool(line.mask(mode) & reason.bit),
                )
                for reason in REASONS
            ],
        )

    def reasons(self) -> list[tuple[str, int]]:
        """The columns of the grid: label and bit."""
        return [(str(reason.label), reason.bit) for reason in REASONS]


def set_marks(data: Any, order: str, sheet: Sheet) -> Any:
    """What was entered with a whole row or column marked or cleared: `order` is row:NAME:1 or
    column:BIT:0. Where there is no number nothing is marked."""
    changed = data.copy()
    kind, _colon, rest = order.partition(":")
    which, _colon, on = rest.rpartition(":")
    every = [str(reason.bit) for reason in REASONS]
    for line in sheet.values():
        if on == "1" and not data.get(f"value-{line.key}", line.value).strip():
            continue
        for mode in DEVICE_MODES[line.device]:
            name = f"marks-{line.key}-{mode.value}"
            now = set(data.getlist(name))
            if kind == "row" and which == name:
                changed.setlist(name, every if on == "1" else [])
            elif kind == "column" and which in every and mode != Mode.TEXT:
                changed.setlist(name, sorted(now | {which} if on == "1" else now - {which}))
    return changed


def merge(base: Sheet, entered: Sheet, current: Sheet) -> Sheet:
    """What one person entered, seeing `base`, on top of what another has made of it meanwhile."""
    merged = {}
    for key, now in current.items():
        was, wish = base.get(key), entered.get(key)
        if was is None or wish is None or was == wish:
            merged[key] = now
            continue
        marks = {
            mode.value: (now.mask(mode) | wish.mask(mode) & ~was.mask(mode))
            & ~(was.mask(mode) & ~wish.mask(mode))
            for mode in DEVICE_MODES[now.device]
        }
        own = (was.value, was.extension, was.private) != (wish.value, wish.extension, wish.private)
        merged[key] = replace(
            wish if own else now, marks={m: mask for m, mask in marks.items() if mask}
        )
    return merged


def pack(sheet: Sheet, hidden: Collection[str] = ()) -> str:
    """A sheet as a signed text for the page, which brings back what its reader saw; of what the
    reader may not see only a print of it."""
    return signing.dumps(
        [
            [
                *(line.device.value, line.household_id),
                *((_print_of(line), "") if line.key in hidden else (line.value, line.extension)),
                *(line.private, line.problem, line.marks),
            ]
            for line in sheet.values()
        ],
        salt=SALT,
        compress=True,
    )


def unpack(text: str, current: Sheet) -> Sheet | None:
    """The sheet that a page brings back; None when it is none of ours. What was hidden is filled
    in where it still is the same."""
    try:
        rows = signing.loads(text, salt=SALT)
    except signing.BadSignature:
        return None
    sheet = {}
    for device, household, value, extension, private, problem, marks in rows:
        line = Line(Device(device), household, value, extension, private, problem, marks)
        now = current.get(line.key)
        if now and value == _print_of(now):
            line = replace(line, value=now.value, extension=now.extension)
        sheet[line.key] = line
    return sheet


def _print_of(line: Line) -> str:
    return "#" + salted_hmac(SALT, f"{line.value} {line.extension}").hexdigest()[:32]


def _bits(mask: int) -> list[str]:
    return [str(reason.bit) for reason in REASONS if mask & reason.bit]
