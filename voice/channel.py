"""The phone as the messenger sees it: the Channel for voice and text.

Checks and freezes the window and the settings at confirm, turns slices into chains and batches, and
rings the dispatch. It decides nothing about people and sends nothing itself.
"""

import logging
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from dialer_adapters.call_codes import CODES
from dialer_adapters.contract import DialerError, FrozenJob, LocalHours, Redial
from dialer_adapters.contract import StopOn as StopOnWord
from messenger.audience.placing import Bundling
from messenger.audience.preview import Preview
from messenger.channels.registry import Frozen
from messenger.composition import Composition
from messenger.models import District, LaunchSlice, Message, Mode
from voice import account, caller_ids, capacity, chains, credentials, doorbell, recordings, script
from voice.models import DialerBatch, DialerJob, StopOn, VoiceSettings
from voice.windows import (
    LOCAL_EARLIEST,
    LOCAL_LATEST,
    MINIMUM,
    REASONS_WITH_MINIMUM,
    NoWindow,
    Window,
    effective_window,
    time_to_call,
)

log = logging.getLogger(__name__)

# The wire's words; key 0 always counts.
STOP_ON: dict[StopOn, tuple[StopOnWord, ...]] = {
    StopOn.CONFIRM: ("CONFIRM",),
    StopOn.LIVE: ("CONFIRM", "LIVE"),
    StopOn.MACHINE: ("CONFIRM", "LIVE", "MACHINE"),
}
PHONE_MODES = (Mode.VOICE.value, Mode.TEXT.value)


class PhoneChannel:
    """Voice calls and texts by the dialer."""

    modes = frozenset(PHONE_MODES)

    def check(self, composition: Composition, now: datetime) -> list[str]:
        settings, district = VoiceSettings.current(), District.current()
        if not district.voice_enabled:
            return [_("Messenger with Voice is not enabled for this district.")]
        if not settings.verified:
            return [
                _(
                    "The dialer's account is not verified. Enter User Name, Password and URL End "
                    "Point in Voice Settings."
                )
            ]
        try:
            credentials.decrypt(settings.password_encrypted)
        except credentials.Unreadable:
            return [
                _(
                    "The dialer's password cannot be read with the keys of this installation. "
                    "Enter it again in Voice Settings."
                )
            ]
        if composition.recording and not recordings.recording_of(
            composition.recording, composition.sender_id
        ):
            return [_("The recording is not there any more. Record it again or write the words.")]
        if composition.emergency:
            return []
        window = _window(composition, settings, district, now)
        return [no_window_words(window, settings)] if isinstance(window, NoWindow) else []

    def foresee(self, composition: Composition, audience: Preview, now: datetime) -> list[str]:
        """An emergency knows no window, and takes every line."""
        settings, district = VoiceSettings.current(), District.current()
        if composition.emergency:
            return []
        window = _window(composition, settings, district, now)
        if isinstance(window, NoWindow):
            return []
        return capacity.foresee(composition, audience, window, settings)

    def freeze(self, composition: Composition, now: datetime) -> Frozen:
        settings, district = VoiceSettings.current(), District.current()
        caller_id, of_schools = caller_ids.choose(
            composition.reason.value, composition.criteria.school_ids
        )
        frozen = {
            "district": district.name,
            "time_zone": district.time_zone,
            "device_order": district.device_order,
            "redials": settings.redials,
            "minutes_between_redials": settings.minutes_between_redials,
            "ring_seconds": settings.ring_seconds,
            "leave_message": settings.leave_message,
            "redial_machine": settings.redial_machine,
            # In an emergency somebody who only picked up has not yet heard it.
            "stop_on": StopOn.CONFIRM.value if composition.emergency else settings.stop_on,
            "result_timeout": settings.emergency_result_timeout
            if composition.emergency
            else settings.result_timeout,
            "caller_id": caller_id,
            "caller_ids": {str(school): number for school, number in of_schools.items()},
            "text_sender": settings.text_sender,
            # The contract's lines; an emergency takes every line that the dialer has for it.
            "lines": None if composition.emergency else settings.lines,
            "bundling": _bundling(composition, settings).value,
            "simultaneous": composition.simultaneous,
            **script.freeze(composition),
        }
        if composition.emergency:
            return Frozen(settings=frozen)
        window = _window(composition, settings, district, now)
        if isinstance(window, NoWindow):
            raise ValueError(f"no window: {window.why}")
        return Frozen(window.start, window.end, frozen)

    def prepare(self, message: Message) -> None:
        """Schools get their customerID before their first call (A1-10), and the dialer the
        recordings that it has not yet. An emergency waits for its own recordings alone: without
        them there is nothing to say. What fails here is done again before the job leaves."""
        if not message.emergency:
            account.fetch_school_ids(message.criteria.get("school_ids", []))
        try:
            recordings.ensure_uploaded(message)
        except (DialerError, credentials.Unreadable) as error:
            log.warning("recordings of message %s not uploaded yet: %s", message.pk, error)

    def plan(self, message: Message, launch_slice: LaunchSlice) -> int:
        job = _job_of(message)
        size = VoiceSettings.current().max_chains_per_batch
        return chains.freeze_slice(message, job, launch_slice, size)

    def plan_complete(self, message: Message) -> None:
        """Freezes the last batch, which carries TotalChains alone (ruling 15). Without any chain
        there is no job, and voice is finished."""
        job = DialerJob.of(message.pk)
        total = sum(message.slices.values_list("chains", flat=True))
        if job is None or total == 0:
            doorbell.finish_without_calls(message.pk)
            return
        last = message.slices.count()
        DialerBatch.objects.get_or_create(
            job=job,
            number=last * chains.PARTS_PER_SLICE,
            defaults={"total_chains": total, "content": "[]"},
        )

    def hand_over(self, message: Message) -> None:
        doorbell.dispatch(message.pk, urgent=message.emergency)

    def cancel(self, message: Message) -> None:
        """What never left will never leave; what left is recalled by the dispatch task. The rows
        end with the dialer's confirmation, set-wise, so that a cancel of 100,000 families answers
        at once."""
        job = DialerJob.of(message.pk)
        if job is not None:
            DialerJob.objects.filter(pk=job.pk, state=DialerJob.State.LOST).update(retry_at=None)
            job.batches.filter(state=DialerBatch.State.FROZEN).update(
                state=DialerBatch.State.CANCELED
            )
        if job is None or job.submitted_at is None:
            doorbell.finish_without_calls(message.pk)
        else:
            doorbell.dispatch(message.pk, urgent=True)

    def take_back(self) -> None:
        from voice import recall  # it knows the channel's modes, and so this module

        recall.give_orders()


def _bundling(composition: Composition, settings: VoiceSettings) -> Bundling:
    """By number when a recipient's name is said, whatever the option (X-36); else by the option."""
    if composition.names_recipients:
        return Bundling.NUMBER
    return Bundling.RECIPIENT if settings.bundle_messages else Bundling.NONE


def _window(
    composition: Composition, settings: VoiceSettings, district: District, now: datetime
) -> Window | NoWindow:
    start, end = composition.window_start, composition.window_end
    district_hours = (settings.district_start, settings.district_end)
    wanted = (start or district_hours[0], end or district_hours[1])
    window = effective_window(
        scheduled_at=max(composition.scheduled_at or now, now),
        message=wanted,
        district=district_hours,
        zone=district.zone,
        allowed_days=settings.allowed_days,
        reason=composition.reason.value,
    )
    return window if isinstance(window, NoWindow) else _heard_locally(window, composition, district)


def _heard_locally(
    window: Window, composition: Composition, district: District
) -> Window | NoWindow:
    """The window, if it has time for calls where the schools are (ruling 4): for some of them, and
    for each half an hour where the reason needs it (X-26)."""
    zones = capacity.zones_of(composition.criteria.school_ids, district)
    times = [time_to_call(window, zone) for zone in zones or [district.zone]]
    if not any(times):
        return NoWindow("local")
    if composition.reason.value in REASONS_WITH_MINIMUM and min(times) < MINIMUM:
        return NoWindow("short")
    return window


def no_window_words(window: NoWindow, settings: VoiceSettings) -> str:
    """Why nothing could be dialed, and what to do, for the sender."""
    hours = {
        "start": settings.district_start.strftime("%I:%M %p").lstrip("0"),
        "end": settings.district_end.strftime("%I:%M %p").lstrip("0"),
    }
    return {
        "backwards": _("The dialing window must start before it ends."),
        "outside": _(
            "The dialing window lies outside the district's dialing hours, %(start)s to %(end)s. "
            "Choose a time inside them."
        ),
        "day": _("The district does not allow calls on that day. Choose another day."),
        "over": _(
            "The dialing window is over for that day (district hours: %(start)s to %(end)s). "
            "Choose a later time or another day; calls are never moved to the next day."
        ),
        "short": _(
            "Attendance and behavior messages need a dialing window of at least 30 minutes inside "
            "the district's hours, %(start)s to %(end)s, and 8:00 AM to 9:00 PM where the school "
            "is."
        ),
        "local": _(
            "Calls are placed from 8:00 AM to 9:00 PM where the school is, and no part of the "
            "dialing window lies in that time any more. Choose another time or another day."
        ),
    }[window.why] % hours


def _job_of(message: Message) -> DialerJob:
    """The message's present job, frozen at its first slice."""
    job, _created = DialerJob.objects.get_or_create(
        message=message,
        current=True,
        defaults={"job_ref": message.job_ref, "content": frozen_job(message).to_json()},
    )
    return job


def frozen_job(message: Message) -> FrozenJob:
    """The job as it will be sent, from what was frozen at confirm (rulings 4, 15, 16)."""
    frozen: dict[str, Any] = message.settings_frozen
    zone: str = ZoneInfo(frozen["time_zone"]).key
    return FrozenJob(
        job_ref=str(message.job_ref),
        customer_id=account.customer_id_for(message.criteria.get("school_ids", [])) or "unassigned",
        priority="EMERGENCY" if message.emergency else "NORMAL",
        message_type=message.contact_reason.upper(),
        title=message.subject,
        caller_id=frozen["caller_id"] or None,
        text_sender=frozen["text_sender"] or None,
        max_lines=frozen.get("lines"),
        window_start=message.dial_from,
        window_end=message.dial_until,
        local_hours=None
        if message.emergency
        else LocalHours(LOCAL_EARLIEST, LOCAL_LATEST, default_zone=zone),
        redial=Redial(
            max_attempts=1 + int(frozen["redials"]),
            minutes_between=int(frozen["minutes_between_redials"]),
            codes=tuple(sorted(c.code for c in CODES.values() if c.redial in ("yes", "once"))),
            redial_machine=bool(frozen["redial_machine"]),
            unknown_outcome="REDIAL"
            if message.unknown_outcome == Message.UnknownOutcome.REPEAT
            else "STOP",
        ),
        script=script.build(frozen, text=message.text_body, names=recordings.dialer_names(message)),
        stop_on=STOP_ON[StopOn(frozen.get("stop_on", StopOn.CONFIRM))],
        machine_action="LEAVE_MESSAGE" if frozen["leave_message"] else "HANG_UP",
        start_policy="IMMEDIATE" if message.emergency else "WHEN_SEALED",
        ring_seconds=int(frozen["ring_seconds"]),
    )
