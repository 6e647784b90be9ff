"""EngineProcess: one run of the engine's child process, seen from asyncio."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import msgspec

from edge_llama.engine.protocol.frames import FrameDecoder, encode_frame
from edge_llama.engine.protocol.wire import Command, Event, LoadModel
from edge_llama.process.child import environment_without_secrets, module_command
from edge_llama.settings.engine import EngineSettings

UNKNOWN_EXIT = 255
"""What asyncio reports too when it could not learn a child's exit code."""

STOP_TIMEOUT = 5.0
"""Seconds that the child has to end after its stdin was closed."""


class EngineProcess(asyncio.SubprocessProtocol):
    """Talks to the child over its pipes.

    Args:
        on_event: called with every event of the child.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._frames = FrameDecoder()
        self._decoder = msgspec.msgpack.Decoder(Event)
        self._encoder = msgspec.msgpack.Encoder()
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @classmethod
    async def spawn(
        cls, settings: EngineSettings, on_event: Callable[[Event], None]
    ) -> EngineProcess:
        """Start the child and tell it what to load."""
        load = encode_frame(msgspec.msgpack.encode(LoadModel(settings)))
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        _, protocol = await loop.subprocess_exec(
            lambda: cls(on_event),
            *module_command("edge_llama.engine.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if sys.stderr else subprocess.DEVNULL,
            env=environment_without_secrets(),
            **options,
        )
        protocol._write(load)
        return protocol

    @property
    def pid(self) -> int:
        assert self._transport is not None
        return self._transport.get_pid()

    @property
    def alive(self) -> bool:
        return not self._exit.done()

    async def wait(self) -> int:
        """Wait for the child's end; its exit code."""
        return await asyncio.shield(self._exit)

    def send(self, command: Command) -> None:
        """Send a command; dropped if the child is gone."""
        self._write(encode_frame(self._encoder.encode(command)))

    async def stop(self) -> None:
        """End the child: close its stdin, and kill it if that does not help."""
        if self._stdin is not None:
            self._stdin.close()
        try:
            await asyncio.wait_for(self.wait(), STOP_TIMEOUT)
        except asyncio.TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        if self._transport is not None and self.alive:
            self._transport.kill()

    def _write(self, frame: bytes) -> None:
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        for payload in self._frames.feed(data):
            self._on_event(self._decoder.decode(payload))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio calls this when the child has ended and its pipes are drained."""
        assert self._transport is not None
        code = self._transport.get_returncode()
        self._transport.close()
        if self.alive:
            self._exit.set_result(UNKNOWN_EXIT if code is None else code)


ILLEGAL_INSTRUCTION = (-4, 0xC000001D)
"""Exit codes: minus SIGILL on POSIX, STATUS_ILLEGAL_INSTRUCTION on Windows."""

CRASHES = (-6, -7, -8, -10, -11, 0xC0000005, 0xC0000409)
"""Exit codes of native code that gave up: aborts and invalid accesses."""


def was_killed(code: int) -> bool:
    """Whether somebody else ended the child, such as Linux when memory is short."""
    return code < 0 and code not in (*CRASHES, *ILLEGAL_INSTRUCTION)


def describe_exit(code: int) -> str:
    """Why the child ended, and what to do about it if that is known."""
    if code in ILLEGAL_INSTRUCTION:
        return (
            "The engine process was stopped by an illegal instruction: llama-cpp-python was built "
            "for another CPU. Build it here: "
            "`pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python "
            "llama-cpp-python`"
        )
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        return f"The engine process was stopped by signal {-code} ({name})."
    return f"The engine process ended with code {code}."
