"""The figures of a message for pages outside the log: how far it is, for whoever looks."""

from django import template

from messenger import rights
from messenger.models import Message, User
from sentlog.counting import Figures
from sentlog.summary import summary_of

register = template.Library()


@register.simple_tag
def figures_for(message: Message, user: User) -> Figures:
    """The kept Delivery Summary of the message, limited to what the user may see (ruling 2)."""
    return summary_of(message, rights.rows_scope(user, message))
