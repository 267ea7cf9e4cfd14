"""The demo's district: what `make demo` seeds has been asked of the switchboard like anybody's."""

from io import StringIO

import pytest
from django.core.management import call_command

from messenger.composition import LANGUAGES
from tests.end_to_end.town import Exchange
from voice import dictionary
from voice.caller_ids import choose
from voice.management.commands.set_up_demo import CALLER_NUMBERS
from voice.models import VoiceSettings
from voice.sound_models import CallerNumber, Prompt, SpokenWord

pytestmark = [pytest.mark.django_db(databases=["default", "switchboard"])]


def set_up(switchboard: Exchange) -> str:
    said = StringIO()
    account = {"username": switchboard.username, "password": switchboard.password}
    call_command("set_up_demo", endpoint=switchboard.url, stdout=said, **account)
    return said.getvalue()


def test_the_demo_has_what_a_call_sounds_like_and_keeps_what_somebody_changed(
    switchboard: Exchange,
) -> None:
    users = set_up(switchboard)
    assert VoiceSettings.current().verified
    number = CallerNumber.objects.get()
    assert number.verified_at is not None
    assert "made up" in number.label
    assert choose("general", [])[0] == CALLER_NUMBERS[0]
    assert set(Prompt.objects.values_list("kind", flat=True)) == {"greeting", "closing"}
    assert set(Prompt.objects.values_list("language", flat=True)) == {LANGUAGES[0][0]}
    words = "Your child's IEP meeting is on Friday."
    assert dictionary.apply(dictionary.read_dictionary(), words) != words

    Prompt.objects.filter(kind="greeting").update(words="Hello from Prairie Lakes.")
    SpokenWord.objects.update(say_as="individual plan")
    assert set_up(switchboard) == users
    assert Prompt.objects.get(kind="greeting").words == "Hello from Prairie Lakes."
    assert SpokenWord.objects.get().say_as == "individual plan"
