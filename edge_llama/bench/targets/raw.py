"""The raw loop: `llama_decode` and a sampler, with nothing around them.

It runs in a process of its own, so that it shares neither threads nor memory with what it is
compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from edge_llama.bench.load.load import Load, Request
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.load.token_prompts import SAMPLING, TokenPrompts
from edge_llama.bench.targets.target import RAW
from edge_llama.engine import binding
from edge_llama.engine.worker.loading import open_context, open_model, open_sampler
from edge_llama.errors import EdgeLlamaError, EngineDied
from edge_llama.settings.engine import EngineSettings


class _Sequence:
    """One request in the raw loop; its id is its number in the load."""

    def __init__(self, id: int, request: Request, prompt: tuple[int, ...]) -> None:
        self.id = id
        self.request = request
        self.waiting = prompt
        self.length = 0
        self.times: list[float] = []

    @property
    def done(self) -> bool:
        return len(self.times) == self.request.output_tokens

    def take(self, room: int) -> tuple[int, ...]:
        """The next tokens to compute."""
        taken, self.waiting = self.waiting[:room], self.waiting[room:]
        self.length += len(taken)
        return taken

    def stream(self) -> Stream:
        request = self.request
        return Stream(request.prompt_tokens, 0, len(self.times), request.delay, tuple(self.times))


class RawLoop:
    """The model and the context that the engine would make of the same settings.

    Attributes:
        context: where the sequences 0, 1, 2… of a load live while it runs.

    Raises:
        ModelFileError: the model cannot be loaded.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._model = open_model(settings)
        self.context = open_context(settings, self._model)
        self._batch = binding.Batch(settings.batch_size)
        vocab = self._model.vocab
        self._sampler = open_sampler(self._model, SAMPLING)
        self._prompts = TokenPrompts(vocab.n_tokens, list(vocab.control_tokens.values()))

    def run(self, load: Load, seed: int) -> list[Stream]:
        """Read the prompts that are there, in full batches; without one, decode all sequences."""
        sequences = [
            _Sequence(id, request, self._prompts.of(request.prompt_tokens, f"{seed}.{id}"))
            for id, request in enumerate(load.requests)
        ]
        start = time.perf_counter()
        while unfinished := [sequence for sequence in sequences if not sequence.done]:
            now = time.perf_counter() - start
            there = [sequence for sequence in unfinished if sequence.request.delay <= now]
            if there:
                self._step([each for each in there if not each.times] or there, start)
            else:
                time.sleep(min(sequence.request.delay for sequence in unfinished) - now)
        return [sequence.stream() for sequence in sequences]

    def close(self) -> None:
        """Free context and model."""
        self.context.close()
        self._model.close()

    def _step(self, sequences: list[_Sequence], start: float) -> None:
        self._batch.clear()
        outputs: list[tuple[_Sequence, int]] = []
        for sequence in sequences:
            position = sequence.length
            tokens = sequence.take(self._batch.size - self._batch.n_tokens)
            if tokens:
                whole = not sequence.waiting
                index = self._batch.add(tokens, position, sequence.id, n_outputs=int(whole))
                outputs += [(sequence, index)] * whole
        self._compute()
        for sequence, index in outputs:
            sequence.waiting = (self._sampler.sample(self.context.logits(index)),)
            sequence.times.append(time.perf_counter() - start)
            if sequence.done:
                self.context.remove(sequence.id)

    def _compute(self) -> None:
        status = self.context.decode(self._batch)
        if status is not binding.DecodeStatus.OK:
            raise binding.DecodeError(f"llama_decode returned {status.name}")


def serve_raw(connection: Connection, settings: EngineSettings) -> None:
    """The child's main: answers (load, seed) with streams until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    binding.init_backend()
    try:
        loop = RawLoop(settings)
    except EdgeLlamaError as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            load, seed = connection.recv()
        except EOFError:
            return
        connection.send(loop.run(load, seed))


class RawTarget:
    """The raw loop in its child process."""

    def __init__(self, settings: EngineSettings, name: str = RAW) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, self._theirs = context.Pipe()
        self._process = context.Process(
            target=serve_raw, args=(self._theirs, settings), name="edge-llama-raw", daemon=True
        )

    async def __aenter__(self) -> RawTarget:
        self._process.start()
        self._theirs.close()
        try:
            error = await self._receive()
            if isinstance(error, EdgeLlamaError):
                raise error
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # There is nothing to save, and a thread may be waiting for its answer.
        self._process.terminate()
        await asyncio.to_thread(self._process.join)
        self._connection.close()

    async def run(self, load: Load, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineDied: the child ended.
        """
        with contextlib.suppress(OSError):  # the child has ended; receiving tells how
            self._connection.send((load, seed))
        streams: list[Stream] = await self._receive()
        return streams

    async def _receive(self) -> Any:
        try:
            return await asyncio.to_thread(self._connection.recv)
        except EOFError:
            await asyncio.to_thread(self._process.join)
            raise EngineDied(
                f"The raw loop's process ended with code {self._process.exitcode}."
            ) from None
