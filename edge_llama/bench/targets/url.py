"""A running server that speaks OpenAI's chat API, whoever made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from edge_llama.bench.load.client import Reply, play
from edge_llama.bench.load.http_client import HTTPClient, RequestRefused
from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.load.token_prompts import SAMPLING
from edge_llama.bench.load.words import WordRate, chat_message, random_words
from edge_llama.bench.targets.target import URL
from edge_llama.errors import EngineError, SettingsError

Message: TypeAlias = dict[str, str]

CALIBRATION_WORDS = (4, 36)

OPTIONAL = ("ignore_eos", "stream_options")
"""Fields that not every server knows; most ignore such, some refuse them."""


class URLTarget:
    """A server, fed with chats of random words.

    It counts the tokens itself, so two requests first find out how many a word takes.

    Args:
        url: where it is, with or without `/v1`.
        model: what to ask for; None takes the first of its list.
        key: sent as a Bearer token.
    """

    def __init__(
        self, url: str, model: str | None = None, key: str | None = None, name: str = URL
    ) -> None:
        self.name = name
        self.model = model or ""
        self._client = HTTPClient(url, key)
        self._optional: dict[str, Any] = {
            "ignore_eos": SAMPLING.ignore_eos,
            "stream_options": {"include_usage": True},
        }
        self._rate = WordRate(1.0, 0.0)

    async def __aenter__(self) -> URLTarget:
        self.model = self.model or await self.first_model()
        await self._learn_fields()
        few, many = CALIBRATION_WORDS
        self._rate = WordRate.between(
            (few, await self._prompt_tokens(few)), (many, await self._prompt_tokens(many))
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    async def first_model(self) -> str:
        """The id of the first model that the server lists.

        Raises:
            EngineError: the server does not answer.
            SettingsError: it does not list its models as OpenAI does.
        """
        try:
            listed = await self._client.get("/v1/models")
            return str(listed["data"][0]["id"])
        except (LookupError, TypeError, ValueError) as error:
            raise SettingsError(
                "The server does not list its models as OpenAI does. Name one with --url-model."
            ) from error

    async def run(self, load: Load, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineError: the server cannot be reached, or answered with an error.
        """
        return await play(self, load, seed)

    def system(self, n_tokens: int, seed: str) -> tuple[Message, ...]:
        text = random_words(self._rate.plain_words(n_tokens), seed)
        return ({"role": "system", "content": text},)

    def user(self, n_tokens: int, seed: str) -> tuple[Message, ...]:
        return ({"role": "user", "content": chat_message(self._rate.words(n_tokens), seed)},)

    async def ask(
        self,
        prompt: tuple[Message, ...],
        n_tokens: int,
        on_output: Callable[[], None],
        schema: str | None = None,
    ) -> Reply[Message]:
        body = {
            "model": self.model,
            "messages": list(prompt),
            "max_tokens": n_tokens,
            "temperature": SAMPLING.temperature,
            "top_p": SAMPLING.top_p,
            "stream": True,
            **self._optional,
        }
        if schema is not None:
            form = {"name": "answer", "strict": True, "schema": json.loads(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        usage: dict[str, Any] | None = None
        texts: list[str] = []
        async for event in self._client.events("/v1/chat/completions", body):
            usage = event.get("usage") or usage
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                if any(value for field, value in delta.items() if field != "role"):
                    on_output()
                    texts.append(delta.get("content") or "")
        if usage is None:
            raise EngineError("The server sent no usage, so its tokens cannot be counted.")
        details = usage.get("prompt_tokens_details") or {}
        return Reply(
            usage["prompt_tokens"],
            details.get("cached_tokens"),
            usage["completion_tokens"],
            ({"role": "assistant", "content": "".join(texts)},),
        )

    async def _learn_fields(self) -> None:
        """Leave out what this server refuses."""
        for field in OPTIONAL:
            if not await self._takes_requests():
                del self._optional[field]

    async def _takes_requests(self) -> bool:
        try:
            await self._prompt_tokens(1)
        except RequestRefused:
            return False
        return True

    async def _prompt_tokens(self, words: int) -> int:
        message = {"role": "user", "content": chat_message(words, f"calibration {words}")}
        return (await self.ask((message,), 1, lambda: None)).prompt_tokens
