"""Llama 3.1 on a machine without a GPU.

The public names are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edge_llama.chat.completion import ChatCompletion
    from edge_llama.chat.events import (
        Finished,
        Started,
        TextDelta,
        ToolCallDelta,
        ToolCallStarted,
        Usage,
    )
    from edge_llama.chat.grammar.json_schema import json_schema_grammar
    from edge_llama.chat.messages import ChatRequest, Message, Role, ToolCall
    from edge_llama.chat.model import ChatModel
    from edge_llama.chat.tools.tool import Tool, ToolChoice
    from edge_llama.engine.client.async_engine import AsyncEngine, EngineState
    from edge_llama.engine.protocol.model_info import ModelInfo
    from edge_llama.engine.protocol.output import FinishReason
    from edge_llama.engine.protocol.request import GenerationRequest
    from edge_llama.engine.protocol.sampling_params import SamplingParams
    from edge_llama.errors import EdgeLlamaError
    from edge_llama.planning.locate import resolve_model
    from edge_llama.settings.engine import EngineSettings
    from edge_llama.settings.server import ServerSettings

_HOMES = {
    "chat.completion": ["ChatCompletion"],
    "chat.events": [
        "Finished",
        "Started",
        "TextDelta",
        "ToolCallDelta",
        "ToolCallStarted",
        "Usage",
    ],
    "chat.grammar.json_schema": ["json_schema_grammar"],
    "chat.messages": ["ChatRequest", "Message", "Role", "ToolCall"],
    "chat.model": ["ChatModel"],
    "chat.tools.tool": ["Tool", "ToolChoice"],
    "engine.client.async_engine": ["AsyncEngine", "EngineState"],
    "engine.protocol.model_info": ["ModelInfo"],
    "engine.protocol.output": ["FinishReason"],
    "engine.protocol.request": ["GenerationRequest"],
    "engine.protocol.sampling_params": ["SamplingParams"],
    "errors": ["EdgeLlamaError"],
    "settings.engine": ["EngineSettings"],
    "settings.server": ["ServerSettings"],
    "weights.locate": ["resolve_model"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncEngine",
    "ChatCompletion",
    "ChatModel",
    "ChatRequest",
    "EdgeLlamaError",
    "EngineSettings",
    "EngineState",
    "FinishReason",
    "Finished",
    "GenerationRequest",
    "Message",
    "ModelInfo",
    "Role",
    "SamplingParams",
    "ServerSettings",
    "Started",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStarted",
    "ToolChoice",
    "Usage",
    "__version__",
    "json_schema_grammar",
    "resolve_model",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
