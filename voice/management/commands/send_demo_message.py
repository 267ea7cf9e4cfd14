"""Sends the demo's first message: a general voice message to every family of the district.

By the product's own verbs: a draft, confirmed by a user. Prints the message's UUID on its last
line. Running it twice sends once: the draft is found again by its subject.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messenger import lifecycle
from messenger.audience.criteria import Criteria
from messenger.models import MessageDraft, RoleAssignment, School, User

SUBJECT = "Early release on Friday"
WORDS = (
    "On Friday all schools close at noon for teacher conferences. Buses leave ten minutes after "
    "the bell. After school care is open until six. Please call your school's office with any "
    "question."
)


class Command(BaseCommand):
    help = "Send the demo's first general voice message; prints its UUID."

    def handle(self, **options: Any) -> None:
        user = User.objects.filter(username="district").first()
        schools = list(School.objects.filter(active=True))
        if user is None or not schools:
            raise CommandError("Run set_up_demo and import_roster first.")
        self._limit_secretary(schools[0])
        draft = MessageDraft.objects.filter(user=user, content__subject=SUBJECT).first()
        if draft is None:
            criteria = Criteria(school_ids=tuple(school.pk for school in schools))
            draft = MessageDraft.objects.create(
                user=user,
                tool="general",
                content={
                    "subject": SUBJECT,
                    "voice_text": WORDS,
                    "criteria": criteria.to_json(),
                    "modes": ["voice"],
                },
            )
        try:
            message = lifecycle.confirm(draft, user)
        except lifecycle.CannotSend as problem:
            raise CommandError(f"The message cannot be sent: {problem}") from problem
        self.stdout.write(str(message.uuid))

    def _limit_secretary(self, school: School) -> None:
        """The demo's secretary works at one school, so that scopes can be seen at work."""
        RoleAssignment.objects.filter(user__username="secretary", school=None).update(school=school)
