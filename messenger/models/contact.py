"""How people are reached, and what they agreed to.

Contact points (numbers and addresses by device), contact preferences (which reasons by which mode),
text consent and do-not-contact. Consent is a fact about a number, not about a person; a preference
is a wish about one contact point. Who decides what is never here: an import creates contact points
and their first preferences and never changes a preference again.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Device(models.TextChoices):
    """Delivery devices, in the order of the source's grid (A7-03)."""

    EMAIL = "email", _("Email")
    EMAIL2 = "email2", _("Secondary Email")
    HOUSEHOLD = "household", _("Household Phone")
    CELL = "cell", _("Cell")
    OTHER = "other", pgettext_lazy("device", "Other")
    WORK = "work", pgettext_lazy("device", "Work")
    PAGER = "pager", _("Pager")
    INBOX = "inbox", _("Inbox")
    NONE = "none", _("No Device")


class Mode(models.TextChoices):
    """Delivery modes; `none` is the row of a recipient without a device (ruling 6)."""

    INBOX = "inbox", _("Inbox")
    EMAIL = "email", _("Email")
    VOICE = "voice", _("Voice")
    TEXT = "text", pgettext_lazy("delivery mode", "Text")
    NONE = "none", _("No Device")


class ContactReason(models.TextChoices):
    """Why a message is sent: the columns of the preference grid (A7-03)."""

    EMERGENCY = "emergency", _("Emergency")
    ATTENDANCE = "attendance", _("Attendance")
    BEHAVIOR = "behavior", _("Behavior Messenger")
    GENERAL = "general", _("General")
    FOOD_SERVICE = "food_service", _("Food Service")
    PRIORITY = "priority", _("Priority")
    TEACHER = "teacher", _("Teacher")

    @property
    def bit(self) -> int:
        """The reason's bit in `ContactPreference.reasons`: 1, 2, 4 ... in the grid's order."""
        return 1 << list(ContactReason).index(self)


ALL_BUT_TEACHER = 63  # every reason of the grid except Teacher: what a new phone starts with


class ContactPoint(models.Model):
    """One number or address of a person, or of a household.

    `value` is E.164 for phones, the lower-cased address for emails, and what was given when it is
    not `valid`; an invalid one is kept, shown with `problem`, and never dialed (A4-02). A person
    has a device once, so that a changed number keeps its preferences.
    """

    person = models.ForeignKey(
        "messenger.Person",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="contact_points",
    )
    household = models.ForeignKey(
        "messenger.Household",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="contact_points",
    )
    device = models.CharField(max_length=10, choices=Device.choices)
    value = models.CharField(max_length=254)
    extension = models.CharField(max_length=16, blank=True, default="")
    raw = models.CharField(max_length=254, blank=True, help_text="As the roster or person gave it.")
    valid = models.BooleanField(default=True)
    problem = models.CharField(max_length=40, blank=True, default="")
    private = models.BooleanField(default=False)
    source = models.CharField(max_length=20, default="roster")
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(person__isnull=False, household__isnull=True)
                | models.Q(person__isnull=True, household__isnull=False),
                name="contact_point_has_one_owner",
            ),
            models.UniqueConstraint(
                fields=["person", "device"],
                condition=models.Q(person__isnull=False),
                name="person_device_once",
            ),
            models.UniqueConstraint(
                fields=["household", "device"],
                condition=models.Q(household__isnull=False),
                name="household_device_once",
            ),
        ]


class ContactPreference(models.Model):
    """The marks of one contact point for one mode: `reasons` is a mask of ContactReason bits.

    One row for a mode instead of one for a mark: a district of 20,000 students has 150,000 contact
    points and would have a million marks, which an expansion would have to join.
    """

    contact_point = models.ForeignKey(
        ContactPoint, on_delete=models.CASCADE, related_name="preferences"
    )
    mode = models.CharField(max_length=10, choices=Mode.choices)
    reasons = models.PositiveSmallIntegerField(default=0)
    # The door of the last change (`census.Door`); empty: as the importer first set it.
    set_by = models.CharField(max_length=10, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contact_point", "mode"], name="preference_once_a_mode")
        ]


class TextConsent(models.Model):
    """What the owner of a number said about texts (A5-04 to A5-11). STOP wins over every mark."""

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        OPTED_IN = "opted_in", _("Opted in")
        OPTED_OUT = "opted_out", _("Opted out")

    number = models.CharField(max_length=20, unique=True, help_text="E.164")
    state = models.CharField(max_length=10, choices=State.choices)
    changed_at = models.DateTimeField()
    source = models.CharField(max_length=30, blank=True)


class DoNotContact(models.Model):
    """A number or address that must not be reached by a mode, whatever the message."""

    value = models.CharField(max_length=254)
    mode = models.CharField(max_length=10, choices=Mode.choices)
    reason = models.CharField(max_length=200, blank=True)
    recorded_by = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["value", "mode"], name="do_not_contact_once")
        ]
