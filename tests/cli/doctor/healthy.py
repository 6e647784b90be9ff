"""A machine on which nothing is wrong."""

from __future__ import annotations

from edge_llama.cli.doctor.diagnosis import (
    Diagnosis,
    Environment,
    Folder,
    LlamaCpp,
    ModelPlan,
    Versions,
)
from edge_llama.machine.cpus import Cpus, Threads
from edge_llama.machine.instructions import Comparison
from edge_llama.machine.memory import Memory
from edge_llama.weights.memory.memory_plan import MemorySummary

GB = 1_000_000_000

MODEL = ModelPlan(
    id="llama-3.1-8b-instruct",
    path="/models/llama.gguf",
    size=4_920_000_000,
    plan=MemorySummary(
        memory=6_100_000_000,
        weights=4_910_000_000,
        kv_cache=540_000_000,
        compute=400_000_000,
        process=250_000_000,
        ctx_size=4096,
        kv_type="f16",
        kv_layout="unified",
    ),
    refusal=None,
    speed="slow",
    tokens_per_second=2.44,
)

HEALTHY = Diagnosis(
    versions=Versions(
        edge_llama="0.1.0", python="3.12.1", llama_cpp_python="0.3.36", system="Linux x86_64"
    ),
    cpu="Fast CPU",
    cpus=Cpus(logical=16, allowed=16, quota=None, physical=8, performance=8),
    threads=Threads(decode=8, prefill=8, reason="one for each core"),
    llama_cpp=LlamaCpp("CPU", None, Comparison(("SSE3", "AVX2"), (), ())),
    memory=Memory(total=16 * GB, available=12 * GB, limit=None, gpu_limit=None),
    budget=10 * GB,
    swap_used=0,
    bandwidth=12.0 * GB,
    folders=(Folder("models", "/models", writable=True, free=100 * GB),),
    environment=Environment(
        hub_offline=False, hub_token=False, hub_endpoint=None, wait_policy=None
    ),
    models=(MODEL,),
)
