from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from edge_llama.chat.events import ChatEvent, Finished, Started, TextDelta, Usage
from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.cli.chat.partner import Partner
from edge_llama.cli.chat.session import HELP, ChatSession
from edge_llama.cli.terminal.interrupt import InterruptibleLoop
from edge_llama.cli.terminal.screen import Screen
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import ContextLengthExceeded, EngineDied


class FakeCompletion:
    """Streams the last message back word by word; `hang` never ends, `die` breaks."""

    def __init__(self, text: str, reason: FinishReason) -> None:
        self.text = text
        self.reason = reason
        self.left = False
        self.usage = Usage(prompt_tokens=5, completion_tokens=0, cached_tokens=0)

    async def __aenter__(self) -> FakeCompletion:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.left = True

    async def __aiter__(self) -> AsyncIterator[ChatEvent]:
        yield Started(0)
        for word in self.text.split(" "):
            if word == "HANG":
                await asyncio.sleep(0)
                raise asyncio.CancelledError
            if word == "DIE":
                raise EngineDied("The engine stopped.")
            tokens = self.usage.completion_tokens + 1
            self.usage = Usage(prompt_tokens=5, completion_tokens=tokens, cached_tokens=0)
            yield TextDelta(0, word + " ")
        yield Finished(0, self.reason)


class FakePartner:
    """Answers `echo: ` and the last message."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.completions: list[FakeCompletion] = []
        self.reason = FinishReason.STOP
        self.interrupted = False

    async def ready(self) -> None:
        await asyncio.sleep(0)

    async def start(self, request: ChatRequest) -> FakeCompletion:
        text = request.messages[-1].content
        if self.interrupted:
            self.interrupted = False
            raise asyncio.CancelledError
        if "TOO LONG" in text:
            raise ContextLengthExceeded(64, 99)
        self.requests.append(request)
        self.completions.append(FakeCompletion(f"echo: {text}", self.reason))
        return self.completions[-1]


class Terminal:
    """Runs a session over scripted lines; an exception among them is raised by the prompt."""

    def __init__(self, interactive: bool = True) -> None:
        self.model = FakePartner()
        self.interactive = interactive
        self.prompts: list[str] = []

    def talk(self, *lines: str | BaseException, **options: Any) -> ChatSession:
        script: Iterator[str | BaseException] = iter(lines)

        def read(prompt: str) -> str:
            self.prompts.append(prompt)
            line = next(script, EOFError())
            if isinstance(line, BaseException):
                raise line
            return line

        with InterruptibleLoop() as loop:
            session = ChatSession(
                cast("Partner", self.model),
                loop,
                Screen(self.interactive),
                name="demo",
                read=read,
                **options,
            )
            session.run()
        return session


def user(text: str) -> Message:
    return Message(Role.USER, text)


def assistant(text: str) -> Message:
    return Message(Role.ASSISTANT, text)


def test_the_conversation_grows() -> None:
    terminal = Terminal()
    session = terminal.talk("one", "", "  two  ")
    assert [request.messages for request in terminal.model.requests] == [
        (user("one"),),
        (user("one"), assistant("echo: one "), user("two")),
    ]
    assert session.turns[-1] == assistant("echo: two ")


def test_a_pipe_gets_answers_only(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(interactive=False).talk("one", "/reset", "two")
    assert capsys.readouterr() == ("echo: one \necho: two \n", "")


def test_a_terminal_gets_the_speed_too(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().talk("one two")
    out = capsys.readouterr().out
    assert "echo: one two \n" in out
    assert "3 tokens · " in out
    assert " tokens/s · first after 0.0" in out


def test_sampling_reaches_the_model() -> None:
    terminal = Terminal()
    terminal.talk("hi", sampling=SamplingParams(temperature=0))
    assert terminal.model.requests[0].options.sampling == SamplingParams(temperature=0)


def test_reset_keeps_the_system_message() -> None:
    terminal = Terminal()
    terminal.talk("one", "/reset", "two", system="Be brief.")
    assert terminal.model.requests[1].messages == (
        Message(Role.SYSTEM, "Be brief."),
        user("two"),
    )


def test_system_is_set_and_removed() -> None:
    terminal = Terminal()
    terminal.talk("/system Shout.", "one", "/system", "/reset", "two")
    assert terminal.model.requests[0].messages[0] == Message(Role.SYSTEM, "Shout.")
    assert terminal.model.requests[1].messages == (user("two"),)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    session = Terminal().talk("/help")
    assert HELP in capsys.readouterr().out
    assert all(command in HELP for command in session._commands)


def test_exit_ends_it() -> None:
    terminal = Terminal()
    terminal.talk("/exit", "one")
    assert terminal.model.requests == []


def test_an_unknown_command_is_told_and_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.talk("/rest", "/etc/hosts is what?")
    out = capsys.readouterr().out
    assert "There is no command /rest. /help lists them." in out
    assert "There is no command /etc/hosts." in out
    assert terminal.model.requests == []


def test_a_space_makes_a_slash_text() -> None:
    terminal = Terminal()
    terminal.talk(" /etc/hosts is what?")
    assert terminal.model.requests[0].messages == (user("/etc/hosts is what?"),)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['"""one', "/two", '"""'], "one\n/two"),
        (['"""', "one", 'two"""'], "one\ntwo"),
        (['"""one"""'], "one"),
        (['"""one', "two"], "one\ntwo"),
    ],
)
def test_several_lines_are_one_message(lines: list[str], message: str) -> None:
    terminal = Terminal()
    terminal.talk(*lines)
    assert terminal.model.requests[0].messages == (user(message),)


def test_a_paste_that_begins_with_a_path_is_a_message() -> None:
    terminal = Terminal()
    terminal.talk("/etc/hosts:\n127.0.0.1 localhost", "/system Be\nbrief.", "one")
    assert terminal.model.requests[0].messages == (user("/etc/hosts:\n127.0.0.1 localhost"),)
    assert terminal.model.requests[1].messages[0] == Message(Role.SYSTEM, "Be\nbrief.")


def test_save_writes_a_request_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "talk.json"
    Terminal().talk("Grüße", f"/save {path}", "more", f"/save {path}", system="Be brief.")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "model": "demo",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Grüße"},
            {"role": "assistant", "content": "echo: Grüße "},
        ],
    }
    out = capsys.readouterr().out
    assert f"Saved to {path}." in out
    assert f"{path} exists already." in out


def test_save_complains_of_a_bad_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().talk("/save", f"/save {tmp_path / 'no' / 'folder'}")
    out = capsys.readouterr().out
    assert "Give a file name" in out
    assert "cannot be written" in out


def test_an_interrupted_answer_stays_in_the_conversation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal()
    terminal.talk("a HANG b", "more")
    assert terminal.model.completions[0].left
    assert terminal.model.requests[1].messages == (
        user("a HANG b"),
        assistant("echo: a "),
        user("more"),
    )
    assert "stopped" in capsys.readouterr().out


def test_an_interrupt_in_a_pipe_ends_the_program() -> None:
    with pytest.raises(KeyboardInterrupt):
        Terminal(interactive=False).talk("a HANG b", "more")


def test_an_interrupt_before_the_first_word_forgets_the_question() -> None:
    terminal = Terminal()
    terminal.model.interrupted = True
    terminal.talk("one", "two")
    assert [request.messages[-1] for request in terminal.model.requests] == [user("two")]


def test_two_interrupts_at_the_prompt_leave(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.talk(KeyboardInterrupt(), "one", KeyboardInterrupt(), KeyboardInterrupt(), "two")
    assert [request.messages[-1] for request in terminal.model.requests] == [user("one")]
    assert capsys.readouterr().out.count("Press Ctrl-C again to leave.") == 2


def test_a_failed_turn_is_told_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    session = terminal.talk("TOO LONG", "x DIE", "fine")
    out = capsys.readouterr().out
    assert "maximum context length is 64 tokens" in out
    assert "The engine stopped." in out
    assert session.turns == [user("fine"), assistant("echo: fine ")]


def test_a_failed_turn_ends_a_pipe() -> None:
    with pytest.raises(ContextLengthExceeded):
        Terminal(interactive=False).talk("TOO LONG", "more")


def test_a_full_context_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.model.reason = FinishReason.LENGTH
    terminal.talk("one")
    assert "cut off: the context is full" in capsys.readouterr().out
