"""The content of a message: a string, or parts of which each has text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from typing_extensions import TypedDict

from edge_llama.api.request.validation import TextIn, invalid, missing, unsupported, without_nul

MAX_MESSAGES = 30_000
"""More cannot fit: a message has at least five tokens, the longest context 131,072."""


class TextPart(TypedDict):
    type: Literal["text"]
    text: TextIn


class RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: TextIn


MEDIA_PARTS = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio", "file", "input_file"}
    | {"video_url", "input_video", "video", "document"}
)


def as_parts(content: Any) -> Any:
    """For a validator: content that is a string becomes a part of type `text`."""
    if isinstance(content, str):
        return [{"type": "text", "text": without_nul(content)}]
    if isinstance(content, list):
        return content
    raise invalid("must be a string or a list of text parts.")


def part_text(fields: Mapping[str, str]) -> Callable[[Any], Any]:
    """For a validator: the text of a content part.

    Args:
        fields: by the part's type, the field that has its text.
    """
    expected = " or ".join(f"'{kind}'" for kind in fields)
    example = next(iter(fields))

    def text_of(part: Any) -> Any:
        if not isinstance(part, dict):
            raise invalid(f'must be a part such as {{"type": "{example}", "text": "Hello"}}.')
        kind = part.get("type")
        if isinstance(kind, str) and kind in fields:
            return _string(part, fields[kind])
        if isinstance(kind, str) and kind in MEDIA_PARTS:
            raise unsupported(f"is of type '{kind}', but this model reads text only. Leave it out.")
        raise invalid(f"must be {expected}.", field="type")

    return text_of


def _string(part: Mapping[str, Any], field: str) -> str:
    text = part.get(field)
    if text is None:
        raise missing(field)
    if not isinstance(text, str):
        raise invalid("must be a string.", field=field)
    return text
