"""Every model of the messenger, gathered so that Django and the rest of the house find them.

One module a subject; nothing is defined here.
"""

from messenger.models.census import ContactChange, Door, PreferenceBatch
from messenger.models.contact import (
    ContactPoint,
    ContactPreference,
    ContactReason,
    Device,
    DoNotContact,
    Mode,
    TextConsent,
)
from messenger.models.continuity import Continuity
from messenger.models.delivery import Attempt, Delivery, LaunchSlice
from messenger.models.household import Household, HouseholdMembership
from messenger.models.message import Message, MessageDraft, MessageMode
from messenger.models.person import Person, Relationship, StaffAssignment
from messenger.models.pulse import QueuePulse
from messenger.models.roster import RosterImport, RosterProblem
from messenger.models.school import (
    Calendar,
    ClassEnrollment,
    District,
    Enrollment,
    School,
    SchoolClass,
)
from messenger.models.user import AccessChange, Role, RoleAssignment, User

__all__ = [
    "AccessChange",
    "Attempt",
    "Calendar",
    "ClassEnrollment",
    "ContactChange",
    "ContactPoint",
    "ContactPreference",
    "ContactReason",
    "Continuity",
    "Delivery",
    "Device",
    "District",
    "DoNotContact",
    "Door",
    "Enrollment",
    "Household",
    "HouseholdMembership",
    "LaunchSlice",
    "Message",
    "MessageDraft",
    "MessageMode",
    "Mode",
    "Person",
    "PreferenceBatch",
    "QueuePulse",
    "Relationship",
    "Role",
    "RoleAssignment",
    "RosterImport",
    "RosterProblem",
    "School",
    "SchoolClass",
    "StaffAssignment",
    "TextConsent",
    "User",
]
