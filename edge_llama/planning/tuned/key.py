"""TuneKey: the machine and the model that a choice is for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass
from importlib import metadata

from edge_llama.machine.cpus import Cpus, read_cpus
from edge_llama.machine.processor import cpu_name
from edge_llama.weights.memory.model_shape import ModelShape

LLAMA = "llama"
"""The architecture of models whose header was not read: the catalog has no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneKey:
    """What the speed of a model depends on. Models of one shape and quantization share a choice.

    Attributes:
        cpu: the processor's name.
        cpus: CPUs that this process may run on.
        quota: CPUs' worth of time that the control group grants; None if it does not limit it.
        llama_cpp: version of llama-cpp-python.
        architecture: llama.cpp's name of it.
        quantization: e.g. `Q4_K_M`.
    """

    cpu: str
    cpus: int
    quota: float | None
    llama_cpp: str
    architecture: str
    quantization: str
    layers: int
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    embedding_length: int
    feed_forward_length: int
    vocabulary: int

    @classmethod
    def of(cls, shape: ModelShape, cpus: Cpus | None = None) -> TuneKey:
        """The key of a model on this machine.

        Args:
            cpus: this machine's; None reads them.
        """
        cpus = cpus or read_cpus()
        return cls(
            cpu=cpu_name(),
            cpus=cpus.allowed,
            quota=cpus.quota,
            llama_cpp=metadata.version("llama-cpp-python"),
            architecture=shape.architecture or LLAMA,
            quantization=shape.quantization,
            layers=shape.layers,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            key_length=shape.key_length,
            value_length=shape.value_length,
            embedding_length=shape.embedding_length,
            feed_forward_length=shape.feed_forward_length,
            vocabulary=shape.vocabulary,
        )

    @property
    def filename(self) -> str:
        """Tells people what it is about, and keys apart."""
        digest = hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:12]
        quantization = re.sub(r"\W", "", self.quantization.lower())
        return f"{self.layers}x{self.embedding_length}-{quantization}-{digest}.json"
