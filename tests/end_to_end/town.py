"""A district and its telephone company, for tests that really call: over HTTP, by SOAP.

The product's verbs run in the test's own process; the switchboard is a process of its own with its
own database, and its ledger is the judge.
"""

from collections.abc import Callable
from time import monotonic


from messenger import lifecycle
from messenger.models import Message
from messenger.tasks import start_due
from tests.launch.sending import expand_all
from tests.switchboard_process import SwitchboardProcess
from voice import account, collect, dispatch
from voice.models import VoiceSettings

PATIENCE = 60.0  # seconds until a test says that nothing happens


def open_account(switchboard: SwitchboardProcess, **changes: object) -> VoiceSettings:
    """Verifies the district's account at this switchboard; hours wide open."""
    settings = VoiceSettings.current()
    settings.district_start, settings.district_end = "00:00", "23:59:59"  # type: ignore[assignment]
    settings.minutes_between_redials = 0
    for name, value in changes.items():
        setattr(settings, name, value)
    result = account.verify_and_save(
        settings, switchboard.username, switchboard.password, switchboard.url
    )
    assert result.ok, result.words
    return VoiceSettings.current()


def hand_over(message: Message) -> None:
    """Launches, expands and pushes, as the tasks would."""
    lifecycle.launch(message.pk)
    expand_all(message)
    dispatch.push(message.pk)


def until(done: Callable[[], bool], words: str, patience: float = PATIENCE) -> None:
    """Reads the call log and pushes what waits until something is so."""
    last = monotonic() + patience
    while not done():
        assert monotonic() < last, f"never happened: {words}"
        start_due()
        for message_id, _emergency in dispatch.waiting_messages():
            expand_all(Message.objects.get(pk=message_id))
            dispatch.push(message_id)
        collect.collect(seconds=1)


def finish(message: Message, patience: float = PATIENCE) -> Message:
    """Follows a message to its end."""

    def finished() -> bool:
        message.refresh_from_db()
        return message.finished

    until(finished, f"the end of {message}", patience)
    return message


