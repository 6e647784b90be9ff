"""How far a download or a check is, and how fast."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["wait", "download", "verify"]

_WINDOW = 10.0  # seconds that the rate is taken over


@dataclass(frozen=True, slots=True)
class Progress:
    """How far all files of a model are together.

    Attributes:
        phase: `wait` while another process pulls the same model, then `download`, then `verify`
            while checksums are computed.
        done: bytes of this phase.
        total: bytes of this phase when it ends; 0 if that is not known yet.
        rate: bytes a second, over the last ten seconds.
        eta: seconds that the phase will still take at this rate; None while nothing moves.
        file: the file that moved last, as the hub calls it.
    """

    phase: Phase
    done: int
    total: int
    rate: float
    eta: float | None
    file: str


OnProgress: TypeAlias = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Show nothing."""


class Meter:
    """Adds up the bytes of files that several threads work on.

    Args:
        total: bytes of all files.
        file: what is named until the first byte.
        clock: seconds, from any beginning.
    """

    def __init__(
        self, total: int, file: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._fetched = 0
        self._verified = 0
        self._phase: Phase | None = None
        self._samples: deque[tuple[float, int]] = deque()

    def present(self, count: int) -> None:
        """`count` bytes need no download; negative for bytes that turned out to be bad.

        They do not count for the rate.
        """
        with self._lock:
            self._fetched += count
            self._samples.clear()

    def fetched(self, count: int, file: str) -> None:
        """`count` bytes of `file` came in."""
        with self._lock:
            self._fetched += count
            self._file = file

    def verified(self, count: int, file: str) -> None:
        """`count` bytes of `file` were hashed; negative when they must be hashed again."""
        with self._lock:
            self._verified += count
            self._file = file

    def progress(self) -> Progress:
        """How far it is now. Ask a few times a second: the rate is taken between the answers."""
        with self._lock:
            phase: Phase = "download" if self._fetched < self._total else "verify"
            done = self._fetched if phase == "download" else self._verified
            if phase != self._phase:
                self._phase = phase
                self._samples.clear()
            now = self._clock()
            self._samples.append((now, done))
            while now - self._samples[0][0] > _WINDOW and len(self._samples) > 2:
                self._samples.popleft()
            began, before = self._samples[0]
            rate = max(0.0, (done - before) / (now - began)) if now > began else 0.0
            eta = (self._total - done) / rate if rate else None
            return Progress(phase, done, self._total, rate, eta, self._file)
