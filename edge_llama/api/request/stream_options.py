"""`stream_options`: what a stream tells besides the text."""

from __future__ import annotations

from edge_llama.api.request.validation import Schema


class StreamOptions(Schema):
    """What a stream tells besides the text.

    `include_usage` is OpenAI's last chunk, `continuous_usage_stats` vLLM's usage in every chunk.
    """

    include_usage: bool = False
    continuous_usage_stats: bool = False
