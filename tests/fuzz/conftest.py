"""The switchboard of these tests: the real process, with books that no test empties."""

from tests.end_to_end.conftest import quick_exchange as quick_exchange
