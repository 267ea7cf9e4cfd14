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
    size = os.environ.get("SIZE") or "3000"
    copy.begin_roster(size)
    say("Preparing the databases ...")
    copy.migrate()
    say("Starting the switchboard, our telephone company ...")
    endpoint = copy.start_switchboard()
    say("Making the district's account, users, caller ID and prompts ...")
    users = copy.set_up_district(endpoint)
    say("Starting the pages and the workers ...")
    port = os.environ.get("PORT")
    address = copy.start_web(int(port or 8000), or_next=0 if port else 50)
    copy.start_background()
    say(
        f"Importing the roster of {size} made-up people (with mistakes, as real ones have them) ..."
    )
    copy.import_roster(copy.generate_roster())
    say("Sending the first message ...")
    copy.await_page(address)
    message = copy.send_message()
    board = endpoint.removesuffix("soap")
    say(describe(address, board, users, copy.directory, time.monotonic() - began))
    follow = programs.manage("follow_message", message)
    show_progress(copy.supervisor.lines_of(follow))
    while True:
        copy.supervisor.watch()
        time.sleep(0.2)


def describe(address: str, board: str, users: str, directory: Path, seconds: float) -> str:
    """The block that says where to look and how to get in."""
    rule = "─" * 72
    lines = "\n".join(f"   {line}" for line in users.splitlines())
    return (
        f"\n{rule}\n   {address}   (ready after {seconds:.0f} s)\n\n{lines}\n\n"
        "   A demo: everybody in it is made up, and no phone rings outside this machine.\n"
        f"   The lines at work: {board}\n"
        f"   Logs: {directory / 'log'}\n   Ctrl-C stops everything.\n{rule}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
