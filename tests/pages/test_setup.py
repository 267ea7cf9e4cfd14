"""The setup checklist: six steps in the source's order, each with a computed state (A7-01)."""

import re
from typing import Any

import pytest
from django.urls import reverse

from messenger.models import (
    ContactPoint,
    ContactPreference,
    Device,
    District,
    Household,
    Person,
)
from messenger.models.contact import ALL_BUT_TEACHER
from messenger.status import pulse
from tests.pages.cast import client_of
from tests.pages.test_compose import text_of
from tests.world import add_phone, relate
from voice.models import VoiceSettings
from voice.setup_steps import Step, setup_steps
from voice.sound_models import CallerNumber, Prompt, SpokenWord

ORDER = [
    *("Credentials", "Phone Number Format", "Establishing Messenger Contacts"),
    *("Contact Preferences", "Messenger Preferences", "Reviewing the Task Scheduler"),
]


def by_title() -> dict[str, Step]:
    return {step.title: step for step in setup_steps()}


@pytest.mark.spec("A7-01")
def test_the_six_steps_become_done_one_by_one(world: Any, admin: Any) -> None:
    assert [step.title for step in setup_steps()] == ORDER
    steps = by_title()
    assert steps["Credentials"].done
    VoiceSettings.objects.update(verified=False)
    assert not by_title()["Credentials"].done
    VoiceSettings.objects.update(verified=True)
    District.objects.update(voice_enabled=False)
    assert not by_title()["Credentials"].done

    assert steps["Phone Number Format"].words.startswith("1 number cannot be dialed")
    ContactPoint.objects.filter(valid=False).update(valid=True, value="+16125550331", problem="")
    assert by_title()["Phone Number Format"].done

    missing = steps["Establishing Messenger Contacts"]
    assert not missing.done
    assert missing.words.startswith("1 student has no messenger contact"), "Sol Lone"
    relate(world.alone, world.aunt)
    assert by_title()["Establishing Messenger Contacts"].done

    assert not steps["Contact Preferences"].done
    add_phone(world.grandmother, Device.CELL, "+16125550777")
    ContactPreference.objects.update(reasons=ALL_BUT_TEACHER)
    assert by_title()["Contact Preferences"].done
    ContactPreference.objects.filter(contact_point__person=world.hodan).update(reasons=0)
    assert by_title()["Contact Preferences"].words.startswith("1 messenger contact has no device")

    assert [label for label, _url, _done in steps["Messenger Preferences"].links] == [
        *("Voice Settings", "Prompt Preferences", "CallerID Preferences", "TTS Dictionary"),
    ]
    Prompt.objects.create(kind="greeting", language="en-US", words="Hello.")
    CallerNumber.objects.create(number="+16125550100", label="Office")
    assert by_title()["Messenger Preferences"].words == "Not configured yet: TTS Dictionary."
    SpokenWord.objects.create(word="LHS", say_as="L H S")
    assert by_title()["Messenger Preferences"].done

    with pulse.broker() as broker:
        broker.delete(pulse.BEAT_KEY)
        assert not by_title()["Reviewing the Task Scheduler"].done
        pulse.note_beat()
        assert by_title()["Reviewing the Task Scheduler"].done
        broker.delete(pulse.BEAT_KEY)
    page = client_of(admin).get(reverse("setup"))
    assert re.findall(r"<h3>([^<]+)</h3>", page.content.decode()) == ORDER
    assert "3 of 6 steps are done" in text_of(page)


def test_an_empty_district_has_nothing_done_by_itself(world: Any) -> None:
    Household.objects.all().delete()
    Person.objects.all().delete()
    steps = by_title()
    assert not any(steps[title].done for title in ORDER[1:4])
