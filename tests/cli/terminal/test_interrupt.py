from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from edge_llama.cli.terminal.interrupt import InterruptibleLoop


def press_ctrl_c_after(seconds: float) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_results_and_errors_come_back() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with InterruptibleLoop() as loop:
        assert loop.run(double(4)) == 8
        with pytest.raises(ValueError, match="no"):
            loop.run(fail())


@pytest.mark.skipif(os.name == "nt", reason="os.kill sends no Ctrl-C on Windows")
def test_ctrl_c_cancels_the_coroutine_and_not_the_loop() -> None:
    tidied = []

    async def wait() -> None:
        press_ctrl_c_after(0.05)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            tidied.append(True)

    with InterruptibleLoop() as loop:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                loop.run(wait())
        assert tidied == [True, True]
        assert loop.run(double(1)) == 2


@pytest.mark.skipif(os.name == "nt", reason="os.kill sends no Ctrl-C on Windows")
def test_a_coroutine_that_ends_well_in_spite_of_ctrl_c_has_its_result() -> None:
    async def shrug() -> str:
        press_ctrl_c_after(0.05)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "partial"
        return "whole"

    with InterruptibleLoop() as loop:
        assert loop.run(shrug()) == "partial"


@pytest.mark.skipif(os.name == "nt", reason="os.kill sends no Ctrl-C on Windows")
def test_ctrl_c_between_coroutines_is_as_ever() -> None:
    with InterruptibleLoop() as loop:
        loop.run(double(1))
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert loop.run(double(1)) == 2


def test_the_signal_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with InterruptibleLoop() as loop:
        loop.run(double(1))
    assert signal.getsignal(signal.SIGINT) is before
