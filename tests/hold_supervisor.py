"""A process that supervises small programs until a signal comes, for tests of the supervisor.

    python -m tests.hold_supervisor DIRECTORY restart|once NAME=SHELL-COMMAND ...

The last program stands in stage 1, as the switchboard does.
"""

import sys
import time
from pathlib import Path

from config.local.lifetime import SetupError
from config.local.services import Services
from config.local.supervisor import Program, Stopped, Supervisor, say, stopping_on_signals


def main(directory: Path, mode: str, programs: list[str]) -> None:
    """Start the programs and watch them."""
    supervisor = Supervisor(
        Services({}), {"PATH": "/usr/bin:/bin"}, directory, restart=mode == "restart", say=say
    )
    with stopping_on_signals():
        try:
            for number, text in enumerate(programs, start=1):
                name, command = text.split("=", 1)
                stage = int(number == len(programs))
                supervisor.start(Program(name, ("/bin/sh", "-c", command), stage=stage))
            say("started")
            while True:
                supervisor.watch()
                time.sleep(0.02)
        except Stopped as why:
            say(f"stopped by {why}")
        except SetupError as problem:
            sys.exit(str(problem))
        finally:
            supervisor.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
