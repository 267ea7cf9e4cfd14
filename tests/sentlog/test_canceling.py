"""Canceling several messages from the list: the warning, what is refused, how they stop."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger import lifecycle
from messenger.models import Message, School, User
from tests.sentlog.looking import signed_in, text_of
from tests.sentlog.rows import Ledger, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")
Status = Message.Status
SEVERAL = "log_cancel_several"


def running(subject: str, done: int, rows: int, **values: Any) -> Message:
    """A message in progress with so many rows, of which `done` have their result."""
    message = make_message(
        subject=subject, status=Status.IN_PROGRESS, finished_at=None, schools=[make_school(subject)]
    )
    Message.objects.filter(pk=message.pk).update(**values)
    ledger = Ledger(message)
    for number in range(rows):
        outcome = "successful" if number < done else ""
        ledger.add(
            make_person(f"{subject}, {number}"), "voice", f"+1612555{number:04}", outcome=outcome
        )
    return message


def waiting(subject: str, **values: Any) -> Message:
    return make_message(subject=subject, status=Status.WAITING, finished_at=None, **values)


def mark(visitor: Client, *messages: Message, **more: str) -> Any:
    data = {"message": [message.uuid for message in messages], **more}
    return visitor.post(reverse(SEVERAL), data, follow=True)


@pytest.mark.spec("B3-17", "B8-06")
def test_the_warning_counts_what_stops_and_changes_nothing(visitor: Client) -> None:
    first, second = running("First", 2, 5), running("Second", 1, 2)
    third, over = waiting("Third"), make_message(subject="Over")
    page = mark(visitor, first, second, third, over)
    shown = text_of(page)
    assert "Cancel 3 messages?" in shown
    assert "Deliveries that will be stopped 4" in shown
    assert "Already have their result and keep it 3" in shown
    assert "2 have their result, 3 will be stopped" in shown
    assert "Everything: nothing has been sent yet" in shown
    assert "1 message stays as it is" in shown
    assert "It is over: its status is Sent." in shown
    buttons = re.findall(r'button--large"[^>]*>([^<]+)<', page.content.decode())
    assert buttons == ["Stop 3 messages", "Keep sending"]
    assert not Message.objects.exclude(cancel_requested_at=None).exists()


@pytest.mark.spec("B3-13", "B3-16", "B3-18")
def test_each_is_canceled_and_seen_to_stop(visitor: Client, administrator: User) -> None:
    one, two = running("Running", 1, 3), waiting("Waiting")
    page = mark(visitor, one, two, confirmed="1")
    shown = text_of(page)
    assert "Canceling 2 messages" in shown
    assert "1 of 2 messages have stopped" in shown
    for message, status in ((one, Status.IN_PROGRESS), (two, Status.CANCELED)):
        message.refresh_from_db()
        assert message.status == status
        assert message.canceled_by == administrator
        assert message.canceled_by_name == "Admin, System"
    assert one.cancel_requested_at is not None

    # What the page asks for by itself, with the dialer's confirmation in between.
    address = re.search(r'id="canceling" hx-get="([^"]+)"', page.content.decode())
    assert address is not None
    path = address[1].replace("&amp;", "&")
    part = visitor.get(path, headers={"HX-Request": "true"})
    assert "every 3.0s" in part.content.decode()  # nothing has changed
    assert 'id="announce"' not in part.content.decode()
    one.deliveries.filter(outcome="").update(state="done", outcome="canceled")
    Message.objects.filter(pk=one.pk).update(results_changed_at=timezone.now())
    lifecycle.modes_final(one.pk, ["voice"])
    part = visitor.get(path, headers={"HX-Request": "true"})
    assert "2 of 2 messages have stopped" in text_of(part)
    assert 'id="announce"' in part.content.decode()
    assert "hx-get" not in part.content.decode()
    cells = re.findall(
        r'data-label="(?:Stopped|Kept their result|Still open)"[^>]*>(\d*)<', part.content.decode()
    )
    assert sorted([tuple(cells[:3]), tuple(cells[3:])]) == [("0", "0", "0"), ("2", "1", "0")]
    one.refresh_from_db()
    assert one.status == Status.CANCELED_IP


@pytest.mark.spec("B3-13")
@pytest.mark.parametrize("status", [s for s in Status.values if s not in Message.UNFINISHED])
def test_what_is_over_is_refused_with_its_reason(visitor: Client, status: str) -> None:
    message = make_message(subject="Too late", status=status)
    label = Status(status).label
    assert f"It is over: its status is {label}." in text_of(mark(visitor, message))
    shown = text_of(mark(visitor, message, confirmed="1"))
    assert "1 message was not canceled." in shown
    assert f"Too late: This message can no longer be canceled: its status is {label}." in shown
    message.refresh_from_db()
    assert (message.status, message.cancel_requested_at) == (status, None)


def test_one_that_ends_meanwhile_keeps_none_of_the_others(visitor: Client) -> None:
    ended, going = make_message(subject="Ended"), waiting("Going")
    shown = text_of(mark(visitor, ended, going, confirmed="1"))
    assert "1 message was not canceled. Ended:" in shown
    assert "Canceling 1 message" in shown
    going.refresh_from_db()
    assert going.status == Status.CANCELED
    again = text_of(mark(visitor, going))
    assert "None of these messages can be canceled" in again
    assert "Its cancel was requested already." in again


@pytest.mark.spec("B1-03")
def test_only_what_the_right_names_is_canceled(make_user: Callable[..., User]) -> None:
    """Own messages by one right; others' by the other, where they touch no school beyond."""
    high, middle = make_school("High"), make_school("Middle")
    secretary = make_user("secretary", "School secretary", high)
    reader = make_user("reader", "Read-only")
    mine = waiting("Mine", sender=secretary, schools=[high, middle])
    here = waiting("Here", schools=[high])
    both = waiting("Both", schools=[high, middle])
    everywhere = waiting("Everywhere", schools=[high], district_wide=True)
    elsewhere = waiting("Elsewhere", schools=[middle])
    everything = (mine, here, both, everywhere, elsewhere)
    shown = text_of(mark(signed_in(reader), *everything))
    assert "None of these messages can be canceled" in shown
    mark(signed_in(reader), *everything, confirmed="1")
    assert not Message.objects.exclude(cancel_requested_at=None).exists()

    page = mark(signed_in(secretary), *everything)
    assert "Cancel 2 messages?" in text_of(page)
    assert "goes to more schools than yours" in text_of(page)
    assert "Elsewhere" not in text_of(page)  # not hers to see, so not there
    mark(signed_in(secretary), *everything, confirmed="1")
    canceled = Message.objects.filter(status=Status.CANCELED).values_list("subject", flat=True)
    assert set(canceled) == {"Mine", "Here"}


def test_nonsense_is_not_canceled(visitor: Client, make_user: Callable[..., User]) -> None:
    for given in ([], ["nonsense"], ["00000000-0000-4000-8000-000000000000"]):
        page = visitor.post(reverse(SEVERAL), {"message": given}, follow=True)
        assert "Mark at least one message" in text_of(page)
    for since in ("", "yesterday", "2026-11-20", "2126-11-20T12:00:00+00:00"):
        assert visitor.get(reverse("log_canceling"), {"since": since}).status_code == 404
    assert visitor.get(reverse(SEVERAL)).status_code == 405
    assert School.objects.count() == 0
