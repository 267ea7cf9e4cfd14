"""System status and `manage.py doctor`: each line says how it is and what to do."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.celery import SCHEDULE, TICKS
from config.local.programs import background
from messenger import doorbell
from messenger.models import District, Message, QueuePulse
from messenger.status import pulse
from messenger.status.findings import BROKEN, LOOK, OK, Finding, examine
from messenger.tasks import note_pulse
from tests.launch.sending import confirmed, launched
from tests.pages.cast import client_of
from tests.pages.test_compose import text_of
from tests.switchboard_process import ROOT
from voice.models import DialerBatch, DialerJob, EmergencyAlarm, LogCursor, VoiceSettings


@pytest.fixture
def client(admin: Any) -> Client:
    admin.email = "admin@district.example"
    admin.save()
    return client_of(admin)


@pytest.fixture
def well(world: Any, client: Client) -> Iterator[None]:
    """Everything works: every queue has just done something, beat rings, the log is read."""
    now = timezone.now()
    for queue in django_settings.WORK_QUEUES:
        pulse.note(queue, "worker@here", now)
    pulse.note_beat()
    LogCursor.objects.update(polled_at=now, current=True)
    yield
    with pulse.broker() as broker:
        broker.delete(pulse.BEAT_KEY)


def found(name: str, later: float = 0.0) -> Finding:
    """The line of that name, `later` seconds from now."""
    lines = [
        finding
        for section in examine(timezone.now() + timedelta(seconds=later))
        for finding in section.findings
        if finding.name == name
    ]
    assert len(lines) == 1, (name, lines)
    return lines[0]


def doctor() -> tuple[int, str]:
    said = StringIO()
    try:
        call_command("doctor", stdout=said, no_color=True)
    except SystemExit as end:
        return int(str(end.code)), said.getvalue()
    return 0, said.getvalue()


def test_everything_works(well: None, client: Client) -> None:
    page = client.get(reverse("status"))
    shown = text_of(page)
    assert "Everything works." in shown
    assert "Broken" not in shown
    assert f'hx-get="{reverse("status_now")}"' in page.content.decode()
    assert reverse("status_now") not in client.get("/status/?live=0").content.decode()
    for line in (
        "Dialer account",
        "Call log",
        "Queue urgent",
        "Beat",
        "Database",
        "Broker",
        "Disk",
    ):
        assert line in shown
        assert found(line).state == OK
    code, said = doctor()
    assert code == 0, said
    assert "BROKEN" not in said


@pytest.mark.parametrize(
    ("changes", "state", "words", "advice"),
    [
        ({"paused": True}, BROKEN, "refuses the user name", "Enter the right ones"),
        ({"verified": False}, BROKEN, "never been verified", "Voice Settings"),
        ({"trouble": "The dialer is busy."}, LOOK, "The dialer is busy.", "Test connection"),
    ],
)
def test_the_account(
    well: None, changes: dict[str, Any], state: str, words: str, advice: str
) -> None:
    VoiceSettings.objects.update(**changes)
    line = found("Dialer account")
    assert (line.state, words in line.words, advice in line.advice) == (state, True, True)
    assert doctor()[0] == (1 if state == BROKEN else 0)


def test_a_district_without_voice_is_told_no_more_about_it(well: None) -> None:
    District.objects.update(voice_enabled=False)
    assert found("Voice").state == OK
    assert doctor()[0] == 0


def test_the_second_end_point(well: None) -> None:
    VoiceSettings.objects.update(second_endpoint="https://two.example.com/", second_trouble="No.")
    assert found("Second end point").state == LOOK
    VoiceSettings.objects.update(second_state="refused")
    assert (found("Second end point").state, found("Second end point").words) == (BROKEN, "No.")
    VoiceSettings.objects.update(second_state="verified")
    assert found("Second end point").state == OK


def test_a_log_that_is_not_read(well: None, world: Any) -> None:
    """Idle it is read every five minutes, else every 15 s."""
    assert found("Call log", 300).state == OK
    assert found("Call log", 1000).state == LOOK
    assert found("Call log", 2000).state == BROKEN
    message = launched([world.elementary])
    assert message.dialer_jobs.exists()
    assert found("Call log", 70).state == LOOK
    assert found("Call log", 200).state == BROKEN
    LogCursor.objects.update(trouble="The dialer could not be reached.")
    assert found("Call log").words == "The dialer could not be reached."
    assert found("Call log").state == LOOK


def test_what_waits_to_be_handed_over(well: None, world: Any) -> None:
    assert found("Waiting to be handed over").words == "Nothing waits."
    launched([world.elementary])
    assert found("Waiting to be handed over", 30).state == OK
    assert found("Waiting to be handed over", 130).state == LOOK
    assert found("Waiting to be handed over", 700).state == BROKEN
    confirmed([world.elementary], tool="emergency")
    expand_emergencies()
    assert found("Waiting to be handed over", 61).state == BROKEN
    DialerBatch.objects.update(state=DialerBatch.State.ACCEPTED)
    assert found("Waiting to be handed over", 700).state == OK


def expand_emergencies() -> None:
    from tests.launch.sending import expand_all

    for message in Message.objects.filter(emergency=True):
        expand_all(message)


def test_results_that_do_not_come(well: None, world: Any) -> None:
    message = launched([world.elementary])
    DialerJob.objects.update(accepted_at=timezone.now())
    assert found("Results of calls", 60).state == OK
    assert found("Results of calls", 1000).state == LOOK
    Message.objects.filter(pk=message.pk).update(status=Message.Status.ERROR)
    line = found("Results")
    assert (line.state, "Refresh Status" in line.advice) == (LOOK, True)


def test_messages_that_should_have_started(well: None, world: Any) -> None:
    confirmed([world.elementary])
    assert found("Start on time", 30).state == OK
    assert found("Start on time", 90).state == LOOK
    assert found("Start on time", 300).state == BROKEN


def test_an_emergency_that_does_not_go_out(well: None, world: Any) -> None:
    message = confirmed([world.elementary], tool="emergency")
    assert found("Emergencies").state == OK
    assert found("Emergencies", 61).state == BROKEN
    EmergencyAlarm.objects.create(message=message, raised_at=timezone.now())
    assert found("Emergencies").state == BROKEN


def test_notices_that_would_reach_nobody(well: None, admin: Any, settings: Any) -> None:
    assert found("Notices by email").state == OK
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "EMAIL_URL" in found("Notices by email").advice
    admin.email = ""
    admin.save()
    assert "ALARM_EMAILS" in found("Notices by email").advice


def test_a_queue_that_nobody_works_on_is_seen_within_three_minutes(
    well: None, client: Client
) -> None:
    """R12: judged by work that was done, so that an answer to a ping does not count."""
    assert found("Queue urgent", 119).state == OK
    line = found("Queue urgent", 165)
    assert (line.state, "restart the worker" in line.advice) == (BROKEN, True)
    assert found("Queue reports", 165).state == LOOK, "a long report may keep it busy"
    QueuePulse.objects.filter(queue="urgent").update(done_at=timezone.now() - timedelta(minutes=3))
    assert "Nothing is done in: urgent." in text_of(client.get("/"))
    note_pulse("urgent")
    assert found("Queue urgent").state == OK
    assert "Nothing is done in" not in text_of(client.get("/"))
    code, said = doctor()
    assert code == 0, said


def test_a_queue_that_never_worked(well: None) -> None:
    """Right after the first start it may be on its way; later it is broken."""
    QueuePulse.objects.filter(queue="collect").delete()
    assert found("Queue collect").state == LOOK
    assert found("Queue collect", 121).state == BROKEN
    QueuePulse.objects.all().delete()
    migrations = MigrationRecorder.Migration.objects
    migrations.update(applied=timezone.now() - timedelta(seconds=20))
    assert found("Queue urgent").state == LOOK, "the copy was set up a moment ago"
    migrations.update(applied=timezone.now() - timedelta(minutes=3))
    assert found("Queue urgent").state == BROKEN


def test_beat(well: None) -> None:
    assert found("Beat", 50).state == OK
    assert found("Beat", 65).state == BROKEN
    with pulse.broker() as broker:
        broker.delete(pulse.BEAT_KEY)
    assert found("Beat").words == "It has never rung."


def test_without_a_broker_the_page_says_so(well: None, client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    shown = text_of(client.get(reverse("status")))
    assert "Redis does not answer" in shown
    assert "tick --every 5 --alone" in shown
    assert doctor()[0] == 1


def test_a_check_that_fails_is_a_finding(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from messenger.status import findings

    def falls(now: Any) -> list[Finding]:
        raise KeyError("secret of somebody")

    monkeypatch.setitem(findings._checks, "x", (99, "Odd", falls))
    line = found("Odd")
    assert (line.state, "KeyError" in line.words) == (BROKEN, True)
    assert "secret" not in line.words


def test_every_queue_has_a_worker_and_a_probe(tmp_path: Any) -> None:
    consumed = set()
    for program in background(tmp_path):
        words = list(program.command)
        if "--queues" in words:
            consumed |= set(words[words.index("--queues") + 1].split(","))
    assert consumed == set(django_settings.WORK_QUEUES)
    compose = (ROOT / "docker-compose.yml").read_text()
    assert all(queue in compose for queue in consumed)
    probed = {
        entry["args"][0]: entry["options"]["queue"]  # type: ignore[index]
        for entry in SCHEDULE.values()
        if entry["task"] == "messenger.tasks.note_pulse"
    }
    assert probed == {queue: queue for queue in consumed}
    assert {queue for _seconds, queue in TICKS.values()} <= consumed
    on = {
        str(entry["options"]["queue"])  # type: ignore[index]
        for entry in SCHEDULE.values()
        if entry["task"] == "voice.tasks.watch_emergencies"
    }
    assert len(on) == 2, "an alarm does not hang on one queue"


def test_tick_alone_does_the_probes_and_rings_as_beat(
    well: None, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    QueuePulse.objects.all().delete()
    monkeypatch.setattr(doorbell, "_here", False)
    with django_capture_on_commit_callbacks(execute=True):
        call_command("tick", "--alone")
    assert set(QueuePulse.objects.values_list("queue", flat=True)) == set(
        django_settings.WORK_QUEUES
    )
