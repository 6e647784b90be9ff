"""The request body: size, content type, strict JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from edge_llama.api.errors import (
    BodyTooLarge,
    ClientDisconnected,
    InvalidJson,
    UnsupportedMediaType,
)
from edge_llama.units import format_limit

MAX_CONTAINERS = 10_000
"""Objects and lists of a body: each takes some 10 µs to check."""
MAX_KEYS = 65_536
"""Of all objects together; messages and JSON Schemas have two to four in each."""
MAX_VALUES = 262_144
"""Of all objects and lists together: twice the tokens of the longest context."""
MAX_DEPTH = 512
"""Objects and lists within each other: half of what Python's functions can follow."""
MAX_DIGITS = 400
"""Of a number: a double has up to 309 before the point, and more take ever longer to read."""

_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]|\xed[\xa0-\xbf]"
)
"""As an escape, or as bytes, which are no UTF-8."""

_PLACE = re.compile(r"\(byte (\d+)\)")
_NOT_UTF8 = "it is not UTF-8"
_REASONS = {
    "truncated": "it ends too early",
    "UTF-8": _NOT_UTF8,
    "trailing characters": "something follows the object",
    "object keys must be strings": "a key is not in double quotes",
    "unicode escape": "\\u must be followed by four hexadecimal digits",
    "escape": "a backslash is followed by a character that has no meaning there",
    "invalid number": "a number is not written as JSON has them",
    "expected": "a sign is missing, such as a comma, a colon or a bracket",
    "invalid character": "a character cannot stand where it is",
}
"""By what the parser says."""

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The request's body, said to be JSON; never more than `max_bytes` of it are held.

    Raises:
        BodyTooLarge: it is longer than `max_bytes`, whether declared so or sent in chunks.
        UnsupportedMediaType: its content type is not JSON, or it is compressed.
        ClientDisconnected: the client went away before the end.
    """
    _check_length(request.headers.get("content-length", ""), max_bytes)
    _check_media_type(request.headers.get("content-type", ""))
    _check_encoding(request.headers.get("content-encoding", ""))
    return await _read(request, max_bytes)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse strictly: UTF-8 without BOM, no NaN, no lone surrogates, no key twice, nothing after
    the object.

    Raises:
        InvalidJson: it is not JSON, not an object, or nested or sized beyond reason.
    """
    _check_size(body)
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise InvalidJson(f"The body is not valid JSON: {_NOT_UTF8}.") from None
    except msgspec.DecodeError as error:
        raise InvalidJson(f"The body is not valid JSON: {_reason(error, body)}.") from None
    if not isinstance(value, dict):
        raise InvalidJson("The body must be a JSON object.")
    _check_keys(body, value)
    return value


def _check_size(body: bytes) -> None:
    """What takes long to parse is refused before; what looks like it may stand in a string."""
    if _excess(body):
        excess = _excess(_without_strings(body))
        if excess:
            raise InvalidJson(f"The body has {excess}. Send less at once.")


def _excess(text: bytes) -> str | None:
    """What JSON without strings has too much of."""
    if text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} objects and lists"
    if text.count(b":") > MAX_KEYS:
        return f"more than {MAX_KEYS} keys"
    if text.count(b",") > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    if _LONG_NUMBER in text.translate(_ZEROS):
        return f"a number of more than {MAX_DIGITS} digits"
    return None


def _without_strings(body: bytes) -> bytes:
    """JSON without what stands between quotes."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2])


def _check_keys(body: bytes, value: Mapping[str, object]) -> None:
    """Another program might take the first of two equal keys, where this one takes the last.

    Each key has a colon, and of equal ones only one is in the parsed object.
    """
    keys = _count_keys(value)
    if keys != body.count(b":") and keys != _without_strings(body).count(b":"):
        raise InvalidJson("The body has an object with the same key twice.")


def _count_keys(value: Mapping[str, object]) -> int:
    """Of the object and all within it."""
    keys = depth = 0
    level: list[Any] = [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        inner: list[Any] = []
        for container in level:
            values = container
            if isinstance(container, dict):
                keys += len(container)
                values = container.values()
            inner += [entry for entry in values if isinstance(entry, (dict, list))]
        level = inner
    return keys


def _too_deep() -> InvalidJson:
    return InvalidJson("The body is not valid JSON: it is nested too deeply.")


def _reason(error: msgspec.DecodeError, body: bytes) -> str:
    """What is wrong, in words of ours: the parser's are for programmers of parsers."""
    if _LONE_SURROGATE.search(body):
        return "it has half of a surrogate pair. Send whole characters"
    text = str(error)
    place = f" (byte {found[1]})" if (found := _PLACE.search(text)) else ""
    for known, words in _REASONS.items():
        if known in text:
            return words + place
    return f"it has a fault{place}"


def _check_length(declared: str, max_bytes: int) -> None:
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > max_bytes):
        raise _too_large(max_bytes)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return
    if media_type.startswith("application/") and media_type.endswith("+json"):
        return
    raise UnsupportedMediaType(
        "The body must be JSON. Send the header 'Content-Type: application/json'."
    )


def _check_encoding(encoding: str) -> None:
    if encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("Send the body uncompressed.")


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        more = message.get("more_body", False)
    return bytes(body)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {format_limit(max_bytes)}. Send a smaller one.")
