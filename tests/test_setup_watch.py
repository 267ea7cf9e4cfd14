"""R12: when a watchdog ends its worker, and when not: its judgement, by a clock of the test's."""

from time import monotonic

import pytest

from config.watch.board import LEAVING, MOST_SLOTS, PROOF, SLOTS, TURN, Board
from config.watch.watchdog import START_SECONDS, Judge

SILENCE = 120.0
T = 10_000.0  # when the watchdog begins


@pytest.fixture
def board() -> Board:
    return Board.make()


def judge_until(board: Board, judge: Judge, seconds: float, turning: bool = True) -> str:
    """Looks every second for so long, while the main process turns or stands; the first verdict."""
    start = judge.looked
    for step in range(1, int(seconds) + 1):
        if turning:
            board.write(TURN, start + step)
        if why := judge.look(board, start + step):
            return f"{step} s: {why}"
    return ""


@pytest.fixture
def judge(board: Board) -> Judge:
    """A worker of two processes that has just turned and done a probe."""
    board.write(TURN, T)
    board.write(PROOF, T)
    return Judge(SILENCE, 2, T)


def test_r12_silence_although_the_broker_answers_ends_the_worker(
    board: Board, judge: Judge
) -> None:
    said = judge_until(board, judge, 300)
    assert said.startswith("121 s: it takes nothing from its queues"), said


def test_r12_a_main_process_that_stands_still_is_ended_whatever_its_pool_does(
    board: Board, judge: Judge
) -> None:
    for slot in (0, 1):
        board.write(SLOTS + slot, T + 1800)
    said = judge_until(board, judge, 300, turning=False)
    assert said.startswith("121 s: its main process stands still"), said


def test_probes_that_are_done_keep_it_alive(board: Board, judge: Judge) -> None:
    for _ in range(40):
        assert judge_until(board, judge, 30) == ""
        board.write(PROOF, judge.looked)


def test_a_worker_busy_with_long_reports_is_left_alone_until_their_time_is_over(
    board: Board, judge: Judge
) -> None:
    for slot in (0, 1):
        board.write(SLOTS + slot, T + 1800)
    said = judge_until(board, judge, 3000)
    assert said.startswith("1920 s: it takes nothing"), said


def test_one_long_report_is_no_excuse_while_a_process_is_free(board: Board, judge: Judge) -> None:
    board.write(SLOTS, T + 1800)
    assert judge_until(board, judge, 300).startswith("121 s: it takes nothing")


def test_while_the_broker_is_away_nobody_is_blamed(board: Board, judge: Judge) -> None:
    for _ in range(40):
        assert judge_until(board, judge, 30, turning=False) == ""
        judge.excuse(judge.looked)
    assert judge_until(board, judge, 300).startswith("121 s: it takes nothing")


def test_after_a_pause_of_the_whole_machine_the_clock_begins_anew(
    board: Board, judge: Judge
) -> None:
    assert judge.look(board, T + 3600) == ""
    assert judge_until(board, judge, 119) == ""


def test_a_worker_that_never_starts_is_ended() -> None:
    said = judge_until(Board.make(), Judge(SILENCE, 2, T), 300, turning=False)
    assert said == f"{START_SECONDS + 1:.0f} s: it did not start"


def test_beat_has_no_pool_and_needs_no_probe(board: Board) -> None:
    board.write(TURN, T)
    judge = Judge(SILENCE, 0, T)
    assert judge_until(board, judge, 1000) == ""
    assert judge_until(board, judge, 300, turning=False).startswith("121 s: its main process")


def test_a_board_is_one_memory_for_all_who_have_its_descriptor() -> None:
    one = Board.make()
    other = Board(one.descriptor)
    assert (other.read(LEAVING), other.busy(4, monotonic())) == (0.0, 0)
    one.note(LEAVING)
    one.occupy(3, 60)
    one.occupy(MOST_SLOTS + 1, 60)  # a pool larger than the page shares places
    assert other.read(LEAVING) > 0
    assert other.busy(4, monotonic()) == 2
    assert other.busy(3, monotonic()) == 1
    one.occupy(3, 0)
    assert other.busy(4, monotonic()) == 1
