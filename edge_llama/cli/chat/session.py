"""A conversation at the terminal: lines in, answers and slash commands out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.cli.chat.answer import Answer
from edge_llama.cli.chat.partner import Partner
from edge_llama.cli.flags import with_flags
from edge_llama.cli.terminal.interrupt import InterruptibleLoop
from edge_llama.cli.terminal.screen import Screen
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import EdgeLlamaError

HELP = '''\
/help          this list
/reset         forget the conversation, keep the system message
/system TEXT   set the system message; without TEXT, remove it
/save FILE     write the conversation as the JSON body of a chat completions request
/exit          leave, as Ctrl-D does
Ctrl-C stops an answer; twice at the prompt it leaves.
Pasted lines are one message. So is what stands between two """.
A space before a slash makes it text.'''
FENCE = '"""'
CUT_OFF = "cut off: the context is full"


class ChatSession:
    """One conversation with one model.

    Args:
        name: the model's id, for saved files.
        read: gives the next line for a prompt; raises EOFError at the end and KeyboardInterrupt.
    """

    def __init__(
        self,
        partner: Partner,
        loop: InterruptibleLoop,
        screen: Screen,
        *,
        name: str,
        read: Callable[[str], str],
        system: str = "",
        sampling: SamplingParams | None = None,
    ) -> None:
        self.name = name
        self.system = system
        self.turns: list[Message] = []
        self._partner = partner
        self._loop = loop
        self._screen = screen
        self._read = read
        self._sampling = sampling or SamplingParams()
        self._leaving = False
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/help": self._help,
            "/reset": self._reset,
            "/system": self._set_system,
            "/save": self._save,
            "/exit": self._exit,
        }

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation with its system message."""
        system = [Message(Role.SYSTEM, self.system)] if self.system else []
        return (*system, *self.turns)

    def run(self) -> None:
        """Until /exit, the end of the input, or a second Ctrl-C in a row at the prompt.

        Raises:
            EdgeLlamaError: a turn failed and nobody is there to react to it.
        """
        interrupted = False
        while not self._leaving:
            reading = True
            try:
                text = self._read_message()
                reading = interrupted = False
                self._handle(text)
            except EOFError:
                self._screen.end_line()
                break
            except KeyboardInterrupt:
                if not self._screen.interactive:
                    raise
                self._screen.end_line()
                if interrupted:
                    break
                interrupted = reading
                if reading:
                    self._screen.note("Press Ctrl-C again to leave.")

    def _read_message(self) -> str:
        line = self._read("> ")
        if not line.startswith(FENCE):
            return line
        lines = [line.removeprefix(FENCE)]
        with suppress(EOFError):
            while not lines[-1].rstrip().endswith(FENCE):
                lines.append(self._read("… "))
        lines[-1] = lines[-1].rstrip().removesuffix(FENCE)
        return " " + "\n".join(lines).strip("\n")

    def _handle(self, text: str) -> None:
        if not text.startswith("/"):
            if text.strip():
                self.ask(text.strip())
            return
        name, _, argument = text.partition(" ")
        command = self._commands.get(name)
        if command is None and "\n" in text:  # pasted
            self.ask(text.strip())
        elif command is None:
            self._screen.complain(f"There is no command {name}. /help lists them.")
        else:
            command(argument.strip())

    def ask(self, text: str) -> None:
        """Send a message, and show the answer.

        Raises:
            EdgeLlamaError: it failed, and nobody is there to react to it.
            KeyboardInterrupt: it was stopped, and nobody is there to go on.
        """
        question = Message(Role.USER, text)
        options = GenerationOptions(sampling=self._sampling)
        request = ChatRequest(messages=(*self.messages, question), options=options)
        answer = Answer()
        try:
            with self._screen.busy(""):
                self._loop.run(answer.stream(self._partner, request, self._screen.write))
        except KeyboardInterrupt:
            if not self._screen.interactive:
                raise
        except EdgeLlamaError as error:
            if not self._screen.interactive:
                raise
            self._screen.write("\n" if answer.text else "")
            self._screen.complain(with_flags(str(error)))
            return
        self._screen.write("\n")
        if answer.reason is FinishReason.LENGTH and not self._screen.interactive:
            self._screen.complain(f"The answer is {CUT_OFF}.")
        self._screen.note(" · ".join(filter(None, (answer.summary, _ending(answer)))) + "\n")
        if answer.reason is not None or answer.text:
            self.turns += [question, Message(Role.ASSISTANT, answer.text)]

    def _help(self, _: str) -> None:
        self._screen.note(HELP)

    def _reset(self, _: str) -> None:
        self.turns.clear()
        self._screen.note("The conversation is forgotten.")

    def _set_system(self, text: str) -> None:
        self.system = text
        self._screen.note("The system message is " + ("set." if text else "removed."))

    def _save(self, name: str) -> None:
        if not name:
            self._screen.complain("Give a file name: /save FILE.")
            return
        messages = [{"role": m.role.value, "content": m.content} for m in self.messages]
        body = json.dumps({"model": self.name, "messages": messages}, indent=2, ensure_ascii=False)
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(body + "\n")
        except FileExistsError:
            self._screen.complain(f"{name} exists already. Choose another name.")
        except (OSError, RuntimeError) as error:
            self._screen.complain(f"{name} cannot be written: {error}.")
        else:
            self._screen.note(f"Saved to {name}.")

    def _exit(self, _: str) -> None:
        self._leaving = True


def _ending(answer: Answer) -> str:
    if answer.reason is None:
        return "stopped"
    if answer.reason is FinishReason.LENGTH:
        return f"{CUT_OFF}, /reset empties it"
    return ""
