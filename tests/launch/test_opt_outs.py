"""Recording STOP and do-not-contact: one way in, and what follows in the same transaction."""

import re
from pathlib import Path

import pytest

from messenger import opt_outs
from messenger.models import Delivery, District, DoNotContact, Mode, TextConsent
from tests.launch.sending import launched, verified_account
from tests.world import World, build_world
from voice import claims
from voice.models import DialerJob, NumberRecall

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
WRITES = re.compile(
    r"(TextConsent|DoNotContact)(\.objects\.\w*(create|update)|\()"
    r"|(INSERT INTO|UPDATE) messenger_(textconsent|donotcontact)"
)


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


def test_nobody_else_records_them() -> None:
    found = {
        f"{path.relative_to(ROOT)}"
        for room in ("messenger", "voice", "sentlog", "config")
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts
        for line in path.read_text().splitlines()
        if WRITES.search(line) and not line.startswith("class ")
    }
    assert found == {"messenger/opt_outs.py"}


def test_a_stop_is_recorded_with_its_order(world: World) -> None:
    TextConsent.objects.all().delete()
    for _again in range(2):
        opt_outs.stop_texts("+16125550381", "text message")
    consent = TextConsent.objects.get()
    assert (consent.state, consent.source) == ("opted_out", "text message")
    orders = NumberRecall.objects.filter(number="+16125550381", job=None)
    assert orders.count() == 2, "a STOP said again is told again"
    changed = District.objects.get().contacts_changed_at
    assert changed is not None
    assert changed >= consent.changed_at


def test_an_entry_makes_an_order_for_each_job_that_is_not_over(world: World) -> None:
    TextConsent.objects.all().delete()
    running, done = launched([world.elementary]), launched([world.elementary])
    DialerJob.objects.filter(message=done).update(state="finished")
    for _again in range(2):
        opt_outs.do_not_contact("+16125550225", Mode.VOICE, "asked by phone")
    assert DoNotContact.objects.count() == 1
    assert [order.job.message for order in NumberRecall.objects.all() if order.job] == [running]
    opt_outs.do_not_contact("mom@example.org", Mode.EMAIL)
    opt_outs.do_not_contact("not a number", Mode.VOICE)
    assert NumberRecall.objects.count() == 1, "no phone is meant by these"


def test_what_was_never_sent_is_frozen_anew(world: World) -> None:
    """A batch that never left goes without the number; nothing has to be recalled for it."""
    message = launched([world.elementary])
    number = str(Delivery.objects.filter(message=message, chain=1).order_by("step")[0].address)
    opt_outs.do_not_contact(number, Mode.VOICE)
    job = DialerJob.of(message.pk)
    assert job is not None
    claimed = claims.claim(job, first=True)
    assert claimed is not None
    assert number not in claimed.content
    rows = Delivery.objects.filter(message=message, address=number, mode="voice")
    assert set(rows.values_list("outcome", "code", "reason")) == {("failed", -3, "do_not_contact")}
