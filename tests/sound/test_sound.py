"""Files that people bring, and words that a voice reads: what becomes of them."""

import pytest

from tests.sound.waves import crossings, mulaw, read, silence, slowed, tone
from voice import sound


@pytest.mark.parametrize(
    "given",
    [
        tone(rate=44_100, channels=2),
        tone(rate=48_000, channels=1, width=3),
        tone(rate=16_000, channels=1, width=1),
        tone(rate=22_050, channels=2, width=4),
        tone(rate=8000, channels=1),
    ],
)
def test_any_pcm_becomes_the_telephones_sound(given: bytes) -> None:
    made = sound.convert(given)
    channels, width, rate, samples = read(made.content)
    assert (channels, width, rate) == (1, 2, 8000)
    assert made.seconds == pytest.approx(1.0, abs=0.01)
    # Still the same tone: 440 times a second through zero.
    assert crossings(samples) == pytest.approx(440, abs=5)
    assert max(samples) > 8000


def test_telephone_mulaw_is_read_too() -> None:
    assert sound.convert(mulaw()).seconds == pytest.approx(1.0, abs=0.01)


def test_what_the_telephone_cannot_carry_is_filtered_not_folded() -> None:
    """A tone above 4 kHz must not come back as another one."""
    high = sound.convert(tone(rate=44_100, channels=1, pitch=7000, loud=0.9))
    plain = sound.convert(tone(rate=44_100, channels=1, pitch=1000, loud=0.9))
    assert max(read(high.content)[3]) < max(read(plain.content)[3]) / 4


def test_the_same_file_always_gives_the_same_bytes() -> None:
    assert sound.convert(tone()).content == sound.convert(tone()).content


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "not_wav"),
        (b"ID3" + b"x" * 500, "not_wav"),
        (b"RIFF\0\0\0\0WAVE" + b"x" * 500, "broken"),
        (tone(0.2), "too_short"),
        (tone(0.001), "too_short"),
        (silence(), "silent"),
        (slowed(tone(rate=8000, channels=1), 1), "format"),
        (tone(rate=8000, channels=1, width=1, seconds=301), "too_long"),
        (b"RIFF" + b"\0" * sound.MOST_BYTES, "too_large"),
    ],
)
def test_a_bad_file_is_refused_in_plain_words(given: bytes, reason: str) -> None:
    with pytest.raises(sound.BadSound) as refusal:
        sound.convert(given)
    assert refusal.value.reason == reason
    assert refusal.value.words == str(sound.REFUSALS[reason])


def test_a_file_that_breaks_the_child_breaks_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "CHILD_SECONDS", 0.0)
    with pytest.raises(sound.BadSound) as refusal:
        sound.convert(tone())
    assert refusal.value.reason == "failed"


def test_words_are_read_and_recordings_are_played_between_them() -> None:
    recorded = sound.convert(tone(2.0))
    name = sound.render([sound.Said("Prairie District.", "en-US")])
    both = sound.render([sound.Said("Prairie District.", "en-US"), recorded])
    pause = 0.35
    assert both.seconds == pytest.approx(name.seconds + recorded.seconds + pause, abs=0.01)
    # The recording is there as it is, byte for byte.
    assert both.content.endswith(recorded.content[sound.HEADER_BYTES :])
    assert max(read(name.content)[3]) > 1000


def test_a_language_has_a_voice_of_its_own() -> None:
    words = "La escuela está cerrada hoy."
    spanish = sound.render([sound.Said(words, "es-US")])
    assert spanish.content != sound.render([sound.Said(words, "en-US")]).content


def test_every_language_on_offer_can_be_heard() -> None:
    from messenger.composition import LANGUAGES

    for language, _name in LANGUAGES:
        assert sound.render([sound.Said("123", language)]).seconds > 0.3, language


@pytest.mark.parametrize("words", ["", "…", "\x00", "<speak>&amp;", "[[h@l@U]]", "a" * 4000, "🙂"])
def test_strange_words_do_no_harm(words: str) -> None:
    sound.render([sound.Said(words, "en-US")])
