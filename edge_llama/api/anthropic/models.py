"""The served models as Anthropic's API tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from edge_llama.api.anthropic.shapes import AnthropicModel, AnthropicModelList
from edge_llama.pool.registry import ServedModel


def anthropic_model(model: ServedModel, name: str) -> AnthropicModel:
    """Anthropic's model object under the asked name."""
    created = datetime.fromtimestamp(model.created, timezone.utc)
    return {
        "type": "model",
        "id": name,
        "display_name": model.id,
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": model.context_length,
        "max_tokens": model.context_length,
    }


def anthropic_models(models: Iterable[ServedModel]) -> AnthropicModelList:
    """All of them on one page."""
    data = [anthropic_model(model, model.id) for model in models]
    return {
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": False,
    }
