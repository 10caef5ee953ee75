"""The one policy of trying again."""

import errno
import socket
from ssl import SSLError

import pytest

from schemas.errors import Backpressure, Broken, Conflict, Damaged, Denied, InvalidInput, NotFound, Throttled
from schemas.retry import JITTER, MOST_OF_OURS, Failures, Pauses, of_the_outside

PAUSES = Pauses(0.5, 30.0)


def test_pauses_double_up_to_the_longest() -> None:
    assert [PAUSES.after(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert PAUSES.after(10**9) == 30


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("failures", [1, 4, 100])
def test_jitter_only_shortens_and_by_a_quarter_at_most(failures: int, random: float) -> None:
    pause = PAUSES.after(failures, random)
    assert PAUSES.after(failures) * (1 - JITTER) <= pause <= PAUSES.after(failures)


@pytest.mark.parametrize(
    "error",
    [
        Backpressure("the warehouse is away"),
        Throttled("too many"),
        Denied("the broker refuses us"),
        OSError(errno.ENOSPC, "no space"),
        OSError(errno.EMFILE, "no descriptors"),
        ConnectionRefusedError(),
        TimeoutError(),
        socket.gaierror(),
        SSLError(),
        RuntimeError("can't start new thread"),
    ],
)
def test_what_waiting_can_cure_is_of_the_outside(error: Exception) -> None:
    assert of_the_outside(error)


@pytest.mark.parametrize(
    "error",
    [
        Broken("our data"),
        Damaged("simorgh.events", 0, 1, 2),
        InvalidInput("a record"),
        Conflict("a state"),
        NotFound("a thing"),
        ValueError(),
        KeyError("x"),
        TypeError(),
        AssertionError(),
        MemoryError(),
        RecursionError(),
        RuntimeError("anything else"),
    ],
)
def test_everything_else_is_ours(error: Exception) -> None:
    assert not of_the_outside(error)


def test_faults_of_the_outside_are_never_final() -> None:
    failures = Failures(PAUSES)
    for _ in range(1000):
        failures.add(Backpressure("away"))
        assert not failures.is_final
    assert (failures.in_a_row, failures.of_ours) == (1000, 0)
    assert failures.pause() == 30


def test_a_few_faults_of_ours_in_a_row_are_final_also_among_others() -> None:
    failures = Failures(PAUSES)
    for n in range(1, MOST_OF_OURS + 1):
        failures.add(OSError())
        failures.add(ValueError())
        assert failures.is_final is (n == MOST_OF_OURS)


def test_success_forgets() -> None:
    failures = Failures(PAUSES, most_of_ours=2)
    error = ValueError()
    failures.add(error)
    assert failures.latest is error
    failures.clear()
    assert failures.latest is None
    failures.add(ValueError())
    assert not failures.is_final
    assert failures.pause() == 0.5
