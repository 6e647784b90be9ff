"""The request body: size, content type, strict JSON."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import msgspec
from starlette.requests import Request

from edge_llama.api.errors import (
    BodyTooLarge,
    ClientDisconnected,
    InvalidJson,
    UnsupportedMediaType,
)
from edge_llama.config import ServerSettings

MAX_CONTAINERS = 10_000
"""Objects and lists of a body: each takes some 25 µs to check, in which nobody else is served."""
MAX_VALUES = 262_144
"""Of all objects and lists together: twice the tokens of the longest context."""
MAX_DIGITS = 400
"""Of a number: a double has up to 309 before the point, and more take ever longer to read."""

logger = logging.getLogger(__name__)

_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))


async def read_body(request: Request) -> dict[str, Any]:
    """The request's JSON object; the path's model, if it names one, replaces the object's.

    Raises:
        Exception: see `read_json`.
    """
    settings: ServerSettings = request.app.state.settings
    body = await read_json(request, settings.limits.max_body_bytes)
    if settings.log_prompts:
        logger.warning("%s %s: %s", request.state.request_id, request.url.path, json.dumps(body))
    if "model" in request.path_params:
        body["model"] = request.path_params["model"]
    return body


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """The JSON object in the request's body; never more than `max_bytes` of it are held.

    Raises:
        BodyTooLarge: it is longer than `max_bytes`, whether declared so or sent in chunks.
        UnsupportedMediaType: its content type is not JSON, or it is compressed.
        InvalidJson: see `parse_object`.
        ClientDisconnected: the client went away before the end.
    """
    _check_length(request.headers.get("content-length", ""), max_bytes)
    _check_media_type(request.headers.get("content-type", ""))
    _check_encoding(request.headers.get("content-encoding", ""))
    return parse_object(await _read(request, max_bytes))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse strictly: UTF-8 without BOM, no NaN, no lone surrogates, no key twice, nothing after
    the object.

    Raises:
        InvalidJson: it is not JSON, not an object, or nested or sized beyond reason.
    """
    _check_size(body)
    try:
        value = msgspec.json.decode(body)
        json.loads(body.decode(), object_pairs_hook=_check_keys)
    except RecursionError:
        raise InvalidJson("The body is not valid JSON: it is nested too deeply.") from None
    except UnicodeDecodeError:
        raise InvalidJson("The body is not valid JSON: it is not UTF-8.") from None
    except msgspec.DecodeError as error:
        raise InvalidJson(f"The body is not valid JSON: {_reason(error)}.") from None
    if not isinstance(value, dict):
        raise InvalidJson("The body must be a JSON object.")
    return value


def _check_size(body: bytes) -> None:
    """What takes long to parse is refused before; what looks like it may stand in a string."""
    if not (_is_manifold(body) or _LONG_NUMBER.search(body)):
        return
    bare = _without_strings(body)
    if _is_manifold(bare):
        raise InvalidJson(
            f"The body has more than {MAX_CONTAINERS} objects and lists, or {MAX_VALUES} values."
        )
    if _LONG_NUMBER.search(bare):
        raise InvalidJson(f"The body has a number of more than {MAX_DIGITS} digits.")


def _is_manifold(text: bytes) -> bool:
    return text.count(b"{") + text.count(b"[") > MAX_CONTAINERS or text.count(b",") > MAX_VALUES


def _without_strings(body: bytes) -> bytes:
    """JSON without what stands between quotes."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2])


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    """Another program might take the first of two, where this one takes the last."""
    if len(dict(pairs)) != len(pairs):
        raise InvalidJson("The body has an object with the same key twice.")


def _reason(error: msgspec.DecodeError) -> str:
    text = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
    return text[:1].lower() + text[1:]


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
    return BodyTooLarge(f"The body is larger than {max_bytes} bytes. Send a smaller one.")
