"""The switchboard and the short waits of the end-to-end tests, here too."""

from tests.end_to_end.conftest import (  # noqa: F401 - fixtures
    _short_waits,
    quick_exchange,
    switchboard,
)
