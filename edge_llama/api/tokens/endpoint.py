"""POST /tokenize and /detokenize, GET /tokenizer_info: as vLLM and llama.cpp's server have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, TypeAlias

import msgspec
from pydantic import Field, PlainValidator, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import Self, TypedDict

from edge_llama.api.chat_completions.schemas import Messages
from edge_llama.api.http.long_json import json_response
from edge_llama.api.reply.lease import first_model, model_of, with_model
from edge_llama.api.request.request_body import RequestBody, parse, read_request
from edge_llama.api.request.tools import (
    Choice,
    TemplateArguments,
    TemplateArgumentsField,
    Tools,
    as_tool,
    check_tools,
)
from edge_llama.api.request.validation import Name, invalid, missing, without_nul
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.model import ChatModel
from edge_llama.chat.tokens import Token, TokenRow
from edge_llama.chat.tools.tool import ToolChoice
from edge_llama.pool.registry import ServedModel

MAX_TOKEN_ID = 2**31 - 1

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "chat_template": (),
    "continue_final_message": (False,),
    "parse_special": (True,),
}


def _token_ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise invalid("must be a list of token ids.")
    if not all(type(entry) is int and 0 <= entry <= MAX_TOKEN_ID for entry in value):
        raise invalid("must have token ids as entries.")
    return tuple(value)


def _text_or_ids(value: Any) -> str | tuple[int, ...]:
    return without_nul(value) if isinstance(value, str) else _token_ids(value)


_TokenIds = list[Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]]
TextOrIds = Annotated[
    str | tuple[int, ...],
    PlainValidator(_text_or_ids, json_schema_input_type=str | _TokenIds),
]


class TokenizeRequest(RequestBody):
    """A text (vLLM's `prompt` or llama.cpp's `content`) or vLLM's `messages`, with their tools.

    A `prompt` gets the token that begins every prompt unless it asks for none, a `content` only if
    it asks for it; token ids and conversations are taken as they are.
    """

    harmless_values = _HARMLESS_VALUES

    model: Name | None = None
    prompt: TextOrIds | None = None
    content: TextOrIds | None = None
    messages: Messages = Field(default_factory=list)
    tools: Tools = Field(default_factory=list)
    tool_choice: Choice = ToolChoice()
    chat_template_kwargs: TemplateArgumentsField = TemplateArguments()
    add_special_tokens: bool = True
    add_special: bool = False
    return_token_strs: bool = False
    with_pieces: bool = False

    @model_validator(mode="after")
    def _has_one_text(self) -> Self:
        texts = ("prompt", "content", "messages")
        given = [name for name in texts if name in self.model_fields_set]
        if not given:
            raise missing("prompt")
        if len(given) > 1:
            raise invalid(
                "cannot be there twice: take prompt, content or messages.", field=given[1]
            )
        return self

    async def tokens(self, chat: ChatModel) -> TokenRow:
        """The tokens of what is asked for."""
        if self.messages:
            return await chat.tokenize_chat(self._conversation())
        if self.prompt is not None:
            return await chat.tokenize(self.prompt, bos=self.add_special_tokens)
        assert self.content is not None
        return await chat.tokenize(self.content, bos=self.add_special, field="content")

    def _conversation(self) -> ChatRequest:
        tools = tuple(as_tool(tool.function) for tool in self.tools)
        template = self.chat_template_kwargs.to_options()
        check_tools(tools, self.tool_choice, template.builtin_tools or ())
        return ChatRequest(
            messages=tuple(message.to_message() for message in self.messages),
            tools=tools,
            tool_choice=self.tool_choice,
            template=template,
        )


class DetokenizeRequest(RequestBody):
    """Token ids."""

    model: Name | None = None
    tokens: Annotated[tuple[int, ...], PlainValidator(_token_ids, json_schema_input_type=_TokenIds)]


class TokenPiece(TypedDict):
    """A token and its text; the bytes, if they are part of a character."""

    id: int
    piece: str | list[int]


class Tokenized(TypedDict):
    """`tokens` has ids, or with `with_pieces` objects."""

    count: int
    max_model_len: int
    tokens: list[int] | list[TokenPiece]
    token_strs: list[str] | None


class Detokenized(TypedDict):
    """The text under vLLM's name and llama.cpp's."""

    prompt: str
    content: str


class TokenizerInfo(TypedDict):
    """What there is to know of a tokenizer, under the names of Hugging Face's config file."""

    tokenizer_class: str
    bos_token: str | None
    eos_token: str | None
    add_bos_token: bool
    chat_template: str | None
    model_max_length: int
    vocab_size: int
    special_tokens: dict[str, int]


async def tokenize(request: Request) -> Response:
    asked = await read_request(request, partial(parse, TokenizeRequest))

    async def work(chat: ChatModel) -> Iterator[bytes]:
        return _tokenized(
            await asked.tokens(chat),
            chat.engine.info.n_ctx,
            _piece if asked.with_pieces else _id,
            _text if asked.return_token_strs else None,
        )

    return json_response(await with_model(request, _model(request, asked.model), work))


async def detokenize(request: Request) -> Response:
    asked = await read_request(request, partial(parse, DetokenizeRequest))

    async def work(chat: ChatModel) -> Iterator[bytes]:
        return _detokenized(await chat.tokenize(asked.tokens, field="tokens"))

    return json_response(await with_model(request, _model(request, asked.model), work))


async def tokenizer_info(request: Request) -> JSONResponse:
    name = request.path_params.get("model") or request.query_params.get("model")

    async def work(chat: ChatModel) -> TokenizerInfo:
        info = chat.engine.info
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": info.bos_token or None,
            "eos_token": info.eos_token or None,
            "add_bos_token": bool(info.bos_token),
            "chat_template": info.chat_template or None,
            "model_max_length": info.n_ctx,
            "vocab_size": info.n_vocab,
            "special_tokens": info.control_tokens,
        }

    return JSONResponse(await with_model(request, _model(request, name), work))


def _model(request: Request, name: str | None) -> ServedModel:
    return first_model(request) if name is None else model_of(request, name)


_Write: TypeAlias = Callable[[Token], bytes]
"""Writes a token as JSON."""


def _tokenized(
    tokens: TokenRow, n_ctx: int, token: _Write, string: _Write | None
) -> Iterator[bytes]:
    """The JSON of `Tokenized`, piece by piece."""
    yield b'{"count":%d,"max_model_len":%d,"tokens":' % (len(tokens), n_ctx)
    yield from _list(tokens, token)
    yield b',"token_strs":'
    if string is None:
        yield b"null"
    else:
        yield from _list(tokens, string)
    yield b"}"


def _list(tokens: TokenRow, write: _Write) -> Iterator[bytes]:
    before = b"["
    for part in tokens.parts():
        written = {token.id: write(token) for token in part.kinds()}
        yield before + b",".join(map(written.__getitem__, part.ids))
        before = b","
    yield b"]" if len(tokens) else b"[]"


def _id(token: Token) -> bytes:
    return b"%d" % token.id


def _text(token: Token) -> bytes:
    return msgspec.json.encode(token.spelled.decode(errors="replace"))


def _piece(token: Token) -> bytes:
    piece: TokenPiece = {
        "id": token.id,
        "piece": list(token.data) if token.text is None else token.text,
    }
    return msgspec.json.encode(piece)


def _detokenized(tokens: TokenRow) -> Iterator[bytes]:
    """The JSON of `Detokenized`, piece by piece."""
    for before in (b'{"prompt":"', b'","content":"'):
        yield before
        for text in tokens.texts():
            yield msgspec.json.encode(text)[1:-1]
    yield b'"}'
