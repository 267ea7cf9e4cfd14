"""A confirm button that is pressed a hundred times at once sends once (R14). Commits for real."""

import threading

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from messenger.models import Message
from tests.launch.sending import draft, verified_account
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.world import build_world

PRESSES = 100


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_r14_a_hundred_presses_at_once_make_one_message() -> None:
    """R14: each press is a request of its own, with a connection of its own, and all wait at the
    same line before they go."""
    verified_account()
    world = build_world()
    user = make_user("admin", ADMINISTRATOR)
    written = draft([world.elementary], user=user)
    url = reverse("general_confirm", args=[written.uuid])
    clients = [client_of(user) for _ in range(PRESSES)]
    locations: list[str] = []
    together = threading.Barrier(len(clients))

    def press(client: Client) -> None:
        together.wait(timeout=60)
        locations.append(client.post(url)["Location"])
        connections.close_all()

    threads = [threading.Thread(target=press, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(locations) == len(clients)
    assert len(set(locations)) == 1
    assert Message.objects.count() == 1
