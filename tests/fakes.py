"""Stand-ins for the engine: outputs by script, no model, no process."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.output import (
    FinishReason,
    Output,
    PromptRead,
    ScoredToken,
    Timings,
)
from edge_llama.engine.protocol.prompt import Control, Prompt, Segment, Text, Tokens
from edge_llama.engine.protocol.request import GenerationRequest
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.protocol.wire import Tokenized
from edge_llama.errors import EngineDied, EngineUnavailable, InvalidValue, RequestError

LLAMA3_CONTROL_TOKENS = {
    "<|begin_of_text|>": 128000,
    "<|end_of_text|>": 128001,
    "<|finetune_right_pad_id|>": 128004,
    "<|start_header_id|>": 128006,
    "<|end_header_id|>": 128007,
    "<|eom_id|>": 128008,
    "<|eot_id|>": 128009,
    "<|python_tag|>": 128010,
}

EOT = 128009


def model_info(
    *,
    name: str = "fake",
    control_tokens: dict[str, int] = LLAMA3_CONTROL_TOKENS,
    chat_template: str = "",
    bos_token: str = "<|begin_of_text|>",
    eos_token: str = "<|eot_id|>",
    n_ctx: int = 2048,
    text_frame: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
    encoder: bool = False,
) -> ModelInfo:
    """A Llama 3.1 as the engine would describe it."""
    begin = (control_tokens[bos_token],) if bos_token in control_tokens else ()
    return ModelInfo(
        name=name,
        architecture="llama",
        description="llama fake F32",
        quantization="F32",
        n_params=1000,
        size_bytes=4000,
        n_ctx=n_ctx,
        n_ctx_train=n_ctx,
        n_vocab=128256,
        bos_token=bos_token,
        eos_token=eos_token,
        control_tokens=control_tokens,
        chat_template=chat_template,
        n_embd=4,
        text_frame=text_frame or (begin, ()),
        encoder=encoder,
    )


@dataclass(frozen=True)
class Script:
    """What the fake engine does with one request.

    Attributes:
        pieces: one token each; a str stands for its UTF-8 bytes.
        choices: pieces by choice, for requests with n > 1; empty gives every choice `pieces`.
        finish: STOP adds an end-of-generation token without bytes, LENGTH does not.
        prompt_tokens: None counts a token per control token and per four bytes of text.
        cached_tokens: as in `Output`.
        delay: seconds before every output.
        hang: after the pieces nothing more comes, until an abort.
        die: after the pieces the engine dies.
        refuse: raised by submit.
    """

    pieces: Sequence[str | bytes] = ("Hello", "!", " How can I", " help you", " today?")
    choices: Sequence[Sequence[str | bytes]] = ()
    finish: FinishReason = FinishReason.STOP
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    delay: float = 0.0
    hang: bool = False
    die: bool = False
    refuse: RequestError | None = None

    def pieces_of(self, index: int) -> Sequence[str | bytes]:
        return self.choices[index % len(self.choices)] if self.choices else self.pieces


class FakeEngine:
    """`AsyncEngine` without a process: the n-th request runs the n-th script, later ones the last.

    Attributes:
        submitted: every accepted request.
        generations: their generations, in the same order.
        launched, stopped: how often these were called.
        counts: what it says of itself.

    Args:
        loading: seconds until it is ready; for ever, if infinite.
        stopping: seconds that stopping takes.
        failure: raised when it should be ready.
    """

    def __init__(
        self,
        *scripts: Script,
        info: ModelInfo | None = None,
        state: EngineState = EngineState.READY,
        loading: float = 0.0,
        stopping: float = 0.0,
        failure: Exception | None = None,
    ) -> None:
        self.loading = loading
        self.stopping = stopping
        self.failure = failure
        self.scripts = list(scripts) or [Script()]
        self.state = state
        self.submitted: list[GenerationRequest] = []
        self.generations: list[FakeGeneration] = []
        self.launched = 0
        self.stopped = 0
        self.counts = EngineStats()
        self._info = info or model_info()
        self._made_up: dict[bytes, int] = {}

    @property
    def info(self) -> ModelInfo:
        return self._info

    def launch(self) -> None:
        self.launched += 1

    async def start(self) -> ModelInfo:
        self.launch()
        return await self.ready()

    async def ready(self) -> ModelInfo:
        await _pass(self.loading)
        if self.failure is not None:
            raise self.failure
        self._check_state()
        return self._info

    async def recovered(self) -> ModelInfo:
        return await self.ready()

    async def stop(self) -> None:
        self.state = EngineState.STOPPED
        await _pass(self.stopping)
        self.stopped += 1

    def _check_state(self) -> None:
        if self.state is not EngineState.READY:
            raise EngineUnavailable("The engine is not ready.")

    async def __aenter__(self) -> FakeEngine:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def tokenize(self, prompt: Prompt) -> Tokenized:
        """A token per control token and per four bytes of text; ids below 256 are bytes."""
        self._check_state()
        tokens = [token for segment in prompt for token in self._tokens(segment)]
        return Tokenized.of(0, (token for token, _ in tokens), dict(tokens).__getitem__)

    def _tokens(self, segment: Segment) -> Iterator[tuple[int, bytes]]:
        match segment:
            case Text(text):
                data = text.encode()
                for piece in (data[at : at + 4] for at in range(0, len(data), 4)):
                    yield self._made_up.setdefault(piece, 2000 + len(self._made_up)), piece
            case Control(spelling):
                yield self._info.control_tokens[spelling], b""
            case Tokens(ids):
                pieces = {token: piece for piece, token in self._made_up.items()}
                for token in ids:
                    if token in self._info.control_tokens.values():
                        yield token, b""
                    elif token < 256 or token in pieces:
                        yield token, pieces.get(token) or bytes([token])
                    else:
                        raise InvalidValue(f"{token} is not a token id.", param="prompt")

    async def stats(self) -> EngineStats:
        self._check_state()
        return self.counts

    async def submit(self, request: GenerationRequest) -> FakeGeneration:
        self._check_state()
        script = self.scripts[min(len(self.submitted), len(self.scripts) - 1)]
        if script.refuse is not None:
            raise script.refuse
        prompt = await self.tokenize(request.prompt)
        generation = FakeGeneration(script, request, prompt)
        self.submitted.append(request)
        self.generations.append(generation)
        return generation


class FakeEngines:
    """Makes an engine for each load of a pooled model.

    Attributes:
        made: all of them.

    Args:
        failures: what the first loads fail with; None lets one succeed, as all later ones do.
    """

    def __init__(
        self,
        *scripts: Script,
        loading: float = 0.0,
        stopping: float = 0.0,
        failures: Sequence[Exception | None] = (),
    ) -> None:
        self.made: list[FakeEngine] = []
        self.loading = loading
        self.stopping = stopping
        self._scripts = scripts
        self._failures = iter(failures)

    def __call__(self) -> FakeEngine:
        engine = FakeEngine(
            *self._scripts,
            loading=self.loading,
            stopping=self.stopping,
            failure=next(self._failures, None),
        )
        self.made.append(engine)
        return engine

    @property
    def running(self) -> int:
        """Engines that were launched and have not ended."""
        return sum(engine.launched > engine.stopped for engine in self.made)


class FakeGeneration:
    """`Generation` from a script: one token of every running choice in turn.

    Attributes:
        aborts: the arguments of every `abort`, in order.
        running: choices that are neither finished nor aborted.
    """

    def __init__(self, script: Script, request: GenerationRequest, prompt: Tokenized) -> None:
        self.aborts: list[int | None] = []
        self.running = set(range(request.options.n))
        self.prompt_tokens = (
            len(prompt.tokens) if script.prompt_tokens is None else script.prompt_tokens
        )
        self._script = script
        self._outputs = chain(
            _progress(request, self.prompt_tokens),
            _scores(request, prompt),
            _outputs(script, request),
        )
        self._aborted = asyncio.Event()

    def __aiter__(self) -> FakeGeneration:
        return self

    async def __anext__(self) -> Output:
        await asyncio.sleep(self._script.delay)
        for output in self._outputs:
            if output.index in self.running:
                if output.finish is not None:
                    self.running.discard(output.index)
                return output
        if self.running and self._script.die:
            raise EngineDied("The engine ended while the request was running.")
        while self.running:
            await self._aborted.wait()
            self._aborted.clear()
        raise StopAsyncIteration

    def abort(self, index: int | None = None) -> None:
        self.aborts.append(index)
        self.running -= self.running if index is None else {index}
        self._aborted.set()


def logprob(token: int, piece: bytes, n_top: int) -> ScoredToken:
    """What the fake engine tells about a token: it and the next ids are ever less likely."""
    top = [ScoredToken(token, piece, -0.5)]
    top += [ScoredToken(token + i, b"other%d" % i, -0.5 - i) for i in range(1, n_top)]
    return ScoredToken(token, piece, -0.5, tuple(top[:n_top]))


async def _pass(seconds: float) -> None:
    if seconds == math.inf:
        await asyncio.Event().wait()
    await asyncio.sleep(seconds)


def _progress(request: GenerationRequest, total: int) -> Iterator[Output]:
    """One before it in the queue, then half of the prompt, then all of it, if that is asked for."""
    if request.options.progress:
        for told in (
            PromptRead(total, 0, 0, 0.0, ahead=1),
            PromptRead(total, 0, total // 2, 50.0),
            PromptRead(total, 0, total, 100.0),
        ):
            yield Output(0, 0, (), (), Timings(1.0, 0.0, 0.0), progress=told)


def _scores(request: GenerationRequest, prompt: Tokenized) -> Iterator[Output]:
    """An output for each token of the prompt but the first, if they are asked for."""
    n_top = request.options.prompt_logprobs
    if n_top is None:
        return
    for token in prompt.tokens[1:]:
        entry = logprob(token, prompt.pieces[token], n_top)
        yield Output(0, 0, (), (), Timings(1.0, 0.0, 0.0), prompt_logprobs=(entry,))


def _outputs(script: Script, request: GenerationRequest) -> Iterator[Output]:
    """Round after round, one output of every choice that still has a token."""
    queues = [list(_choice(script, request, index)) for index in range(request.options.n)]
    for step in range(max(map(len, queues))):
        yield from (queue[step] for queue in queues if step < len(queue))


def _choice(script: Script, request: GenerationRequest, index: int) -> Iterator[Output]:
    tokens: list[tuple[int, bytes]] = [
        (1000 + position, piece.encode() if isinstance(piece, str) else piece)
        for position, piece in enumerate(script.pieces_of(index))
    ]
    options, finish = request.options, script.finish
    if finish is FinishReason.STOP:
        tokens.append((EOT, b""))
    if options.max_tokens == 0:
        data = struct.pack("<4f", 0.5, 0.5, -0.5, 0.5) if request.embeds else b""
        length = FinishReason.LENGTH
        yield Output(0, index, (), (), Timings(1.0, 20.0, 0.0), finish=length, embedding=data)
        return
    if options.max_tokens is not None and len(tokens) > options.max_tokens:
        tokens, finish = tokens[: options.max_tokens], FinishReason.LENGTH
    endless = script.hang or script.die
    for position, (token, piece) in enumerate(tokens):
        ends = position == len(tokens) - 1 and not endless
        if endless and token == EOT:
            return
        yield Output(
            id=0,
            index=index,
            tokens=(token,),
            pieces=(piece,),
            cached_tokens=script.cached_tokens,
            finish=finish if ends else None,
            timings=Timings(1.0, 20.0, 10.0 * position),
            logprobs=() if options.logprobs is None else (logprob(token, piece, options.logprobs),),
        )
