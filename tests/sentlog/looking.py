"""What tests see of the log's pages: their words, the list, one message. Nothing is judged here."""

import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from messenger.models import Message, User


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text_of(response: Any) -> str:
    """The words of a page, without its markup."""
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return unescape(re.sub(r"\s+", " ", words))


def listed(visitor: Client, **query: str) -> list[str]:
    """The subjects in the list, in order."""
    page = visitor.get(reverse("log"), query).content.decode()
    return re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', page)


def detail(visitor: Client, message: Message) -> Any:
    return visitor.get(reverse("log_detail", args=[message.uuid]))


def names(response: Any) -> list[str]:
    return [
        unescape(name)
        for name in re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', response.content.decode())
    ]
