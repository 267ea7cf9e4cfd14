"""gunicorn's log, through the formatter of all others: an answer that fails while it is streamed is
logged by gunicorn itself, with the address and the exception."""

from typing import Any

from gunicorn.glogging import Logger

from config.logs import make_formatter


class PrivateLogger(Logger):
    """Named on gunicorn's command line (`--logger-class`)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(make_formatter())
