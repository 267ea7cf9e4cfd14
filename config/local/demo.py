"""`make demo`: the whole product with a made-up district, until Ctrl-C.

SIZE= people of the district (3000), SPEED= how much faster than life the phones are (60), PORT= of
the pages (8000 or the next free one), VAR_DIR= where it all lives (var/demo). What it made is kept
there: the next `make demo` goes on with it, also after a kill -9.
"""

import os
import sys
import time
from pathlib import Path

from config.local import programs
from config.local.installation import Installation, running_installation
from config.local.lifetime import SetupError
from config.local.programs import ROOT
from config.local.supervisor import Stopped, say, show_progress


def main() -> int:
    """Run the demo; the exit code."""
    directory = Path(os.environ.get("VAR_DIR") or ROOT / "var" / "demo").absolute()
    try:
        say(f"Starting PostgreSQL and Redis in {directory} ...")
        with running_installation(
            directory, speed=os.environ.get("SPEED") or "60", restart=True
        ) as copy:
            run(copy)
    except SetupError as problem:
        say(f"The demo cannot go on: {problem}")
        return 1
    except Stopped:
        say("\nStopped; `make demo` goes on from here.")
    return 0


def run(copy: Installation) -> None:
    """Set everything up, say how to use it, follow the first message and stay."""
    began = time.monotonic()
    say("Preparing the databases ...")
    copy.migrate()
    say("Starting the switchboard, the pages, the workers ...")
    users = copy.set_up_district(copy.start_switchboard())
    port = os.environ.get("PORT")
    address = copy.start_web(int(port or 8000), or_next=0 if port else 50)
    copy.start_background()
    say("Making up a district and importing its roster ...")
    copy.import_roster(copy.generate_roster(os.environ.get("SIZE") or "3000"))
    copy.await_page(address)
    message = copy.send_message()
    say(describe(address, users, copy.directory, time.monotonic() - began))
    follow = programs.manage("follow_message", message)
    show_progress(copy.supervisor.lines_of(follow))
    while True:
        copy.supervisor.watch()
        time.sleep(0.2)


def describe(address: str, users: str, directory: Path, seconds: float) -> str:
    """The block that says where to look and how to get in."""
    rule = "─" * 72
    lines = "\n".join(f"   {line}" for line in users.splitlines())
    return (
        f"\n{rule}\n   {address}   (ready after {seconds:.0f} s)\n\n{lines}\n\n"
        f"   logs: {directory / 'log'}\n   Ctrl-C stops everything.\n{rule}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
