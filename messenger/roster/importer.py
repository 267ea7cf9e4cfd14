"""The door of the roster: one bundle in, one remembered run out.

    read → check → resolve → compare → (doubts? a person decides) → apply

Everything before `apply` touches staging tables alone, and `apply` is one transaction: a run that
is refused or that fails has changed nothing. The run's own row is kept up to date in transactions
of its own, so that a page can follow it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger.models import District, RosterImport, User
from messenger.models.contact import Device
from messenger.one_at_a_time import only_one
from messenger.roster.apply import apply_changes, refresh_statistics
from messenger.roster.archive import RosterRefused, open_bundle
from messenger.roster.check import check_rows, count_problems, worst_problems
from messenger.roster.diff import Diff, compare
from messenger.roster.problems import ERRORS, MOST_STORED, store_problems
from messenger.roster.read import Roster, read_bundle
from messenger.roster.resolve import resolve
from messenger.roster.staging import begin_staging, drop_staging, value

State = RosterImport.State
LOCK = "roster import"
SECONDS_BETWEEN_NOTES = 1.0
IDLE_SECONDS = 600.0  # reading a large bundle leaves the connection alone for a while

Callback = Callable[[str, int, int], None]


def import_roster(
    path: Path,
    *,
    user: User | None = None,
    accept: bool = False,
    dry_run: bool = False,
    progress: Callback | None = None,
) -> RosterImport:
    """Import a OneRoster bundle (zip or folder) and return the remembered run.

    The run ends as done or refused; a refusal leaves everything as it was and says what to do.
    `accept` goes on where an import needs a person (more than 20 % removed, a school missing ...).
    `dry_run` compares and counts and changes nothing. `progress` is told (stage, done, total).
    What goes wrong on the machine is raised, after the run is marked as failed.
    """
    run = RosterImport.objects.create(
        file_name=path.name[:255],
        stored_path=str(path),
        started_by=user,
        accepted=accept,
        dry_run=dry_run,
    )
    if not carry_out(run, progress):
        _refuse(run, _("Another import is running. Import again when it has ended."))
    return run


def carry_out(run: RosterImport, progress: Callback | None = None) -> bool:
    """Do a waiting run: what `import_roster` does, for a row that a page has made.

    False when another import holds the lock; the run waits on. A run that does not wait any more
    is left alone, so that two workers may hear of it.
    """
    with only_one(LOCK, idle_seconds=IDLE_SECONDS) as alone:
        if not alone:
            return False
        waiting = RosterImport.objects.filter(pk=run.pk, state=State.WAITING)
        if not waiting.update(state=State.READING):
            return True
        try:
            begin_staging()
            _Run(run, progress).go()
            drop_staging()
        except Exception:
            if connection.in_atomic_block:
                raise  # the caller's transaction is lost, and the run with it
            _forget_staging()
            _end(run, State.FAILED, _("The import broke off; nothing was changed. Import again."))
            raise
    return True


def _forget_staging() -> None:
    """Remove the staging tables after a fault; a session that is lost takes them with it.

    The session is kept where it can be: the lock must be given back before this call returns, and
    the server frees the locks of a closed session only when it notices.
    """
    try:
        drop_staging()
    except DatabaseError:
        connection.close()


def _refuse(run: RosterImport, why: str) -> RosterImport:
    return _end(run, State.REFUSED, why)


def _end(run: RosterImport, state: State, refusal: str = "") -> RosterImport:
    run.state, run.refusal, run.finished_at = state, refusal, timezone.now()
    run.save(update_fields=["state", "refusal", "finished_at"])
    return run


class _Run:
    """One run on its way: the row that a page watches, and who else wants to know."""

    def __init__(self, run: RosterImport, callback: Callback | None) -> None:
        self.run = run
        self.callback = callback
        self.noted = 0.0

    def go(self) -> None:
        district = District.current()
        roster = Roster()
        try:
            self._enter(State.READING)
            roster = self._read(district)
            self._enter(State.CHECKING)
            check_rows(roster)
            self._enter(State.COMPARING)
            resolve(roster, timezone.localdate(timezone=district.zone))
            diff = compare(roster, district)
        except RosterRefused as refusal:
            self._remember_problems(roster)
            _refuse(self.run, str(refusal))
            return
        self._remember(roster, diff, district)
        if diff.doubts and not self.run.accepted:
            _refuse(self.run, _ask_a_person(diff.doubts))
            return
        if not self.run.dry_run:
            self._enter(State.APPLYING)
            apply_changes(district, self.run.file_name)
            refresh_statistics()
        _end(self.run, State.DONE)

    def _read(self, district: District) -> Roster:
        bundle = open_bundle(Path(self.run.stored_path))
        return read_bundle(bundle, district, self.tell)

    def _enter(self, state: State) -> None:
        """Begin a stage; the last one ends the row's progress bar."""
        self.run.state = state
        self.run.stage_done = self.run.stage_total = 0
        self.run.save(update_fields=["state", "stage_done", "stage_total"])
        if self.callback:
            self.callback(state.value, 0, 0)

    def tell(self, stage: str, done: int, total: int) -> None:
        """Note progress for the page, once a second at most, and pass it on."""
        if time.monotonic() - self.noted > SECONDS_BETWEEN_NOTES:
            self.noted = time.monotonic()
            self.run.stage_done, self.run.stage_total = done, total
            self.run.save(update_fields=["stage_done", "stage_total"])
        if self.callback:
            self.callback(stage, done, total)

    def _remember(self, roster: Roster, diff: Diff, district: District) -> None:
        self.run.version = roster.version
        self.run.counts = {**diff.counts, "rows": roster.rows}
        self.run.samples = diff.samples
        self.run.defaults_used = _defaults_used(roster, district)
        self.run.save(update_fields=["version", "counts", "samples", "defaults_used"])
        self._remember_problems(roster)

    def _remember_problems(self, roster: Roster) -> None:
        """Store the worst problems and count all of them."""
        staged = value("SELECT to_regclass('pg_temp.roster_found') IS NOT NULL")
        counts = count_problems() if staged else {}
        found = roster.found + (worst_problems(MOST_STORED) if staged else [])
        found.sort(key=lambda item: (item.code not in ERRORS, item.file, item.line or 0))
        store_problems(self.run, found)
        for item in roster.found:
            counts[item.code] = counts.get(item.code, 0) + 1
        errors = sum(number for code, number in counts.items() if code in ERRORS)
        self.run.counts |= {
            "problems": sum(counts.values()),
            "errors": errors,
            "problems_by_code": counts,
        }
        self.run.save(update_fields=["counts"])


def _ask_a_person(doubts: list[str]) -> str:
    advice = _(
        "Nothing was changed. Check the export; if it is right, import it again and accept this."
    )
    return " ".join([_("This import needs a person:"), *doubts, advice])


def _defaults_used(roster: Roster, district: District) -> dict[str, Any]:
    """What the roster did not say and the district's defaults did; see `describe_defaults`."""
    return {
        "manifest": roster.has_manifest,
        "modes": roster.modes,
        "sms_device": district.roster_sms_device,
        "shared_phone_device": Device.HOUSEHOLD.value,
        "phone_device": Device.OTHER.value,
        "households": value("SELECT count(*) FROM roster_household"),
        "messenger_mark": district.roster_messenger_mark,
        "voice_reasons": district.roster_voice_reasons,
        "email_reasons": district.roster_email_reasons,
        "text_reasons": district.roster_text_reasons,
        "metadata_columns": roster.metadata,
        "ignored_columns": roster.ignored_columns,
        "assumed_year": roster.assumed_year,
    }
