"""Which models are served, and under which names."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import edge_llama
from edge_llama.chat.model import ChatModel
from edge_llama.engine.client import EngineState
from edge_llama.engine.messages import ModelInfo
from edge_llama.errors import EngineUnavailable, ModelNotFound, SettingsError

_SHOWN_NAME_LENGTH = 100


@dataclass(frozen=True)
class ServedModel:
    """One model and the names it answers to.

    Attributes:
        id: its name in /v1/models.
        chat: runs its completions.
        aliases: other names for it.
        created: Unix time, seconds.
    """

    id: str
    chat: ChatModel
    aliases: tuple[str, ...] = ()
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def names(self) -> tuple[str, ...]:
        return (self.id, *self.aliases)

    @property
    def state(self) -> EngineState:
        return self.chat.engine.state

    @property
    def info(self) -> ModelInfo | None:
        """None until the model was loaded for the first time."""
        try:
            return self.chat.engine.info
        except EngineUnavailable:
            return None

    @cached_property
    def fingerprint(self) -> str:
        """OpenAI's `system_fingerprint`: changes when the same seed may give another text.

        To be read once the model is loaded; what it was then, it stays.
        """
        info = self.info
        parts = [edge_llama.__version__, self.id]
        if info is not None:
            parts += [info.name, info.quantization, str(info.size_bytes), str(info.n_ctx)]
        return f"fp_{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


class ModelRegistry:
    """Finds a served model by its id or an alias.

    Raises:
        SettingsError: two models, or two aliases, have the same name, or a name is empty.
    """

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self._models = tuple(models)
        self._by_name: dict[str, ServedModel] = {}
        for model in self._models:
            for name in dict.fromkeys(model.names):
                self._add(name, model)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models)

    def resolve(self, name: str) -> ServedModel:
        """The model of that id or alias.

        Raises:
            ModelNotFound: nothing has that name; the text says what is served.
        """
        try:
            return self._by_name[name]
        except KeyError:
            served = ", ".join(self._by_name)
            raise ModelNotFound(
                f"The model '{name[:_SHOWN_NAME_LENGTH]}' is not served here. Served: {served}.",
                param="model",
            ) from None

    def _add(self, name: str, model: ServedModel) -> None:
        if not name.strip():
            raise SettingsError("A model's name or alias is empty.")
        if name in self._by_name:
            raise SettingsError(f"Two models are named '{name}'. Give one of them another name.")
        self._by_name[name] = model
