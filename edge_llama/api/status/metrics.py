"""GET /metrics: what the engines do, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.state.app_state import state_of
from edge_llama.engine.protocol.stats import DiskStats, EngineStats
from edge_llama.pool.pooled_model import ModelState

if TYPE_CHECKING:
    from prometheus_client import Metric

Told: TypeAlias = dict[str, EngineStats]
"""By model; only of those that are running and answer."""

_COUNTERS = {
    "prompt_tokens": "Tokens of prompts that were computed.",
    "cached_tokens": "Tokens of prompts that were taken from the prefix cache.",
    "generated_tokens": "Tokens of output.",
}
_GAUGES = {
    "running": ("requests_running", "Sequences that are computed."),
    "waiting": ("requests_waiting", "Sequences that wait for a place."),
    "cells": ("kv_cache_tokens", "Tokens that fit into the KV cache."),
    "cells_used": ("kv_cache_used_tokens", "Tokens that the KV cache holds, for later too."),
    "cells_idle": ("kv_cache_idle_tokens", "Those of them that no running request uses."),
}
_DISK_COUNTERS = {
    "blocks_written": "Blocks written to the prefix cache on disk.",
    "bytes_written": "Bytes written to the prefix cache on disk.",
    "blocks_read": "Blocks read from the prefix cache on disk.",
    "bytes_read": "Bytes read from the prefix cache on disk.",
    "hit_tokens": "Tokens of prompts that were taken from the disk.",
}
_MISSES = ("hashing", "absent", "damaged", "slow", "no_room")


async def metrics(request: Request) -> Response:
    """Counts begin anew when a model is loaded; a model that is not loaded, or whose engine
    does not answer within a second, has only its state."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    models = state_of(request).registry
    asked = await asyncio.gather(*(model.pooled.stats() for model in models))
    told = {
        model.id: stats for model, stats in zip(models, asked, strict=True) if stats is not None
    }
    states = {model.id: model.state for model in models}
    registry = CollectorRegistry()
    registry.register(_Collector(told, states))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Collector:
    """Gives the figures of one moment."""

    def __init__(self, told: Told, states: dict[str, ModelState]) -> None:
        self._told = told
        self._states = states

    def collect(self) -> Iterable[Metric]:
        yield from _state(self._states)
        yield from _of_engines(self._told)
        yield from _of_disks(
            {model: stats.disk for model, stats in self._told.items() if stats.disk is not None}
        )


def _state(states: dict[str, ModelState]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    loaded = GaugeMetricFamily("edge_llama_loaded", "Whether a model is loaded.", labels=["model"])
    for model, state in states.items():
        loaded.add_metric([model], float(state is ModelState.LOADED))
    yield loaded


def _of_engines(told: Told) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for field, text in _COUNTERS.items():
        counter = CounterMetricFamily(f"edge_llama_{field}", text, labels=["model"])
        for model, stats in told.items():
            counter.add_metric([model], getattr(stats, field))
        yield counter
    for field, (name, text) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"edge_llama_{name}", text, labels=["model"])
        for model, stats in told.items():
            gauge.add_metric([model], getattr(stats, field))
        yield gauge


def _of_disks(told: dict[str, DiskStats]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for field, text in _DISK_COUNTERS.items():
        counter = CounterMetricFamily(f"edge_llama_disk_{field}", text, labels=["model"])
        for model, disk in told.items():
            counter.add_metric([model], getattr(disk, field))
        yield counter
    misses = CounterMetricFamily(
        "edge_llama_disk_misses",
        "Prompts, or their rest, that were not taken from the disk.",
        labels=["model", "reason"],
    )
    unsaved = GaugeMetricFamily(
        "edge_llama_disk_unsaved_blocks", "Blocks that are to be written.", labels=["model"]
    )
    for model, disk in told.items():
        unsaved.add_metric([model], disk.unsaved)
        for reason in _MISSES:
            misses.add_metric([model, reason], getattr(disk, reason))
    yield misses
    yield unsaved
