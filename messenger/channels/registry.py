"""The doors between the message and the ways it leaves: the Channel and Recorder protocols and who
registered.

`messenger` calls channels through these protocols and knows none of them; `voice` registers the
phone from its `AppConfig.ready` (ruling 12). No channel's rule is written here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from messenger.audience.preview import Preview
    from messenger.composition import Composition
    from messenger.models import LaunchSlice, Message, User


@dataclass(frozen=True)
class Frozen:
    """What a channel fixes at confirm: the dialing window as instants (empty for an emergency) and
    its settings as JSON, so that later changes do not reach the message (ruling 5)."""

    dial_from: datetime | None = None
    dial_until: datetime | None = None
    settings: dict[str, Any] = field(default_factory=dict)


class Channel(Protocol):
    """One way out. Every method may be called again with the same arguments."""

    modes: frozenset[str]

    def check(self, composition: "Composition", now: datetime) -> list[str]:
        """What stands in the way of sending, in words for the sender; empty when nothing does."""
        ...

    def foresee(self, composition: "Composition", audience: "Preview", now: datetime) -> list[str]:
        """What the sender should know before confirming, though it stands in nobody's way."""
        ...

    def freeze(self, composition: "Composition", now: datetime) -> Frozen:
        """Window and settings for this message. Called after `check` found nothing."""
        ...

    def prepare(self, message: "Message") -> None:
        """Before the first slice, outside any transaction: may ask the outside, must not fail."""
        ...

    def plan(self, message: "Message", launch_slice: "LaunchSlice") -> int:
        """Inside the slice's transaction, after its rows: freezes what will be handed over.
        Returns how many chains that is."""
        ...

    def plan_complete(self, message: "Message") -> None:
        """Inside the transaction of the last slice: nothing more will be added."""
        ...

    def hand_over(self, message: "Message") -> None:
        """After a commit that left something to send: rings the doorbell."""
        ...

    def cancel(self, message: "Message") -> None:
        """Inside the cancel's transaction: closes what never left the house; on commit, recalls
        the rest."""
        ...

    def take_back(self) -> None:
        """Somebody may no longer be reached by one of the modes (`messenger.opt_outs`): works out
        from what is recorded what has left the house and must be stopped, and rings for it. Inside
        the transaction that records it, and once more after its commit."""
        ...


_channels: list[Channel] = []


def register(channel: Channel) -> None:
    """Adds a channel once, however often `ready` runs."""
    if not any(type(known) is type(channel) for known in _channels):
        _channels.append(channel)


def channels_for(modes: Iterable[str]) -> list[Channel]:
    """The channels that carry any of the modes, each once."""
    wanted = frozenset(modes)
    return [channel for channel in _channels if channel.modes & wanted]


# --------------------------------------------------------------------------------- recordings


@dataclass(frozen=True)
class KeptRecording:
    """A recording that a sender brought: its reference for the draft, how long it plays, and where
    its owner hears it."""

    ref: str
    seconds: float
    url: str


class Recorder(Protocol):
    """Who keeps the sound of a message that is not read by a voice."""

    most_bytes: int

    def keep(self, data: bytes, user: "User") -> KeptRecording:
        """Keeps a WAV file. Raises an error with `words` for the sender (a ValueError) when it
        cannot be used."""
        ...

    def find(self, ref: str, user: "User") -> KeptRecording | None:
        """The user's own recording of that reference."""
        ...


_recorders: list[Recorder] = []


def register_recorder(recorder: Recorder) -> None:
    """The one who keeps recordings, however often `ready` runs."""
    _recorders[:] = [recorder]


def recorder() -> Recorder | None:
    """Who keeps recordings; None where no channel carries sound."""
    return _recorders[0] if _recorders else None
