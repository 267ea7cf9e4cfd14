"""The district, its schools, their years (calendars), enrollments and classes.

One district per database. What a district decides about phones is in `voice.models`; what it
decides about people and rosters is on `District`.
"""

from uuid import uuid4
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class District(models.Model):
    """The one district of this database (singleton row, id 1).

    `time_zone` is an IANA name; windows are wall time in it. `voice_enabled` and `text_enabled` are
    set by hosting (A1-01, A5-02). `roster_*` are the defaults for what a roster cannot say.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    name = models.CharField(_("name"), max_length=200)
    time_zone = models.CharField(_("time zone"), max_length=64, default="America/Chicago")
    voice_enabled = models.BooleanField(_("voice enabled"), default=False)
    text_enabled = models.BooleanField(_("text enabled"), default=False)
    # How long a message that is not an emergency waits after Confirm, so that its sender may think
    # again.
    undo_seconds = models.PositiveSmallIntegerField(
        _("undo window"), default=30, validators=[MaxValueValidator(120)]
    )
    # Order of devices inside a call chain; the household phone is its own chain.
    device_order = models.JSONField(default=list, blank=True)
    # What a roster cannot say (issue text): which device an `sms` column becomes, which reasons a
    # new phone or email starts with (bit masks of ContactReason), and the metadata columns.
    roster_sms_device = models.CharField(max_length=10, default="cell")
    roster_voice_reasons = models.PositiveSmallIntegerField(default=63)
    roster_email_reasons = models.PositiveSmallIntegerField(default=63)
    roster_text_reasons = models.PositiveSmallIntegerField(default=0)
    roster_messenger_mark = models.BooleanField(default=True)
    roster_metadata_columns = models.JSONField(default=dict, blank=True)
    # When consent, do-not-contact or relationships last changed: batches frozen before are checked
    # again at hand-over (ruling 5), all others are not, which keeps a large send fast.
    contacts_changed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_district")]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @classmethod
    def current(cls) -> "District":
        """The district of this database; a fresh database gets an unnamed one."""
        district, _created = cls.objects.get_or_create(
            pk=1, defaults={"name": str(_("Unnamed district"))}
        )
        return district

    def clean(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError) as error:
            raise ValidationError(
                {"time_zone": _("%(zone)s is not a time zone.") % {"zone": self.time_zone}}
            ) from error


class School(models.Model):
    """A school. `time_zone` empty means the district's (ruling 4)."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    sourced_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    identifier = models.CharField(max_length=100, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Calendar(models.Model):
    """A school's year: the unit that the sources call a calendar."""

    school = models.ForeignKey(School, on_delete=models.CASCADE, related_name="calendars")
    name = models.CharField(max_length=200)
    school_year = models.PositiveSmallIntegerField(help_text="The year in which it ends: 2027.")
    start_date = models.DateField()
    end_date = models.DateField()
    sourced_id = models.CharField(max_length=255, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["-school_year", "name"]
        constraints = [
            models.UniqueConstraint(fields=["school", "school_year"], name="calendar_once_a_year")
        ]

    def __str__(self) -> str:
        return self.name


class Enrollment(models.Model):
    """A student in a school's year, with a CEDS grade (KG, 01 ... 12)."""

    person = models.ForeignKey(
        "messenger.Person", on_delete=models.CASCADE, related_name="enrollments"
    )
    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="enrollments")
    grade = models.CharField(max_length=20, blank=True)
    start_date = models.DateField(null=True, blank=True)
    end_date = models.DateField(null=True, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["calendar", "person"], name="enrolled_once_a_calendar")
        ]


class SchoolClass(models.Model):
    """A section taught at a school (OneRoster class)."""

    sourced_id = models.CharField(max_length=255, unique=True)
    school = models.ForeignKey(School, on_delete=models.CASCADE, related_name="classes")
    title = models.CharField(max_length=255)
    code = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=20, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "school classes"


class ClassEnrollment(models.Model):
    """A person in a class: student or teacher (OneRoster enrollment)."""

    sourced_id = models.CharField(max_length=255, unique=True)
    school_class = models.ForeignKey(
        SchoolClass, on_delete=models.CASCADE, related_name="enrollments", db_constraint=False
    )
    person = models.ForeignKey(
        "messenger.Person", on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    role = models.CharField(max_length=20)
    primary = models.BooleanField(default=False)
    start_date = models.DateField(null=True, blank=True)
    end_date = models.DateField(null=True, blank=True)
    active = models.BooleanField(default=True)
