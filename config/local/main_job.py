"""`make main-job`: from a roster file to a printed report, without a browser.

RECIPIENTS= about how many people to reach, or ROSTER= a OneRoster zip or folder; SPEED= how much
faster than life the phones are (600); OUT= where the reports go (var/main-job-report). It runs on
free ports in a temporary directory, removes that again, and ends with 0 when the message is Sent.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from config.local import programs
from config.local.installation import Installation, running_installation
from config.local.lifetime import SetupError
from config.local.programs import ROOT
from config.local.services import remove_directory
from config.local.supervisor import Stopped, say, show_progress

PATIENCE_SECONDS = 120.0
FORMATS = ("pdf", "csv", "docx")


def main() -> int:
    """Run the job; the exit code."""
    directory = Path(tempfile.mkdtemp(prefix="messenger-main-job-"))
    directory.chmod(0o711)  # root may have to run PostgreSQL as nobody
    speed = os.environ.get("SPEED") or "600"
    try:
        say("Starting PostgreSQL and Redis ...")
        with running_installation(directory, speed=speed, restart=False) as copy:
            run(copy)
    except SetupError as problem:
        kept = keep_logs(directory)
        say(f"The main job failed: {problem}\nIts logs are in {kept}.")
        return 1
    except Stopped:
        say("Stopped.")
        return 130
    finally:
        remove_directory(directory)
    return 0


def run(copy: Installation) -> None:
    """Import, send, wait, print, report."""
    began = time.monotonic()
    roster = os.environ.get("ROSTER")
    size = str(people_for(int(os.environ.get("RECIPIENTS") or 0)))
    if not roster:
        copy.begin_roster(size)
    say("Preparing the databases ...")
    copy.migrate()
    say("Starting the switchboard, our telephone company ...")
    endpoint = copy.start_switchboard()
    say("Making the district's account and users ...")
    copy.set_up_district(endpoint)
    say("Starting the pages and the workers ...")
    address = copy.start_web(0)
    copy.start_background()
    say(f"Importing the roster {roster or f'of a made-up district of {size} people'} ...")
    copy.import_roster(Path(roster).absolute() if roster else copy.generate_roster())
    copy.await_page(address)
    say("Sending a general message to all families ...")
    message = copy.send_message()
    follow = programs.manage("follow_message", message)
    show_progress(copy.supervisor.lines_of(follow, patience=PATIENCE_SECONDS))
    say(copy.manage("show_message", message))
    out = Path(os.environ.get("OUT") or ROOT / "var" / "main-job-report").absolute()
    out.mkdir(parents=True, exist_ok=True)
    for kind in FORMATS:
        report = out / f"report.{kind}"
        copy.manage("write_report", message, "--format", kind, "--out", str(report))
        say(f"{report}  ({report.stat().st_size:,} bytes)")
    say(f"Done in {time.monotonic() - began:.0f} s.")


def people_for(recipients: int) -> int:
    """How many people a made-up district has of whom about ``recipients`` are called (0: 3000)."""
    # Of the made-up district's people, 60 in 100 are guardians.
    return round(recipients / 0.6) if recipients else 3000


def keep_logs(directory: Path) -> Path:
    """Save the logs of a failed run from the removal of its directory."""
    kept = ROOT / "var" / "main-job-failed"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(directory / "log", kept)
    return kept


if __name__ == "__main__":
    sys.exit(main())
