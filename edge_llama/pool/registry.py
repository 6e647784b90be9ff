"""Which models are served, and under which names."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import edge_llama
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.errors import ModelNotFound, SettingsError
from edge_llama.pool.model_pool import ModelPool
from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.settings.pool import PoolSettings

_SHOWN_NAME_LENGTH = 100


@dataclass(frozen=True)
class ServedModel:
    """One model and the names it answers to.

    Attributes:
        id: its name in /v1/models.
        pooled: runs its completions, once it is loaded.
        aliases: other names for it.
        created: Unix time, seconds.
        planned_context: tokens of context that it is going to have, if known before it is loaded.
        file_quantization: e.g. `Q4_K_M`, if known before it is loaded.
        file_is_encoder: whether it only embeds texts, if known before it is loaded.
    """

    id: str
    pooled: PooledModel
    aliases: tuple[str, ...] = ()
    created: int = field(default_factory=lambda: int(time.time()))
    planned_context: int | None = None
    file_quantization: str | None = None
    file_is_encoder: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.id, *self.aliases)

    @property
    def state(self) -> ModelState:
        return self.pooled.state

    @property
    def info(self) -> ModelInfo | None:
        """As of the last time it was loaded; None before the first."""
        return self.pooled.info

    @property
    def context_length(self) -> int | None:
        return self.planned_context if self.info is None else self.info.n_ctx

    @property
    def quantization(self) -> str | None:
        return self.file_quantization if self.info is None else self.info.quantization

    @property
    def encoder(self) -> bool | None:
        return self.file_is_encoder if self.info is None else self.info.encoder

    @property
    def fingerprint(self) -> str:
        """OpenAI's `system_fingerprint`: changes when the same seed may give another text."""
        info = self.info
        parts = [edge_llama.__version__, self.id]
        if info is not None:
            parts += [info.name, info.quantization, str(info.size_bytes), str(info.n_ctx)]
        return f"fp_{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


class ModelRegistry:
    """Finds a served model by its id or an alias, in whatever case.

    Args:
        models: all that are served; the first is loaded when the server starts.
        settings: which of them stay loaded.

    Attributes:
        pool: gives leases of them.

    Raises:
        SettingsError: two models, or two aliases, have the same name, or a name is empty.
        DoesNotFit: a model needs more memory than may be used.
    """

    def __init__(self, models: Iterable[ServedModel], settings: PoolSettings | None = None) -> None:
        self._models = tuple(models)
        self._by_name: dict[str, ServedModel] = {}
        for model in self._models:
            for name in model.names:
                self._add(name, model)
        self.pool = ModelPool((model.pooled for model in self._models), settings)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models)

    def resolve(self, name: str) -> ServedModel:
        """The model of that id or alias.

        Raises:
            ModelNotFound: nothing has that name; the text says what is served.
        """
        try:
            return self._by_name[name.casefold()]
        except KeyError:
            served = ", ".join(model.id for model in self._models)
            raise ModelNotFound(
                f"The model '{name[:_SHOWN_NAME_LENGTH]}' is not served here. Served: {served}.",
                param="model",
            ) from None

    def _add(self, name: str, model: ServedModel) -> None:
        if not name.strip():
            raise SettingsError("A model's name or alias is empty.")
        if self._by_name.setdefault(name.casefold(), model) is not model:
            raise SettingsError(f"Two models are named '{name}'. Give one of them another name.")
