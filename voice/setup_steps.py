"""The setup checklist: the six steps of the source in its order, and what is done (A7-01).

Every state is computed from what there is; nobody ticks anything. What is missing is done on the
pages that each step leads to, never here.
"""

from dataclasses import dataclass, field

import redis
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from messenger.census_facts import CensusFacts, census_facts
from messenger.models import District
from messenger.status import pulse
from voice.models import VoiceSettings
from voice.sound_models import CallerNumber, Prompt, SpokenWord


@dataclass(frozen=True)
class Step:
    """One step: whether it is done, in words what there is, and the pages on which it is done as
    (label, address, done); an address is empty where this installation has no such page."""

    title: str
    done: bool
    words: str
    links: list[tuple[str, str, bool]] = field(default_factory=list)


def setup_steps() -> list[Step]:
    """All six, in the source's order."""
    facts = census_facts()
    return [
        _credentials(),
        _phone_format(facts),
        _contacts(facts),
        _preferences(facts),
        _messenger_preferences(),
        _scheduler(),
    ]


def _credentials() -> Step:
    verified = VoiceSettings.current().verified
    enabled = District.current().voice_enabled
    if not enabled:
        words = _("Voice is not enabled for this district: a hosting representative turns it on.")
    elif verified:
        words = _("The dialer knows this district.")
    else:
        words = _("Enter the user name, the password and the end point that you were given.")
    link = (_("Voice Settings"), _address("voice_settings"), enabled and verified)
    return Step(_("Credentials"), enabled and verified, words, [link])


def _phone_format(facts: CensusFacts) -> Step:
    if not facts.phones:
        words = _("There is no phone number yet: import a roster.")
    elif facts.wrong_phones:
        words = ngettext(
            "%(n)d number cannot be dialed: it lacks its area code or is wrong.",
            "%(n)d numbers cannot be dialed: they lack their area code or are wrong.",
            facts.wrong_phones,
        ) % {"n": facts.wrong_phones}
    else:
        words = _("Every phone number has its ten digits.")
    done = bool(facts.phones) and not facts.wrong_phones
    return Step(_("Phone Number Format"), done, words, [(_("People"), _address("people"), done)])


def _contacts(facts: CensusFacts) -> Step:
    if not facts.students:
        words = _("Nobody is enrolled now.")
    elif facts.without_contact:
        words = ngettext(
            "%(n)d student has no messenger contact: messages about them reach nobody.",
            "%(n)d students have no messenger contact: messages about them reach nobody.",
            facts.without_contact,
        ) % {"n": facts.without_contact}
    else:
        words = _("Every student has a messenger contact.")
    done = bool(facts.students) and not facts.without_contact
    link = (_("People"), _address("people"), done)
    return Step(_("Establishing Messenger Contacts"), done, words, [link])


def _preferences(facts: CensusFacts) -> Step:
    if not facts.contacts:
        words = _("There is no messenger contact yet.")
    elif facts.without_marks:
        words = ngettext(
            "%(n)d messenger contact has no device that is marked for any message.",
            "%(n)d messenger contacts have no device that is marked for any message.",
            facts.without_marks,
        ) % {"n": facts.without_marks}
    else:
        words = _("Every messenger contact has a marked device.")
    done = bool(facts.contacts) and not facts.without_marks
    link = (_("Contact Preferences Batch"), _address("batches"), done)
    return Step(_("Contact Preferences"), done, words, [link])


def _messenger_preferences() -> Step:
    tabs = [
        (_("Voice Settings"), _address("voice_settings"), VoiceSettings.current().verified),
        (_("Prompt Preferences"), _address("prompts"), Prompt.objects.exists()),
        (_("CallerID Preferences"), _address("caller_ids"), CallerNumber.objects.exists()),
        (_("TTS Dictionary"), _address("dictionary"), SpokenWord.objects.exists()),
    ]
    open_tabs = [label for label, _url, done in tabs if not done]
    words = _("Every tab is configured.")
    if open_tabs:
        words = _("Not configured yet: %(tabs)s.") % {"tabs": ", ".join(open_tabs)}
    return Step(_("Messenger Preferences"), not open_tabs, words, tabs)


def _scheduler() -> Step:
    try:
        seen = pulse.last_beat()
    except redis.RedisError:
        seen = None
    works = seen is not None and timezone.now() - seen < pulse.BEAT_SILENT_AFTER
    words = (
        _("The scheduler is enabled and works.")
        if works
        else _("The scheduler does not work: scheduled messages start late or never.")
    )
    link = (pgettext("page", "System status"), _address("status"), works)
    return Step(_("Reviewing the Task Scheduler"), works, words, [link])


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
