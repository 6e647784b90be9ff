"""What a model may call, and whether it must."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

SEARCHES = ("brave_search", "wolfram_alpha")
CODE_INTERPRETER = "code_interpreter"
BUILTIN_TOOLS = (*SEARCHES, CODE_INTERPRETER)
"""Tools that Llama 3.1 knows without a definition."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call.

    Attributes:
        definition: OpenAI's tool object, key order as the client sent it; it goes into the prompt.
        schema_path: where the request's tool has the schema of the arguments, for errors.
    """

    definition: dict[str, Any]
    schema_path: str = "function.parameters"

    @property
    def name(self) -> str:
        name: str = self.definition["function"]["name"]
        return name

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return self.definition["function"].get("parameters") or {}

    @property
    def strict(self) -> bool:
        """All of the schema is enforced, or the request refused."""
        return self.definition["function"].get("strict") is True


class CallMode(str, Enum):
    """Whether the model may, or must, call a tool."""

    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What the model may do with its tools.

    Attributes:
        mode: whether it calls any.
        names: the tools it may call; None is all of them.
        parallel: it may call several in one answer.
    """

    mode: CallMode = CallMode.AUTO
    names: frozenset[str] | None = None
    parallel: bool = True

    def allows(self, name: str) -> bool:
        return self.names is None or name in self.names
