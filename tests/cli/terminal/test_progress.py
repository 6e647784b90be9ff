from __future__ import annotations

import json
from typing import Any

import pytest

from edge_llama.cli.terminal.progress import (
    BarDisplay,
    Display,
    JSONDisplay,
    LineDisplay,
    ProgressMode,
    display_for,
)
from edge_llama.errors import HubUnavailable
from edge_llama.weights.store.progress import Phase, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def at(done: int, *, phase: Phase = "download", rate: float = 2e6) -> Progress:
    eta = (10_000_000 - done) / rate if rate else None
    return Progress(done=done, total=10_000_000, rate=rate, eta=eta, file="m.gguf", phase=phase)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_are_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = LineDisplay(clock)
    for done in range(0, 10_000_000, 200_000):  # 12.5 seconds
        display.update(at(done))
        clock.now += 0.25
    clock.now += 5
    display.update(at(0, phase="verify", rate=0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Downloading m.gguf: 4.00 MB of 10.0 MB, 2.00 MB/s, 3 s left",
        "Downloading m.gguf: 8.00 MB of 10.0 MB, 2.00 MB/s, 1 s left",
        "Checking m.gguf: 0 B of 10.0 MB",
    ]


def test_waiting_has_no_figures(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = LineDisplay(clock)
    clock.now += 5
    display.update(Progress("wait", 0, 0, 0.0, None, "m.gguf"))
    assert capsys.readouterr().err == "Waiting for another download of m.gguf\n"


def test_at_most_four_json_events_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with JSONDisplay(clock) as display:
        display.start("tiny", "someone/Tiny", 10_000_000)
        for done in range(0, 10_000_000, 10_000):  # one second
            display.update(at(done))
            clock.now += 0.001
        display.update(at(10_000_000))
    first, *others, last = events(capsys.readouterr().out)
    assert first == {
        "event": "start",
        "model": "tiny",
        "source": "someone/Tiny",
        "total": 10_000_000,
    }
    assert len(others) == 4
    assert others[0] == {
        "event": "progress",
        "file": "m.gguf",
        "done": 0,
        "total": 10_000_000,
        "rate": 2_000_000,
        "eta": 5.0,
    }
    assert (last["done"], last["eta"]) == (10_000_000, 0)


def test_an_error_is_the_last_json_event(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HubUnavailable), JSONDisplay():
        raise HubUnavailable("There is\nno network.")
    assert events(capsys.readouterr().out) == [
        {
            "event": "error",
            "error": "HubUnavailable",
            "message": "There is no network.",
            "exit_code": 4,
        }
    ]


def test_ctrl_c_is_a_json_event(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), JSONDisplay():
        raise KeyboardInterrupt
    (event,) = events(capsys.readouterr().out)
    assert (event["error"], event["exit_code"]) == ("Interrupted", 130)


def test_the_bar_has_everything_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with BarDisplay() as display:
        display.update(at(2_500_000))
    err = capsys.readouterr().err
    assert "2.50 MB of 10.0 MB, 2.00 MB/s, 4 s left" in err
    assert "25%" in err


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (ProgressMode.BAR, BarDisplay),
        (ProgressMode.PLAIN, LineDisplay),
        (ProgressMode.JSON, JSONDisplay),
        (ProgressMode.NONE, Display),
        (ProgressMode.AUTO, LineDisplay),  # in a pipe, as here
    ],
)
def test_the_display_of_a_mode(mode: ProgressMode, kind: type[Display]) -> None:
    assert type(display_for(mode)) is kind
