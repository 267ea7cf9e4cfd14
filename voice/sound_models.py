"""What a call sounds like: recordings, prompts, caller IDs and the dictionary of the spoken words.

Rows that a district edits, and the bytes of recordings under their hash. What a message says is
frozen at its confirm (`voice.script`); later changes here never reach it (ruling 5).
"""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from messenger.composition import LANGUAGES
from messenger.models import ContactReason


class AudioFile(models.Model):
    """A WAV file of the telephone's kind (8 kHz, mono, 16 bit), stored once under its SHA-256.

    In the database, because web and workers may stand on different machines, and because a message
    and what it says belong into the same backup.
    """

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.BinaryField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)


class Recording(models.Model):
    """What one person recorded or uploaded: it is theirs until a message carries it."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    audio = models.ForeignKey(AudioFile, on_delete=models.PROTECT, related_name="recordings")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    uploaded_at = models.DateTimeField(auto_now_add=True)


class UploadedAudio(models.Model):
    """A recording that one state of one dialer has, and the dialer's name for it (ruling 25)."""

    audio = models.ForeignKey(AudioFile, on_delete=models.CASCADE, related_name="uploads")
    state_id = models.CharField(max_length=64)
    epoch = models.CharField(max_length=64)
    dialer_name = models.CharField(max_length=64, help_text="AudioID at the dialer.")
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["audio", "state_id", "epoch"], name="audio_uploaded_once"
            )
        ]


class Prompt(models.Model):
    """Words or a recording that go with every call in a language: the district's, or a school's
    own in place of it."""

    class Kind(models.TextChoices):
        GREETING = "greeting", _("Greeting")
        CONFIRMATION = "confirmation", _("Confirmation")
        CLOSING = "closing", _("Closing")

    kind = models.CharField(max_length=12, choices=Kind.choices)
    language = models.CharField(max_length=20, choices=LANGUAGES, default=LANGUAGES[0][0])
    school = models.ForeignKey(
        "messenger.School", null=True, on_delete=models.CASCADE, related_name="prompts"
    )
    words = models.TextField(blank=True)
    audio = models.ForeignKey(AudioFile, null=True, on_delete=models.PROTECT, related_name="+")
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "language", "school"], name="prompt_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(audio=None) ^ models.Q(words=""), name="prompt_words_or_audio"
            ),
        ]


class CallerNumber(models.Model):
    """A number that families may see. It is used once the dialer has taken it (`verified_at`): a
    dialer refuses calls from a number that the district has not registered (contract, section 4).
    """

    number = models.CharField(max_length=16, unique=True, help_text="E.164")
    label = models.CharField(_("Name"), max_length=80, blank=True)
    verified_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    # Why it is not verified, in words for the page.
    trouble = models.CharField(max_length=300, blank=True, default="")
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["number"]


class CallerChoice(models.Model):
    """Which number a school's calls, a type's calls, or a school's calls of a type come from. The
    district's default is `VoiceSettings.default_caller_id`."""

    number = models.ForeignKey(CallerNumber, on_delete=models.CASCADE, related_name="choices")
    school = models.ForeignKey(
        "messenger.School", null=True, on_delete=models.CASCADE, related_name="caller_choices"
    )
    reason = models.CharField(max_length=20, choices=ContactReason.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["school", "reason"], name="caller_choice_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=~models.Q(school=None, reason=""), name="caller_choice_is_for_something"
            ),
        ]


class SpokenWord(models.Model):
    """An entry of the TTS Dictionary: a word as it is written, and how it is to be said."""

    word = models.CharField(_("Word"), max_length=80)
    say_as = models.CharField(_("Say as"), max_length=200)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = [Lower("word")]
        constraints = [models.UniqueConstraint(Lower("word"), name="spoken_word_once")]
