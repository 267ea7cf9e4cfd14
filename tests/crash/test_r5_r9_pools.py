"""R5: kill -9 of one child of a pool. R9: SIGTERM, as every deployment sends it, under load."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from tests.crash.judging import await_end, judge
from tests.crash.running import (
    FEW_LINES,
    PATIENCE,
    await_progress,
    await_that,
    begin_send,
    chosen,
    end_well,
    let_it_end,
    pool_children,
)
from tests.end_to_end.town import Exchange
from tests.end_to_end.workers import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]

POOLS = ("worker", "worker-urgent")
SECONDS_TO_END = 30.0


def kill_children(directory: Path, kills: int) -> None:
    """Kills one child after the other at random moments of a send; the pools make new ones."""
    chance, pause = random.Random(5), Event()  # nobody sets it: a wait that ends by its time
    with Exchange("children", speed=100, lines=FEW_LINES) as exchange:
        message = begin_send(exchange, people=1_700, batch=5, directory=directory)
        with Processes(chosen(directory, *POOLS, "beat"), directory) as workers:
            await_progress(message)
            for _number in range(kills):
                pause.wait(chance.uniform(0.1, 0.6))
                await_that(lambda: bool(pool_children(workers, POOLS)), "a child")
                with suppress(ProcessLookupError):  # it had just been replaced
                    os.kill(chance.choice(pool_children(workers, POOLS)), signal.SIGKILL)
            message.refresh_from_db()
            assert not message.finished, "the send was over before the last kill"
            let_it_end(exchange)
            await_end(message, patience=PATIENCE)
        judge(message, exchange)


def test_r5_twenty_children_of_pools_are_killed(tmp_path: Path) -> None:
    kill_children(tmp_path, kills=20)


@pytest.mark.slow
def test_r5_a_hundred_children_of_pools_are_killed(tmp_path: Path) -> None:
    kill_children(tmp_path, kills=100)


def deploy_again_and_again(directory: Path, times: int, people: int = 1_700) -> None:
    """Ends the workers well and starts them again, under load."""
    longest = 0.0
    with Exchange("deploys", speed=100, lines=FEW_LINES) as exchange:
        message = begin_send(exchange, people=people, batch=2, directory=directory)
        with Processes(chosen(directory, *POOLS, "beat"), directory) as workers:
            for _number in range(times):
                await_progress(message)
                longest = max(longest, end_well(workers, SECONDS_TO_END))
                workers.start()
            message.refresh_from_db()
            assert not message.finished, "the send was over before the last deployment"
            let_it_end(exchange)
            await_end(message, patience=PATIENCE)
        judge(message, exchange)
    print(f"R9: {times} deployments, the slowest ended after {longest:.1f} s")


def test_r9_three_deployments_under_load(tmp_path: Path) -> None:
    deploy_again_and_again(tmp_path, times=3)


@pytest.mark.slow
def test_r9_twenty_deployments_under_load(tmp_path: Path) -> None:
    deploy_again_and_again(tmp_path, times=20, people=8_000)
