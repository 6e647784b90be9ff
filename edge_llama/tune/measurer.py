"""Measurer: has candidates measured, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from edge_llama.engine.client.process import ILLEGAL_INSTRUCTION, describe_exit
from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.process.child import module_command
from edge_llama.settings.engine import EngineSettings
from edge_llama.tune.measurement import WHOLE, Measurement, Scale
from edge_llama.tune.probe import Job
from edge_llama.tune.workload import Workload


class RuledOut(Exception):
    """A candidate cannot be used on this machine; the text says why, in a few words."""


class Measurer(Protocol):
    """What the tuner needs of `ChildMeasurer`."""

    def measure(self, candidate: Candidate, workload: Workload, limit: float) -> Measurement:
        """Measure a candidate.

        Args:
            limit: seconds after which it is given up.

        Raises:
            RuledOut: it cannot be measured.
        """
        ...


class ChildMeasurer:
    """Measures a model in child processes.

    Args:
        model: path of a GGUF, with all of its layers or only the first.
        scale: tells from the steps of the first what those of all take.
    """

    def __init__(self, model: str, scale: Scale = WHOLE) -> None:
        self._settings = EngineSettings(model=model)
        self._scale = scale

    def measure(self, candidate: Candidate, workload: Workload, limit: float) -> Measurement:
        """As `Measurer.measure`."""
        workload = replace(workload, longest_step=workload.longest_step / self._scale.layers)
        job = msgspec.json.encode(Job(candidate.apply(self._settings), workload))
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NO_WINDOW}
        try:
            done = subprocess.run(
                module_command("edge_llama.tune.probe"),
                input=job,
                capture_output=True,
                timeout=limit,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired:
            raise RuledOut(f"it took longer than {limit:.0f} s") from None
        if done.returncode != 0:
            raise RuledOut(_reason(done.returncode, done.stderr))
        return msgspec.json.decode(done.stdout, type=Measurement).scaled(self._scale)


def _reason(code: int, stderr: bytes) -> str:
    if code in ILLEGAL_INSTRUCTION:
        return "llama.cpp ran into an illegal instruction"
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if code == 1 and lines else describe_exit(code)
