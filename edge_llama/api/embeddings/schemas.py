"""EmbeddingRequest: the body of POST /v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, PlainValidator

from edge_llama.api.request.prompts import NamesIn, as_texts
from edge_llama.api.request.request_body import RequestBody
from edge_llama.api.request.validation import Count, Name, invalid
from edge_llama.chat.messages import TextOrIds
from edge_llama.engine.protocol.request import ServiceTier

MAX_INPUTS = 2048
"""OpenAI's limit."""


def _not_too_many(texts: tuple[TextOrIds, ...]) -> tuple[TextOrIds, ...]:
    if len(texts) > MAX_INPUTS:
        raise invalid(f"must have at most {MAX_INPUTS} entries.")
    if "" in texts:
        raise invalid("must not have an empty string.")
    return texts


class EmbeddingRequest(RequestBody):
    """OpenAI's request for embeddings."""

    harmless_values = {"truncate_prompt_tokens": ()}  # noqa: RUF012

    model: Name
    input: Annotated[
        tuple[TextOrIds, ...],
        PlainValidator(as_texts, json_schema_input_type=NamesIn),
        AfterValidator(_not_too_many),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None
    service_tier: Any = None

    @property
    def tier(self) -> ServiceTier:
        return ServiceTier.FLEX if self.service_tier == "flex" else ServiceTier.DEFAULT
