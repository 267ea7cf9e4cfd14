"""What the browser tests look at: the small world, messages in every status, a draft of each tool,
an administrator who is signed in."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.urls import reverse
from django.utils import timezone

from messenger.audience.criteria import Criteria
from messenger.models import (
    Delivery,
    District,
    Message,
    PreferenceBatch,
    RosterImport,
    RosterProblem,
    User,
)
from messenger.opt_outs import stop_texts
from messenger.preference_batches import Rule
from tests.launch.sending import draft, verified_account
from tests.pages.cast import ADMINISTRATOR, PASSWORD, make_user
from tests.world import World, build_world
from voice.models import VoiceSettings


@dataclass(frozen=True)
class Scenery:
    """`addresses` of every page in its states; `check` is the check page of an ordinary draft."""

    session_key: str
    addresses: list[str]
    check: str


def build_scenery() -> Scenery:
    verified_account()
    world = build_world()
    user = make_user("walker", ADMINISTRATOR)
    user.set_password(PASSWORD)
    user.save()
    _messages(world, user)
    District.objects.update(text_enabled=True)
    stop_texts("+16125557735", "text message")
    general, emergency = (
        draft([world.elementary, world.middle], tool=tool, user=user)
        for tool in ("general", "emergency")
    )
    nobody = draft([world.middle], user=user, grades=("06",), deliver_to=("students",))
    batch = PreferenceBatch.objects.create(
        criteria=Criteria(school_ids=(world.elementary.pk,)).to_json(),
        rule=Rule(("cell", "household"), 64).to_json(),
        state="done",
        people=21,
        people_done=21,
        counts={"points": 30, "marks_added": 30},
        started_by=user,
    )
    runs = [_import(state, user) for state in ("done", "applying", "refused")]
    VoiceSettings.objects.update(trouble="The dialer did not answer in time.")
    addresses = [
        "/",
        "/?live=0",
        reverse("general_new"),
        reverse("general_write", args=[general.uuid]),
        reverse("general_check", args=[general.uuid]),
        reverse("general_check", args=[nobody.uuid]),
        reverse("emergency_new"),
        reverse("emergency_check", args=[emergency.uuid]),
        reverse("people"),
        reverse("people") + "?q=family",
        reverse("person", args=[world.mom.uuid]),
        reverse("person", args=[world.seven_digits.uuid]),
        reverse("person_relationships", args=[world.son.uuid]) + "?q=lan",
        reverse("person_history", args=[world.mom.uuid]),
        reverse("batches"),
        reverse("batch_new"),
        f"{reverse('batch_new')}?schools={world.elementary.pk}&deliver_to=contacts&devices=cell"
        "&reasons=64&action=override",
        reverse("batch", args=[batch.uuid]),
        reverse("setup"),
        reverse("imports"),
        *(reverse("import_detail", args=[run.uuid]) for run in runs),
        reverse("settings"),
        reverse("voice_settings"),
        reverse("status"),
        reverse("styleguide"),
        "/no-such-page/",
    ]
    return Scenery(_session(user), addresses, reverse("general_check", args=[general.uuid]))


def _session(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def _messages(world: World, user: User) -> None:
    now = timezone.now()
    for minutes, status in enumerate(Message.Status.values):
        started = None if status in ("waiting", "canceled") else now - timedelta(minutes=minutes)
        message = Message.objects.create(
            tool="general",
            type_label="Message Builder",
            contact_reason="general",
            subject="Bus 14 runs late" if status == "in_progress" else f"Message {minutes}",
            voice_text="The bus is late.",
            status=status,
            emergency=status == "in_progress",
            sender=user,
            sender_name=user.name_in_log(),
            created_at=now - timedelta(minutes=minutes + 1),
            scheduled_at=now - timedelta(minutes=minutes),
            launched_at=started,
            results_changed_at=now,
        )
        Delivery.objects.bulk_create(
            Delivery(
                message=message,
                id=number,
                recipient=person,
                role="contact",
                mode="voice",
                device="cell",
                address=f"+1612555{number:04}",
                state="done" if number % 2 else "pending",
                outcome="successful" if number % 2 else "",
            )
            for number, person in enumerate((world.mom, world.dad, world.lan, world.tuan))
        )


def _import(state: str, user: User) -> RosterImport:
    run = RosterImport.objects.create(
        file_name=f"{state}.zip",
        state=state,
        version="1.2",
        started_by=user,
        refusal="The zip holds no manifest.csv." if state == "refused" else "",
    )
    RosterProblem.objects.bulk_create(
        RosterProblem(
            roster_import=run,
            file="users.csv",
            line=line,
            column="sms",
            value="555-0100",
            code="bad_phone",
            severity="error" if line % 2 else "warning",
            what="This number has no area code.",
            advice="Add the area code in the student system.",
        )
        for line in range(2, 70)
    )
    return run
