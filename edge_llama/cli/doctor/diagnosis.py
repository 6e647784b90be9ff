"""Diagnosis: what `edge-llama doctor` finds out about a machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_llama import __version__
from edge_llama.errors import DoesNotFit, EngineStartError, ModelFileError
from edge_llama.machine.cpus import Cpus, Threads, choose_threads, read_cpus
from edge_llama.machine.instructions import Comparison, built_for, compare, read_instructions
from edge_llama.machine.memory import Memory, default_budget, read_memory
from edge_llama.machine.processor import cpu_name
from edge_llama.planning.speed import MIN_ESTIMATED, Speed

if TYPE_CHECKING:
    from edge_llama.weights.memory.memory_plan import MemorySummary
    from edge_llama.weights.store.record import InstalledModel

Backend = Literal["CPU", "Metal", "GPU"]


@dataclass(frozen=True, slots=True)
class Versions:
    """What runs here.

    Attributes:
        system: e.g. `Linux x86_64`.
    """

    edge_llama: str
    python: str
    llama_cpp_python: str
    system: str


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The installed llama.cpp.

    Attributes:
        backend: what computes; None if it cannot be loaded.
        fault: why it cannot be loaded.
        instructions: the CPU's instruction sets against its own; None if it cannot be loaded.
    """

    backend: Backend | None
    fault: str | None
    instructions: Comparison | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that edge_llama writes to.

    Attributes:
        purpose: `models`, `cache` or `config`.
        path: it need not exist yet.
        writable: it, or the nearest folder above it that exists, can be written to.
        free: bytes free on its disk; None if that cannot be told.
    """

    purpose: str
    path: str
    writable: bool
    free: int | None


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables that change what edge_llama does.

    Attributes:
        hub_offline: HF_HUB_OFFLINE keeps it off the network.
        hub_token: HF_TOKEN has a token.
        hub_endpoint: host of HF_ENDPOINT, a mirror of the hub; None if it is not set.
        wait_policy: OMP_WAIT_POLICY, how llama.cpp's threads wait for each other.
        faults: what keeps models from being downloaded, a line for each variable.
    """

    hub_offline: bool
    hub_token: bool
    hub_endpoint: str | None
    wait_policy: str | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """An installed model.

    Attributes:
        id: the name it is served under.
        size: bytes of its files.
        plan: how it would run within the budget; None if it cannot.
        refusal: why it cannot run.
        damaged: whether that is because of its files.
        speed: `fast`, `steady` or `slow`, an estimate; None where there is no sound one: on a GPU,
            or for a very small model.
        tokens_per_second: the same as a number.
    """

    id: str
    path: str
    size: int
    plan: MemorySummary | None
    refusal: str | None
    speed: str | None
    tokens_per_second: float | None
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found.

    Attributes:
        cpu: the processor's name.
        budget: bytes that a model may take unless `--memory` says otherwise.
        swap_used: bytes.
        bandwidth: bytes of weights that are likely to be read in a second; an estimate.
    """

    versions: Versions
    cpu: str
    cpus: Cpus
    threads: Threads
    llama_cpp: LlamaCpp
    memory: Memory
    budget: int
    swap_used: int
    bandwidth: float
    folders: tuple[Folder, ...]
    environment: Environment
    models: tuple[ModelPlan, ...]


def diagnose() -> Diagnosis:
    """Look at this machine. Takes about a second and uses no network."""
    import psutil

    from edge_llama.planning.tuned.bandwidth import kept_bandwidth

    cpus, memory = read_cpus(), read_memory()
    threads, budget = choose_threads(cpus), default_budget(memory)
    llama_cpp, bandwidth = _llama_cpp(), kept_bandwidth()
    return Diagnosis(
        versions=Versions(
            edge_llama=__version__,
            python=platform.python_version(),
            llama_cpp_python=metadata.version("llama-cpp-python"),
            system=f"{platform.system()} {platform.machine()}",
        ),
        cpu=cpu_name(),
        cpus=cpus,
        threads=threads,
        llama_cpp=llama_cpp,
        memory=memory,
        budget=budget,
        swap_used=psutil.swap_memory().used,
        bandwidth=bandwidth,
        folders=_folders(),
        environment=_environment(),
        models=_models(budget, bandwidth if llama_cpp.backend == "CPU" else None),
    )


def _llama_cpp() -> LlamaCpp:
    from edge_llama.engine.client.build import read_build

    try:
        build = read_build()
    except EngineStartError as error:
        return LlamaCpp(None, str(error), None)
    gpu: Backend = "Metal" if sys.platform == "darwin" else "GPU"
    instructions = compare(read_instructions(), built_for(build.system_info))
    return LlamaCpp(gpu if build.gpu else "CPU", None, instructions)


def _folders() -> tuple[Folder, ...]:
    from edge_llama.cli.cache.disk_cache import cache_folder, open_folder
    from edge_llama.weights.catalog.catalog import user_catalog_file
    from edge_llama.weights.store.store import default_store

    return (
        _folder("models", default_store().root),
        _folder("config", user_catalog_file().parent),
        _folder("cache", open_folder(cache_folder(None), 0).path),
    )


def _folder(purpose: str, path: Path) -> Folder:
    # The functions of Path raise where a folder on the way may not be entered.
    nearest = next((each for each in (path, *path.parents) if os.path.exists(each)), None)  # noqa: PTH110
    if nearest is None or not os.path.isdir(nearest):  # noqa: PTH112
        return Folder(purpose, str(path), writable=False, free=None)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            writable = True
    except OSError:
        writable = False
    return Folder(purpose, str(path), writable, shutil.disk_usage(nearest).free)


def _environment() -> Environment:
    from edge_llama.weights.hub.environment import endpoint_host, environment_faults

    return Environment(
        hub_offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        hub_token=bool(os.environ.get("HF_TOKEN")),
        hub_endpoint=endpoint_host(),
        wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        faults=tuple(environment_faults()),
    )


def _models(budget: int, bandwidth: float | None) -> tuple[ModelPlan, ...]:
    from edge_llama.weights.store.store import default_store

    return tuple(_model(model, budget, bandwidth) for model in default_store().installed())


def _model(model: InstalledModel, budget: int, bandwidth: float | None) -> ModelPlan:
    from edge_llama.cli.flags import with_flags
    from edge_llama.cli.serve.serve import serve
    from edge_llama.planning.planned import plan_shape
    from edge_llama.settings.engine import CHOOSE_ALL
    from edge_llama.weights.memory.model_shape import ModelShape

    plan: MemorySummary | None = None
    refusal: str | None = None
    damaged = False
    speed: Speed | None = None
    try:
        shape = ModelShape.of_file(model.path)
        speed = _speed(shape.weight_bytes, bandwidth)
        plan = plan_shape(shape, CHOOSE_ALL, budget).memory.summary()
    except (DoesNotFit, ModelFileError) as error:
        refusal = with_flags(str(error), serve)
        damaged = isinstance(error, ModelFileError)
    return ModelPlan(
        id=model.id,
        path=str(model.path),
        size=model.size,
        plan=plan,
        refusal=refusal,
        speed=None if speed is None else speed.speed_class,
        tokens_per_second=None if speed is None else speed.tokens_per_second,
        damaged=damaged,
    )


def _speed(weight_bytes: int, bandwidth: float | None) -> Speed | None:
    if bandwidth is None or weight_bytes < MIN_ESTIMATED:
        return None
    return Speed(float(f"{bandwidth / weight_bytes:.2g}"))
