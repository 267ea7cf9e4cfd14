"""Text as PDF operations: plain Latin fast, every other script shaped, in reading order, in a font
that has it.

Fonts come from PyPI packages under the SIL Open Font License; each is read when a character first
needs it. Arimo (the metrics of Helvetica) has Latin, Greek, Cyrillic and Hebrew; the others are
Noto's. ASCII is written as it is, because the first subset of the embedded font keeps ASCII codes.
Everything else is split into runs of one direction (python-bidi) and one font, shaped by HarfBuzz,
and tagged with its characters, so that search and copy find the name and not its glyphs. How a page
is laid out is never decided here.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import uharfbuzz
from bidi import algorithm as bidi
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

LATIN = "Arimo"
# Name → package and file inside it.
FONTS = {
    LATIN: ("fontpkg_arimo", "files/Arimo[wght].ttf"),
    "Arabic": ("justmytype_intl_rtl", "fonts/ofl/notosansarabic/NotoSansArabic[wdth,wght].ttf"),
    "Devanagari": (
        "justmytype_intl_south_asia",
        "fonts/ofl/notosansdevanagari/NotoSansDevanagari[wdth,wght].ttf",
    ),
    "Bengali": (
        "justmytype_intl_south_asia",
        "fonts/ofl/notosansbengali/NotoSansBengali[wdth,wght].ttf",
    ),
    "Tamil": (
        "justmytype_intl_south_asia",
        "fonts/ofl/notosanstamil/NotoSansTamil[wdth,wght].ttf",
    ),
    "Telugu": (
        "justmytype_intl_south_asia",
        "fonts/ofl/notosanstelugu/NotoSansTelugu[wdth,wght].ttf",
    ),
    "Thai": ("justmytype_intl_sea", "fonts/ofl/notosansthai/NotoSansThai[wdth,wght].ttf"),
    "Lao": ("justmytype_intl_sea", "fonts/ofl/notosanslao/NotoSansLao[wdth,wght].ttf"),
    "Myanmar": ("justmytype_intl_sea", "fonts/ofl/notosansmyanmar/NotoSansMyanmar[wdth,wght].ttf"),
    "Khmer": ("justmytype_intl_sea", "fonts/ofl/notosanskhmer/NotoSansKhmer[wdth,wght].ttf"),
    "Ethiopic": (
        "justmytype_intl_africa",
        "fonts/ofl/notosansethiopic/NotoSansEthiopic[wdth,wght].ttf",
    ),
    "Korean": ("justmytype_intl_cjk", "fonts/ofl/notosanskr/NotoSansKR[wght].ttf"),
    "Japanese": ("justmytype_intl_cjk", "fonts/ofl/notosansjp/NotoSansJP[wght].ttf"),
    "Chinese": ("justmytype_intl_cjk", "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"),
}
# These files are variable and their default weight is the thinnest; an outline of this part of the
# size brings them to the weight of the others.
THIN = {"Korean": 0.042, "Japanese": 0.042, "Chinese": 0.042}
# First code point of a block → the font for it, up to the next entry.
BLOCKS = [
    (0x0000, LATIN),
    (0x0600, "Arabic"),
    (0x0780, LATIN),
    (0x08A0, "Arabic"),
    (0x0900, "Devanagari"),
    (0x0980, "Bengali"),
    (0x0A00, LATIN),
    (0x0B80, "Tamil"),
    (0x0C00, "Telugu"),
    (0x0C80, LATIN),
    (0x0E00, "Thai"),
    (0x0E80, "Lao"),
    (0x0F00, LATIN),
    (0x1000, "Myanmar"),
    (0x10A0, LATIN),
    (0x1100, "Korean"),
    (0x1200, "Ethiopic"),
    (0x13A0, LATIN),
    (0x1780, "Khmer"),
    (0x1800, LATIN),
    (0x2E80, "Chinese"),
    (0x3040, "Japanese"),
    (0x3100, "Chinese"),
    (0x3130, "Korean"),
    (0x3190, "Chinese"),
    (0x31F0, "Japanese"),
    (0x3200, "Chinese"),
    (0xA960, "Korean"),
    (0xA980, LATIN),
    (0xAC00, "Korean"),
    (0xD800, LATIN),
    (0xF900, "Chinese"),
    (0xFB00, LATIN),
    (0xFB50, "Arabic"),
    (0xFE00, LATIN),
    (0xFE30, "Chinese"),
    (0xFE70, "Arabic"),
    (0xFF00, "Chinese"),
    (0x10000, LATIN),
    (0x20000, "Chinese"),
]
_STARTS = [start for start, _font in BLOCKS]
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
# Letters of Latin scripts and their punctuation: one glyph a character, nothing to shape.
_PLAIN = re.compile(r"[ -~\u00a0-\u024f\u1e00-\u1eff\u2010-\u2044]+")
_SPECIAL = str.maketrans({"\\": r"\\", "(": r"\(", ")": r"\)"})
PER_EM = 1000


@cache
def font(name: str) -> TTFont:
    """A font of the table, read once for the process."""
    package, file = FONTS[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"The package {package} with the font {name} is not installed.")
    return TTFont(name, str(Path(spec.origin).parent / file), asciiReadable=True)


@cache
def _harfbuzz(name: str) -> Any:
    return font(name).hbFont(PER_EM)


@cache
def _ascii_widths() -> tuple[int, ...]:
    widths = font(LATIN).face.charWidths
    return tuple(int(widths.get(code, 0)) for code in range(128))


def clean(text: str) -> str:
    """The text without control characters; line breaks and tabs become spaces."""
    return text if text.isprintable() else _UNPRINTABLE.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of text on one line: PDF operations inside a text object, and its width in em/1000.

    The operations assume and leave Latin's first subset as the current font, at `size`.
    """

    operations: str
    width: float


class Typesetter:
    """Sets text for one document at one size; remembers what it set last, since names repeat."""

    REMEMBERED = 4_000

    def __init__(self, canvas: Canvas, size: float) -> None:
        self.document = canvas._doc
        self.size = size
        self._widths = _ascii_widths()
        self._set: dict[str, Words] = {}
        self.font_operation = self.select(LATIN, 0)

    def select(self, name: str, subset: int) -> str:
        """The operation that makes a subset of a font the current one."""
        internal = font(name).getSubsetInternalName(subset, self.document)
        return f"{internal} {self.size:g} Tf"

    def set(self, text: str) -> Words:
        """The operations that show the text, and how wide it is."""
        found = self._set.get(text)
        if found is None:
            if len(self._set) >= self.REMEMBERED:
                self._set.clear()
            found = self._set[text] = self._made(text)
        return found

    def width(self, text: str) -> float:
        """The width of the text in points."""
        return self.set(text).width * self.size / PER_EM

    def _made(self, text: str) -> Words:
        if text.isascii() and text.isprintable():
            widths = self._widths
            return Words(
                f"({text.translate(_SPECIAL)}) Tj", sum([widths[code] for code in text.encode()])
            )
        if _PLAIN.fullmatch(text):
            return self._plain(text)
        parts, width = [], 0.0
        for run in _runs(clean(text)):
            operations, advance = self._shaped(run)
            parts += operations
            width += advance
        return Words(f"{' '.join(parts)} {self.font_operation}", width)

    def _plain(self, text: str) -> Words:
        latin = font(LATIN)
        widths = latin.face.charWidths
        width = sum([widths.get(ord(character), 0) for character in text])
        parts, current = [], 0
        for subset, codes in latin.splitString(text, self.document):
            if subset != current:
                parts.append(self.select(LATIN, subset))
                current = subset
            parts.append(f"<{codes.hex()}> Tj")
        if current:
            parts.append(self.font_operation)
        return Words(" ".join(parts), width)

    def _shaped(self, run: "Run") -> tuple[list[str], float]:
        """One run as operations: glyphs of one font, moved where the shaper wants them."""
        shown_by = font(run.font)
        hb_font = _harfbuzz(run.font)
        buffer = uharfbuzz.Buffer()
        buffer.add_str(run.text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if run.right_to_left else "ltr"
        uharfbuzz.shape(hb_font, buffer, {"kern": True, "liga": True})
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        starts = sorted({info.cluster for info, _position in glyphs})
        ends = dict(zip(starts, [*starts[1:], len(run.text)], strict=True))

        scale = shown_by.pdfScale
        line = _Line(self, run.font)
        for cluster, of_cluster in groupby(glyphs, key=lambda glyph: glyph[0].cluster):
            characters = run.text[cluster : ends[cluster]]
            placed = []
            for info, position in of_cluster:
                known = shown_by.face.glyphToChar.get(info.codepoint)
                if known:
                    code = known[0]
                else:
                    # A glyph without a character of its own gets a private one in this font.
                    name = hb_font.glyph_to_string(info.codepoint)
                    advance = scale(hb_font.get_glyph_h_advance(info.codepoint))
                    code = shown_by.hbAddPrivate(name, info.codepoint, advance)
                placed.append((code, position))
            line.show(
                characters,
                [
                    (code, scale(at.x_offset), scale(at.y_offset), scale(at.x_advance))
                    for code, at in placed
                ],
            )
        operations, width = line.finished()
        if run.font in THIN:
            operations = [f"2 Tr {THIN[run.font] * self.size:.2f} w", *operations, "0 Tr"]
        return operations, width

    def wrapped(self, text: str, width: float) -> list[Words]:
        """The text in lines of at most `width` points, broken at spaces, words only when they must
        (a name is never cut off)."""
        whole = self.set(text)
        if whole.width * self.size / PER_EM <= width:
            return [whole]
        lines, line = [], ""
        for word in self._breakable(clean(text), width):
            longer = f"{line} {word}" if line else word
            if line and self.width(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
        return [self.set(line) for line in lines]

    def _breakable(self, text: str, width: float) -> Iterator[str]:
        for word in text.split():
            while self.width(word) > width and len(word) > 1:
                kept = len(word) - 1
                while kept > 1 and self.width(word[:kept]) > width:
                    kept -= 1
                # A double name breaks at its hyphen, unless that leaves next to nothing.
                hyphen = word.rfind("-", 0, kept) + 1
                if hyphen > kept // 3:
                    kept = hyphen
                yield word[:kept]
                word = word[kept:]
            yield word


class _Line:
    """Builds the operations of one run: arrays of glyphs with the moves between them."""

    def __init__(self, setter: Typesetter, font_name: str) -> None:
        self._setter = setter
        self._name = font_name
        self._font = font(font_name)
        self._operations: list[str] = []
        self._array: list[str] = []
        self._subset = -1
        self._rise = 0.0
        self._pen = 0.0  # where the shaper is, in em/1000
        self._at = 0.0  # where the viewer is after what is in the operations

    def show(self, characters: str, glyphs: list[tuple[int, float, float, float]]) -> None:
        """Glyphs (code, x offset, y offset, advance) that stand for these characters.

        Where they are not one and the same, the characters are told beside them, so that search and
        copy find the name: a viewer would else read a form, a part of a letter, or nothing.
        """
        same = len(glyphs) == 1 and characters == chr(glyphs[0][0])
        if not same:
            self._close()
            told = characters.encode("utf-16-be", "replace").hex()
            self._operations.append(f"/Span <</ActualText <feff{told}>>> BDC")
        for code, x_offset, y_offset, advance in glyphs:
            self._place(code, x_offset, y_offset)
            self._pen += advance
        if not same:
            self._close()
            self._operations.append("EMC")

    def _place(self, code: int, x_offset: float, y_offset: float) -> None:
        for subset, codes in self._font.splitString(chr(code), self._setter.document):
            if subset != self._subset:
                self._close()
                self._operations.append(self._setter.select(self._name, subset))
                self._subset = subset
            rise = y_offset * self._setter.size / PER_EM
            if rise != self._rise:
                self._close()
                self._operations.append(f"{rise:.2f} Ts")
                self._rise = rise
            self._move(self._pen + x_offset)
            self._array.append(f"<{codes.hex()}>")
            self._at += self._font.face.charWidths.get(code, 0)

    def _move(self, to: float) -> None:
        if abs(to - self._at) > 0.5:
            self._array.append(f"{self._at - to:.0f}")
            self._at = to

    def _close(self) -> None:
        if self._array:
            self._operations.append(f"[{''.join(self._array)}] TJ")
            self._array = []

    def finished(self) -> tuple[list[str], float]:
        self._move(self._pen)
        self._close()
        if self._rise:
            self._operations.append("0 Ts")
        return self._operations, self._pen


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbours on the page that share a font and a direction; `text` in reading order."""

    text: str
    font: str
    right_to_left: bool


def _font_of(character: str) -> str | None:
    """The font whose script the character belongs to; None for what any font can show."""
    if character.isascii() and not character.isalpha():
        return None
    return BLOCKS[bisect_right(_STARTS, ord(character)) - 1][1]


def _runs(text: str) -> list[Run]:
    """The runs of a line from left to right (Unicode's bidirectional algorithm, then fonts)."""
    fonts = _fonts(text)
    if not any(bidi.bidirectional(character) in ("R", "AL", "AN") for character in text):
        visual = [(index, 0) for index in range(len(text))]
    else:
        visual = _in_visual_order(text)
    runs: list[Run] = []
    start = 0
    for end in range(1, len(visual) + 1):
        here = visual[start]
        if end < len(visual):
            there = visual[end]
            if there[1] == here[1] and fonts[there[0]] == fonts[here[0]]:
                continue
        indices = [index for index, _level in visual[start:end]]
        right_to_left = here[1] % 2 == 1
        if right_to_left:
            indices.reverse()
        runs.append(Run("".join(text[i] for i in indices), fonts[here[0]], right_to_left))
        start = end
    return runs


def _fonts(text: str) -> list[str]:
    """The font of each character: signs and spaces take their neighbour's when it has them."""
    fonts: list[str] = []
    current = LATIN
    for character in text:
        wanted = _font_of(character)
        if wanted is not None:
            current = wanted
        elif current != LATIN and ord(character) not in font(current).face.charToGlyph:
            current = LATIN
        fonts.append(current)
    return fonts


def _in_visual_order(text: str) -> list[tuple[int, int]]:
    """(index in the text, embedding level) of each character as it stands on the page."""
    storage = bidi.get_empty_storage()
    storage["base_level"] = bidi.get_base_level(text)
    storage["base_dir"] = "LR"[storage["base_level"]]
    bidi.get_embedding_levels(text, storage)
    for index, character in enumerate(storage["chars"]):
        character["index"] = index
    for step in (
        bidi.explicit_embed_and_overrides,
        bidi.resolve_weak_types,
        bidi.resolve_neutral_types,
        bidi.resolve_implicit_levels,
        bidi.reorder_resolved_levels,
    ):
        step(storage, False)
    return [(character["index"], character["level"]) for character in storage["chars"]]
