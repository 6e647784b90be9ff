"""What work costs, compared with a control that is measured beside it.

A machine that is busy takes several times as long by the clock on the wall. The CPU time that
something takes hardly changes then; and what changes it, such as a slower clock of the CPU,
changes the control as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

PATIENCE = 60.0
"""Seconds until what ought to happen at once is taken for what never happens. It decides nothing
else: a test that passes does not wait for it.
"""

FEW = 10
"""Rounds of the control from which it can be told what one takes."""


@contextmanager
def at_most(rounds: int, process: int | None = None) -> Iterator[None]:
    """See that what is done inside takes no more CPU time than so many rounds of the control.

    A round takes about a millisecond, on a machine of 2020.

    Args:
        rounds: of the control, which runs afterwards.
        process: whose work it is, with that of all its children; this one's own without.

    Raises:
        AssertionError: it took longer.
    """
    began = cpu_seconds(process)
    yield
    check_effort(cpu_seconds(process) - began, rounds)


def check_effort(seconds: float, rounds: int) -> None:
    """See that CPU time that something took is no more than so many rounds take now.

    Raises:
        AssertionError: it is more.
    """
    spent = 0.0
    for done in range(rounds):
        # A few rounds will do where the others are sure to take as long.
        if spent >= seconds or (done >= FEW and spent * rounds >= 2 * seconds * done):
            return
        began = time.process_time()
        _round()
        spent += time.process_time() - began
    assert seconds <= spent, f"it took {seconds:.3f} s of CPU time, {rounds} rounds {spent:.3f} s"


def cpu_seconds(process: int | None = None) -> float:
    """CPU time of a process and all of its children, those that ended included; of this one, but
    not of its children, if none is named.
    """
    if process is None:
        return time.process_time()
    root = psutil.Process(process)
    seconds = own_cpu_seconds(root)
    times = root.cpu_times()
    if os.name == "posix":
        seconds += times.children_user + times.children_system
    for child in root.children():
        with suppress(psutil.NoSuchProcess):
            seconds += cpu_seconds(child.pid)
    return seconds


def own_cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process without its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _round() -> None:
    sum(n % 7 for n in range(20_000))
