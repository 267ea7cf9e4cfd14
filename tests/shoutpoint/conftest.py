from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from tests.shoutpoint.raw_server import Answer, RawServer

USER = "district-101"
PASSWORD = "Zäune:über&Grün"

Dial = Callable[..., tuple[ShoutpointAdapter, RawServer]]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """An adapter whose dialer gives the answers named: `adapter, server = dial(answer, ...)`."""
    with ExitStack() as stack:

        def start(*answers: Answer) -> tuple[ShoutpointAdapter, RawServer]:
            server = stack.enter_context(RawServer(*answers))
            adapter = ShoutpointAdapter(server.url, USER, PASSWORD, allow_loopback=True)
            stack.callback(adapter.close)
            return adapter, server

        yield start
