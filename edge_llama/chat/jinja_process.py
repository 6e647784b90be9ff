"""JinjaProcess: the parent's side of `jinja_worker`."""

from __future__ import annotations

import json
import subprocess
import threading
import weakref
from typing import Any

from edge_llama.chat.jinja_worker import MEMORY_LIMIT, TIME_LIMIT
from edge_llama.child import environment_without_secrets, module_command
from edge_llama.errors import InvalidValue, TemplateError


class JinjaProcess:
    """Renders one template in a child process, one conversation at a time; safe for threads.

    A child that ran into a limit, or ended by itself, is replaced at the next rendering. The child
    ends with this object, and with this process in any case.

    Raises:
        TemplateError: the template cannot be compiled.
    """

    def __init__(self, template: str, bos_token: str, eos_token: str) -> None:
        self._setup = {"template": template, "bos_token": bos_token, "eos_token": eos_token}
        self._lock = threading.Lock()
        self._child = self._start()

    def render(self, conversation: dict[str, Any]) -> str:
        """Write a conversation: `messages`, `tools`, `mark`. Blocks for at most the time limit.

        Raises:
            InvalidValue: the template refused the conversation.
            TemplateError: the template failed or ran into a limit.
        """
        with self._lock:
            if not self._child.alive:
                self._end()
                self._child = self._start()
            return self._child.ask(conversation)

    def _start(self) -> _Child:
        child = _Child()
        self._end = weakref.finalize(self, child.end)
        child.ask(self._setup)
        return child


class _Child:
    def __init__(self) -> None:
        self._ended = False
        self._process = subprocess.Popen(
            module_command("edge_llama.chat.jinja_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment_without_secrets(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> str:
        line = self._exchange(json.dumps(request).encode() + b"\n")
        if not line.endswith(b"\n"):
            self.end()
            raise TemplateError(
                "The model's chat template did not finish within its limits of "
                f"{TIME_LIMIT:g} s and {MEMORY_LIMIT >> 20} MB."
            )
        answer = json.loads(line)
        if "refused" in answer:
            raise InvalidValue(
                f"The model's chat template refuses this conversation: {answer['refused']}",
                param="messages",
            )
        if "error" in answer:
            raise TemplateError(f"The model's chat template failed: {answer['error']}")
        return str(answer["text"])

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._process.kill()
            self._process.communicate()

    def _exchange(self, line: bytes) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(line)
            stdin.flush()
        except OSError:  # the child has ended
            return b""
        return stdout.readline()
