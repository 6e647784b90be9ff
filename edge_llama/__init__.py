"""Llama 3.1 on a machine without a GPU.

The public names are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edge_llama.chat.completion import ChatCompletion
    from edge_llama.chat.embedding import Embedding
    from edge_llama.chat.events import (
        Finished,
        PromptScored,
        Started,
        TextDelta,
        ToolCallDelta,
        ToolCallStarted,
        Usage,
    )
    from edge_llama.chat.grammar.json_schema import json_schema_grammar
    from edge_llama.chat.messages import ChatRequest, Message, Role, TextRequest, ToolCall
    from edge_llama.chat.model import ChatModel
    from edge_llama.chat.tools.tool import Tool, ToolChoice
    from edge_llama.engine.client.async_engine import AsyncEngine, EngineState
    from edge_llama.engine.protocol.grammar import CFG, JSONSchema, Regex
    from edge_llama.engine.protocol.model_info import ModelInfo
    from edge_llama.engine.protocol.output import FinishReason, Output, PromptRead
    from edge_llama.engine.protocol.prompt import Control, Text, Tokens
    from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest, ServiceTier
    from edge_llama.engine.protocol.sampling_params import SamplingParams
    from edge_llama.errors import (
        ContextLengthExceeded,
        DoesNotFit,
        EdgeLlamaError,
        EngineDied,
        EngineError,
        EngineStartError,
        EngineUnavailable,
        HubUnavailable,
        InvalidValue,
        ModelFileError,
        RequestError,
        RequestTimedOut,
        SettingsError,
        TemplateError,
        UnknownModel,
        WeightsError,
    )
    from edge_llama.planning.locate import resolve_model
    from edge_llama.planning.plan import plan
    from edge_llama.planning.planned import Planned
    from edge_llama.settings.engine import CacheSettings, EngineSettings
    from edge_llama.settings.server import ServerSettings

_HOMES = {
    "chat.completion": ["ChatCompletion"],
    "chat.embedding": ["Embedding"],
    "chat.events": [
        "Finished",
        "PromptScored",
        "Started",
        "TextDelta",
        "ToolCallDelta",
        "ToolCallStarted",
        "Usage",
    ],
    "chat.grammar.json_schema": ["json_schema_grammar"],
    "chat.messages": ["ChatRequest", "Message", "Role", "TextRequest", "ToolCall"],
    "chat.model": ["ChatModel"],
    "chat.tools.tool": ["Tool", "ToolChoice"],
    "engine.client.async_engine": ["AsyncEngine", "EngineState"],
    "engine.protocol.grammar": ["CFG", "JSONSchema", "Regex"],
    "engine.protocol.model_info": ["ModelInfo"],
    "engine.protocol.output": ["FinishReason", "Output", "PromptRead"],
    "engine.protocol.prompt": ["Control", "Text", "Tokens"],
    "engine.protocol.request": ["GenerationOptions", "GenerationRequest", "ServiceTier"],
    "engine.protocol.sampling_params": ["SamplingParams"],
    "errors": [
        "ContextLengthExceeded",
        "DoesNotFit",
        "EdgeLlamaError",
        "EngineDied",
        "EngineError",
        "EngineStartError",
        "EngineUnavailable",
        "HubUnavailable",
        "InvalidValue",
        "ModelFileError",
        "RequestError",
        "RequestTimedOut",
        "SettingsError",
        "TemplateError",
        "UnknownModel",
        "WeightsError",
    ],
    "planning.locate": ["resolve_model"],
    "planning.plan": ["plan"],
    "planning.planned": ["Planned"],
    "settings.engine": ["CacheSettings", "EngineSettings"],
    "settings.server": ["ServerSettings"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CFG",
    "AsyncEngine",
    "CacheSettings",
    "ChatCompletion",
    "ChatModel",
    "ChatRequest",
    "ContextLengthExceeded",
    "Control",
    "DoesNotFit",
    "EdgeLlamaError",
    "Embedding",
    "EngineDied",
    "EngineError",
    "EngineSettings",
    "EngineStartError",
    "EngineState",
    "EngineUnavailable",
    "FinishReason",
    "Finished",
    "GenerationOptions",
    "GenerationRequest",
    "HubUnavailable",
    "InvalidValue",
    "JSONSchema",
    "Message",
    "ModelFileError",
    "ModelInfo",
    "Output",
    "Planned",
    "PromptRead",
    "PromptScored",
    "Regex",
    "RequestError",
    "RequestTimedOut",
    "Role",
    "SamplingParams",
    "ServerSettings",
    "ServiceTier",
    "SettingsError",
    "Started",
    "TemplateError",
    "Text",
    "TextDelta",
    "TextRequest",
    "Tokens",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStarted",
    "ToolChoice",
    "UnknownModel",
    "Usage",
    "WeightsError",
    "__version__",
    "json_schema_grammar",
    "plan",
    "resolve_model",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
