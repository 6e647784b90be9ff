"""How fast this machine reads weights: measured once and kept, so that every command says the same.

A moment's load halves what is measured; the figure is kept until the machine is another one.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_llama.errors import WeightsError
from edge_llama.files.durable import changing, write_whole
from edge_llama.machine.cpus import choose_threads, read_cpus
from edge_llama.machine.processor import cpu_name
from edge_llama.planning.tuned.store import default_tune_store

logger = logging.getLogger(__name__)

NAME = "machine.json"
"""In the folder of what tuning found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What the figure depends on."""

    cpu: str
    cpus: int
    quota: float | None
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    machine: _Machine
    bandwidth: float


def kept_bandwidth(folder: Path | None = None) -> float:
    """Bytes of weights that are likely to be read in a second, as `machine.bandwidth` tells.

    Takes a few tenths of a second the first time. Where nothing can be written, each time.

    Args:
        folder: where it is kept; None is the folder of what tuning found.
    """
    path = (folder or default_tune_store().root) / NAME
    cpus = read_cpus()
    threads = choose_threads(cpus).decode
    machine = _Machine(cpu=cpu_name(), cpus=cpus.allowed, quota=cpus.quota, threads=threads)
    with suppress(OSError, ValueError):
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        if record.machine == machine and record.bandwidth > 0:
            return record.bandwidth
    record = _Record(machine=machine, bandwidth=_measure(threads))
    try:
        with changing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, msgspec.json.format(msgspec.json.encode(record)))
    except WeightsError as error:
        logger.info("The speed of the memory is measured again next time: %s", error)
    return record.bandwidth


def _measure(threads: int) -> float:
    from edge_llama.machine.bandwidth import read_bandwidth

    return read_bandwidth(threads)
