"""P3, sending: from confirm to the last chain that the dialer has stored.

Confirmed through the pages by HTTP; the product's own web, workers and beat do the rest. The limit
is the larger of two things that must happen: the expansion alone (P1), and the switchboard fed with
the same envelopes, ready made.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from statistics import median
from threading import Event
from time import monotonic, perf_counter, time
from uuid import uuid4

import requests
from django.urls import reverse
from django.utils import timezone

from dialer_adapters.contract import FrozenJob
from dialer_adapters.shoutpoint import mapping
from dialer_adapters.shoutpoint.endpoint import check_endpoint
from dialer_adapters.shoutpoint.transport import Wire
from messenger import lifecycle
from messenger.models import District, Message, User
from messenger.one_at_a_time import only_one
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, make_draft
from tests.bench.launching import Expansion
from tests.bench.measure import Run, alternate, with_children
from voice import account, dispatch
from voice.models import DialerBatch, DialerJob

CHAINS_A_SECOND = 60_000  # what the switchboard alone takes (ruling 34)
PATIENCE = 600.0  # seconds until a message that does not get on is given up
_nobody = Event()  # never set: a wait that ends by its time


class Sender:
    """Someone at a browser: signed in, confirming drafts."""

    def __init__(self, ground: Ground) -> None:
        District.objects.update(undo_seconds=0)  # nobody thinks again here
        self.web = ground.web.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False
        page = self.web + reverse("login")
        self.session.get(page, timeout=30)
        answer = self.post(page, username=ground.username, password=ground.password)
        assert "sessionid" in self.session.cookies, f"not signed in: {answer.status_code}"

    def post(self, address: str, **fields: str | list[str]) -> requests.Response:
        """Sends a form to an address of the product."""
        fields["csrfmiddlewaretoken"] = self.session.cookies["csrftoken"]
        return self.session.post(
            address, data=fields, headers={"Referer": address}, timeout=120, allow_redirects=False
        )

    def confirm(self, school_ids: tuple[int, ...], tool: str) -> tuple[Message, float]:
        """Presses the button; the message and the moment of pressing (seconds of the epoch)."""
        draft = make_draft(school_ids, tool)
        began = time()
        answer = self.post(self.web + reverse(f"{tool}_confirm", args=[draft.uuid]))
        assert answer.status_code == 302, f"not confirmed: {answer.status_code}"
        draft.refresh_from_db()
        assert draft.message is not None
        return draft.message, began


def wait_for(done: Callable[[], bool], words: str) -> None:
    until = monotonic() + PATIENCE
    while not done():
        if monotonic() > until:
            raise TimeoutError(words)
        _nobody.wait(0.1)


def end(message: Message) -> None:
    """Cancels a message and waits until no process works on it any more. Calls that have begun go
    on for half a minute; they are the switchboard's business alone, and are not waited for."""
    lifecycle.request_cancel(message.pk, User.objects.get(username="admin"))
    unconfirmed = DialerJob.objects.filter(
        message=message, submitted_at__isnull=False, cancel_confirmed_at=None
    )

    def ended() -> bool:
        dispatch.push(message.pk)
        with only_one("expand", message.pk) as idle:
            return idle and not unconfirmed.exists()

    wait_for(ended, f"message {message.pk} is not left alone after its cancel")


class Sending:
    """Both sides of P3 for a message of about `rows` deliveries."""

    def __init__(self, ground: Ground, rows: int) -> None:
        self.ground = ground
        self.school_ids = ground.schools_for(rows)
        self.sender = Sender(ground)
        self.alone = Expansion(ground, rows)
        self.rows = 0
        self.chains = 0
        self.expanded: list[float] = []
        self.feeds: list[float] = []
        self.job: FrozenJob | None = None
        self.batches: list[tuple[int, str]] = []

    def subject(self) -> Run:
        message, began = self.sender.confirm(self.school_ids, "general")
        job = DialerJob.objects.filter(message=message)
        wait_for(
            lambda: job.filter(all_accepted_at__isnull=False).exists(),
            "the last chain is not accepted",
        )
        row = job.get()
        assert row.all_accepted_at is not None
        seconds = row.all_accepted_at.timestamp() - began
        self.rows = ask(
            "SELECT count(*) FROM messenger_delivery WHERE message_id = %s", [message.pk]
        )[0]
        self.chains = row.total_chains or 0
        self.job = FrozenJob.from_json(row.content)
        accepted = row.batches.filter(state=DialerBatch.State.ACCEPTED, total_chains=None)
        self.batches = list(accepted.order_by("number").values_list("number", "content"))
        end(message)
        return Run(seconds, row.total_chains)

    def limit(self) -> Run:
        """The larger of the expansion alone and the switchboard alone."""
        fed, chains = self._feed()
        expanded = self.alone.subject().seconds
        self.expanded.append(expanded)
        self.feeds.append(fed)
        return Run(max(fed, expanded), chains)

    @property
    def fed(self) -> float:
        """Seconds that the switchboard alone needed, the median of the rounds."""
        return median(self.feeds)

    def _feed(self) -> tuple[float, int]:
        assert self.job is not None
        # A window that begins tomorrow: nothing is dialed while the next side is measured.
        tomorrow = timezone.now() + timedelta(days=1)
        job = replace(
            self.job,
            job_ref=str(uuid4()),
            window_start=tomorrow,
            window_end=tomorrow + timedelta(hours=1),
        )
        chains = [json.loads(content) for _number, content in self.batches]
        total = sum(len(part) for part in chains)
        first = mapping.submit_envelope(job, chains[0], None)
        rest = [
            mapping.add_chains_envelope(job.job_ref, number, part, None)
            for (number, _content), part in zip(self.batches[1:], chains[1:], strict=True)
        ]
        last = mapping.add_chains_envelope(job.job_ref, self.batches[-1][0] + 1, [], total)
        wire = Wire(
            check_endpoint(self.ground.endpoint, allow_loopback=True),
            self.ground.switchboard_user,
            self.ground.switchboard_password,
        )
        began = perf_counter()
        stored = mapping.submitted(wire.exchange("SubmitJob", first).element).chains_accepted
        with ThreadPoolExecutor(max_workers=dispatch.IN_FLIGHT) as lines:
            answers = lines.map(lambda body: wire.exchange("AddChains", body), rest)
            stored += sum(mapping.submitted(answer.element).chains_accepted for answer in answers)
        sealed = mapping.submitted(wire.exchange("AddChains", last).element).sealed
        seconds = perf_counter() - began
        assert sealed, "the switchboard has not all chains"
        account.adapter().cancel(job.job_ref)
        return seconds, stored


def measure_sending(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    both = Sending(ground, ground.size.rows)
    compared = alternate(
        both.subject,
        both.limit,
        rounds=ground.size.rounds,
        processes=lambda: with_children(ground.processes or {}),
    )
    highest = sorted(compared.peaks.items(), key=lambda item: -item[1])[:3]
    return [
        Figure(
            "P3",
            "send: from confirm to the last chain accepted and durable",
            both.rows,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=2.0,
            peak_mb=compared.peak_mb,
            note=f"Confirm by HTTP POST (the page counts the audience once more), then the "
            f"product's own workers. Limit: the larger of the expansion alone "
            f"({median(both.expanded):.2f} s) and the switchboard fed with ready envelopes "
            f"({both.fed:.2f} s). Largest "
            + "processes: "
            + ", ".join(f"{name} {peak:.0f} MB" for name, peak in highest)
            + ".",
        ),
        Figure(
            "P3 switchboard",
            "the switchboard alone: ready envelopes accepted and durable",
            both.chains,
            both.fed,
            goal_seconds=both.chains / CHAINS_A_SECOND,
            note=f"{both.chains / both.fed:,.0f} chains a second; goal {CHAINS_A_SECOND:,}. The "
            "median of the rounds of P3.",
        ),
    ]
