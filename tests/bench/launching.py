"""P1, expansion: from a confirmed message to its rows. P2, chains and frozen batches.

The product launches in slices, each its own transaction; the limit inserts the same rows, worked
out before, in one statement into the same empty tables.
"""

from django.db import transaction

from messenger import expansion, lifecycle
from messenger.channels.registry import channels_for
from messenger.models import LaunchSlice, Message
from messenger.one_at_a_time import only_one
from tests.bench.figures import Figure
from tests.bench.ground import (
    DELIVERY_SUM,
    Ground,
    ask,
    confirm,
    empty,
    execute,
    fill,
    keep,
    without_channels,
)
from tests.bench.measure import Run, alternate, stopwatch
from voice.models import DialerBatch

LONG_ENOUGH = 3_600.0  # seconds; a task would stop after 45 and ring itself


class Expansion:
    """Both sides of P1 for a message of about `rows` deliveries."""

    def __init__(self, ground: Ground, rows: int) -> None:
        self.school_ids = ground.schools_for(rows)
        self.rows = 0
        self.message: Message | None = None

    def subject(self) -> Run:
        """Plans and expands a message with the product's own verbs; afterwards its rows are kept
        as those that the limit inserts."""
        empty("messenger_delivery")
        message = confirm(self.school_ids)
        # A worker's tick may find the message too; the lock sends it away again.
        with without_channels(), only_one("expand", message.pk), stopwatch() as watch:
            lifecycle.launch(message.pk)
            expansion.expand(message.pk, LONG_ENOUGH)
        evidence = ask(DELIVERY_SUM)
        self.rows, self.message = evidence[0], message
        keep("bench_delivery", "SELECT * FROM messenger_delivery ORDER BY id")
        return Run(watch.seconds, evidence)

    def limit(self) -> Run:
        empty("messenger_delivery")
        with stopwatch() as watch:
            fill("messenger_delivery", "bench_delivery")
        return Run(watch.seconds, ask(DELIVERY_SUM))


def measure_expansion(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    both = Expansion(ground, ground.size.rows)
    compared = alternate(both.subject, both.limit, rounds=ground.size.rounds)
    slices = LaunchSlice.objects.filter(message=both.message).count()
    return [
        Figure(
            "P1",
            "expand: resolve, mark duplicates, number chains, check, insert",
            both.rows,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=1.5,
            peak_mb=compared.peak_mb,
            note=f"{slices} slices, each a transaction; two connections, one works out a slice "
            "while the other inserts the one before. Limit: INSERT … SELECT of the same rows into "
            "the same table, one statement. With chains and batches: see P2.",
        )
    ]


class Freezing:
    """Both sides of P2: chains and batches for a message that is expanded."""

    def __init__(self, ground: Ground, rows: int) -> None:
        expansion_side = Expansion(ground, rows)
        expansion_side.subject()
        assert expansion_side.message is not None
        self.message = expansion_side.message
        self.slices = list(LaunchSlice.objects.filter(message=self.message).order_by("number"))
        (self.channel,) = channels_for(["voice"])
        self.steps = 0

    def subject(self) -> Run:
        empty("voice_callchain")
        DialerBatch.objects.filter(job__message=self.message).delete()
        with stopwatch() as watch:
            for launch_slice in self.slices:
                with transaction.atomic():
                    self.channel.plan(self.message, launch_slice)
        evidence = self._evidence()
        self.steps = ask("SELECT sum(steps) FROM voice_callchain")[0]
        batches = ask("SELECT count(*), sum(chains), sum(steps) FROM voice_dialerbatch")
        assert (batches[1], batches[2]) == (evidence[0], evidence[1]), "batches hold all chains"
        keep("bench_callchain", "SELECT * FROM voice_callchain ORDER BY number")
        return Run(watch.seconds, evidence)

    def limit(self) -> Run:
        empty("voice_callchain")
        with stopwatch() as watch:
            fill("voice_callchain", "bench_callchain")
        return Run(watch.seconds, self._evidence())

    def _evidence(self) -> tuple[object, ...]:
        return ask(
            """SELECT count(*), sum(steps), sum(hashtext(concat_ws('|', number, batch, student_id,
                household_id, recipient_id, steps))::numeric) FROM voice_callchain"""
        )


def measure_freezing(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    both = Freezing(ground, ground.size.rows)
    compared = alternate(both.subject, both.limit, rounds=ground.size.rounds)
    execute("TRUNCATE voice_dialerbatch, voice_callchain")
    return [
        Figure(
            "P2",
            "chains and frozen batches of these steps",
            both.steps,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=2.0,
            peak_mb=compared.peak_mb,
            note="The limit inserts the chain rows alone; ours also reads the deliveries, groups "
            "them into steps and chains and writes each batch's JSON (compressed by the server).",
        )
    ]
