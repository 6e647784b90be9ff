"""JinjaProcess: the parent's side of `jinja_worker`."""

from __future__ import annotations

import json
import threading
from typing import Any

from edge_llama.chat.template.jinja_worker import MEMORY_LIMIT, TIME_LIMIT
from edge_llama.errors import InvalidValue, TemplateError
from edge_llama.process.limited_child import LimitedChild


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
                self._child = self._start()
            return _ask(self._child, conversation)

    def _start(self) -> LimitedChild:
        child = LimitedChild("edge_llama.chat.template.jinja_worker")
        _ask(child, self._setup)
        return child


def _ask(child: LimitedChild, request: dict[str, Any]) -> str:
    line = child.ask(json.dumps(request).encode())
    if line is None:
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
