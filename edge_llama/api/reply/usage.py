"""The `usage` and `timings` fields of a reply."""

from __future__ import annotations

from typing import Any

from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import PromptRead, Usage
from edge_llama.chat.overflow import Dropped


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def usage_field(completion: ChatCompletion) -> dict[str, Any]:
    """The usage so far under that key."""
    return {"usage": usage_object(completion.usage)}


def progress_field(event: PromptRead) -> dict[str, Any]:
    """llama.cpp's `prompt_progress` under that key, and what is to be expected."""
    eta = event.eta_milliseconds
    return {
        "prompt_progress": {
            "total": event.total,
            "cache": event.cached,
            "processed": event.processed,
            "time_ms": round(event.milliseconds),
            "eta_ms": None if eta is None else round(eta),
            "queue_position": event.ahead,
        }
    }


def overflow_field(dropped: Dropped | None) -> dict[str, Any]:
    """What was left out of a conversation that was too long; nothing if it is whole."""
    if dropped is None:
        return {}
    told = {"dropped_messages": dropped.messages, "dropped_tokens": dropped.tokens}
    return {"context_overflow": told}


def timings_field(completion: ChatCompletion, n: int) -> dict[str, Any]:
    """llama.cpp's `timings` under that key; nothing with several choices, which share the time.

    Prompt counts leave out cached tokens. The first token belongs to the prompt's time, so the
    pace of the output is that of the tokens after it.
    """
    timings, usage = completion.timings, completion.usage
    if timings is None or n > 1:
        return {}
    computed = usage.prompt_tokens - usage.cached_tokens
    predicted = usage.completion_tokens
    return {
        "timings": {
            "cache_n": usage.cached_tokens,
            "prompt_n": computed,
            "prompt_ms": round(timings.prompt_ms, 3),
            "prompt_per_second": _per_second(computed, timings.prompt_ms),
            "predicted_n": predicted,
            "predicted_ms": round(timings.predicted_ms, 3),
            "predicted_per_second": _per_second(max(0, predicted - 1), timings.predicted_ms),
        }
    }


def _per_second(count: int, milliseconds: float) -> float:
    return round(1000 * count / milliseconds, 3) if milliseconds > 0 else 0.0
