"""F6: every code of the source and some that nobody listed, one recipient each, through the real
collection of the log; the totals are the ones computed by hand from the source's words."""

from typing import Any

import pytest

from dialer_adapters.call_codes import SOURCE_CODES
from messenger.models import Delivery, Device, Message
from messenger.roster.families import recompute_families
from sentlog.counting import count
from tests.launch.sending import launched, verified_account
from tests.launch.test_results import entry, job_result, read
from tests.world import add_person, add_phone, add_school, add_student, build_world, relate
from voice.models import DialerJob

pytestmark = pytest.mark.django_db

UNLISTED = (-41, -17, -16, -8, -6, 11, 12, 15, 4711)
ALL = (*sorted(SOURCE_CODES), *UNLISTED)

# What became of the phone, by the words of the source; the unlisted ones are counted as 9, Unknown.
BY_HAND = {
    "successful": {5, 6, 8, 13, -27, -28},
    "canceled": {-4, -35},
    "opted_out": {-33},
    "expired": {-9, -11},
    "unknown": {-29, -32},
    "failed": {
        *(0, 1, 2, 3, 4, 7, 9, 10, 14, 16),
        *(-1, -2, -3, -5, -7, -10, -12, -13, -14, -15, -18, -19, -20, -21, -22, -23, -24, -25, -26),
        *(-30, -31, -34, -36, -37, -38, -40),
        # Pending when the job ended: nobody was reached.
        *(17, -39),
        *UNLISTED,
    },
}


@pytest.fixture
def message(db: Any) -> Message:
    """A call to one guardian for each code, in the order of ALL."""
    verified_account()
    build_world()
    school, year = add_school("Code Academy", "school-codes")
    for number in range(len(ALL)):
        guardian = add_person(f"Guardian{number:02} Code")
        student = add_student(f"Student{number:02} Code", year, "05")
        add_phone(guardian, Device.CELL, f"+161255560{number:02}")
        relate(student, guardian)
    recompute_families()
    made = launched([school])
    DialerJob.objects.filter(message=made).update(state="sealed")
    return made


def test_f6_totals_of_all_codes_are_those_computed_by_hand(
    message: Message, django_capture_on_commit_callbacks: Any
) -> None:
    rows = Delivery.objects.filter(message=message).order_by("address")
    codes = {row.pk: code for row, code in zip(rows, ALL, strict=True)}
    with django_capture_on_commit_callbacks(execute=True):
        read(
            *[entry(message, row.chain, row.step, status_code=codes[row.pk]) for row in rows],
            job_result(message),
        )
    found: dict[str, set[int]] = {}
    for row in Delivery.objects.filter(message=message):
        assert row.code == codes[row.pk], "the raw code is kept"
        assert row.state == "done"
        found.setdefault(row.outcome, set()).add(codes[row.pk])
    assert found == BY_HAND
    figures = count(message.pk)
    # 51 codes and 9 unlisted ones, one guardian and one number each.
    assert (figures.total_recipients, figures.total_no_device) == (60, 0)
    assert (figures.total_voice, figures.total_text, figures.total_emails) == (60, 0, 0)
    # Attempted leaves out Cancelled (B5-20: -4, -35) and opted out (B5-21: -33).
    assert figures.total_voice_attempted == 57
    # Contacted by phone (B5-02 to B5-07): 5, 6, 8, 13, -27, -28; not -29, which is an email.
    assert (figures.contacted, figures.not_contacted) == (6, 54)
    # Failed devices (B4-07): 60 without 6 successes, 2 canceled, 1 opted out.
    assert figures.rows_failed == 51
    assert (figures.rows_canceled, figures.rows_successful, figures.rows_open) == (2, 6, 0)
    assert figures.codes == {str(code): 1 for code in ALL}
    message.refresh_from_db()
    assert message.status == Message.Status.SENT
