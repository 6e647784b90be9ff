from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import ChatEvent, Finished, Started, TextDelta, Usage
from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.chat.model import ChatModel
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import EngineDied
from tests.fakes import FakeEngine, Script

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


async def start(
    script: Script,
    *,
    n: int = 1,
    stop: tuple[str, ...] = (),
    logprobs: int | None = None,
    min_tokens: int = 0,
) -> tuple[ChatCompletion, FakeEngine]:
    engine = FakeEngine(script)
    request = ChatRequest(
        messages=(Message(Role.USER, "Hi"),),
        options=GenerationOptions(
            n=n, logprobs=logprobs, sampling=SamplingParams(min_tokens=min_tokens)
        ),
        stop=stop,
    )
    return await ChatModel(engine).start(request), engine


def merged(events: list[ChatEvent]) -> list[ChatEvent]:
    """The events of each choice, its text in one piece."""
    texts: dict[int, str] = {}
    result: list[ChatEvent] = []
    for event in events:
        if isinstance(event, TextDelta):
            texts[event.index] = texts.get(event.index, "") + event.text
        else:
            if isinstance(event, Finished) and event.index in texts:
                result.append(TextDelta(event.index, texts[event.index]))
            result.append(event)
    return result


async def test_a_choice_starts_gives_text_and_finishes() -> None:
    completion, engine = await start(Script(["Hel", "lo"], prompt_tokens=7, cached_tokens=5))
    assert completion.timings is None
    assert [event async for event in completion] == [
        Started(0),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        Finished(0, STOP),
    ]
    assert completion.usage == Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=5)
    assert completion.usage.total_tokens == 10
    assert completion.timings is not None
    assert completion.timings.prompt_ms == 20
    assert engine.generations[0].aborts == []


async def test_an_answer_that_a_stop_string_ended_has_timings() -> None:
    completion, _ = await start(Script(["a", "b", "END"], hang=True), stop=("END",))
    assert [event async for event in completion][-1] == Finished(0, STOP, "END")
    assert completion.timings is not None
    assert completion.timings.predicted_ms == 20


async def test_stop_strings_are_not_looked_for_before_min_tokens() -> None:
    completion, _ = await start(Script(["END", "EN", "D", "END", "x"]), stop=("END",), min_tokens=2)
    events = merged([event async for event in completion])
    assert events[1:] == [TextDelta(0, "ENDEND"), Finished(0, STOP, "END")]
    assert completion.usage.completion_tokens == 4


async def test_log_probabilities_come_with_their_text() -> None:
    wave = "👋".encode()
    script = Script(["a", wave[:2], wave[2:], b"", " E", "ND", "x"], hang=True)
    completion, _ = await start(script, stop=("END",), logprobs=2)
    started, *deltas, finished = [event async for event in completion]
    assert started == Started(0)
    told = [
        (event.text, [entry.data for entry in event.logprobs])
        for event in deltas
        if isinstance(event, TextDelta)
    ]
    assert told == [("a", [b"a"]), ("👋", [wave[:2], wave[2:]]), (" ", [b"", b" E"])]
    assert finished == Finished(0, STOP, "END")


async def test_the_end_token_has_its_log_probability_at_the_end() -> None:
    completion, _ = await start(Script(["a"]), logprobs=0)
    *_, delta, finished = [event async for event in completion]
    assert isinstance(delta, TextDelta)
    assert isinstance(finished, Finished)
    assert [entry.text for entry in delta.logprobs] == ["a"]
    assert [entry.text for entry in finished.logprobs] == ["<|eot_id|>"]


async def test_the_length_limit_is_reported() -> None:
    completion, _ = await start(Script(["a", "b"], finish=LENGTH))
    assert [event async for event in completion][-1] == Finished(0, LENGTH)
    assert completion.usage.completion_tokens == 2


async def test_an_answer_without_text_still_starts() -> None:
    completion, _ = await start(Script([]))
    assert [event async for event in completion] == [Started(0), Finished(0, STOP)]
    assert completion.usage.completion_tokens == 1


async def test_half_a_character_waits_for_the_other_half() -> None:
    data = "👋".encode()
    completion, _ = await start(Script([b"a" + data[:1], data[1:3], data[3:] + b"b", data[:2]]))
    texts = [event.text async for event in completion if isinstance(event, TextDelta)]
    assert texts == ["a", "👋b", "\ufffd"]


async def test_a_stop_string_ends_the_choice_in_the_engine_at_once() -> None:
    completion, engine = await start(
        Script(["one ", "E", "ND", " two"], hang=True), stop=("x", "END")
    )
    assert [event async for event in completion] == [
        Started(0),
        TextDelta(0, "one "),
        Finished(0, STOP, "END"),
    ]
    assert engine.generations[0].aborts == [0]
    assert completion.usage.completion_tokens == 3


async def test_a_stop_string_in_the_last_token_wins_over_the_limit() -> None:
    completion, _ = await start(Script(["one ", "END"], finish=LENGTH), stop=("END",))
    assert [event async for event in completion][-1] == Finished(0, STOP, "END")


async def test_a_false_start_of_a_stop_string_is_given_out_at_the_end() -> None:
    completion, engine = await start(Script(["one ", "EN"]), stop=("END",))
    assert [event async for event in completion][1:] == [
        TextDelta(0, "one "),
        TextDelta(0, "EN"),
        Finished(0, STOP),
    ]
    assert engine.generations[0].aborts == []


async def test_choices_start_in_order_and_end_on_their_own() -> None:
    script = Script(choices=[["a", "b", "c"], ["x", "END", "never"]], prompt_tokens=4)
    completion, engine = await start(script, n=2, stop=("END",))
    assert [event async for event in completion] == [
        Started(0),
        TextDelta(0, "a"),
        Started(1),
        TextDelta(1, "x"),
        TextDelta(0, "b"),
        Finished(1, STOP, "END"),
        TextDelta(0, "c"),
        Finished(0, STOP),
    ]
    assert engine.generations[0].aborts == [1]
    assert completion.usage == Usage(prompt_tokens=4, completion_tokens=6, cached_tokens=0)


async def test_the_death_of_the_engine_is_raised() -> None:
    completion, _ = await start(Script(["a"], die=True))
    assert [await anext(completion), await anext(completion)] == [Started(0), TextDelta(0, "a")]
    with pytest.raises(EngineDied):
        await anext(completion)


async def test_leaving_the_context_aborts_what_runs() -> None:
    completion, engine = await start(Script(["a"], hang=True), n=2)
    async with completion:
        assert await anext(completion) == Started(0)
    assert engine.generations[0].aborts == [None]
    assert not engine.generations[0].running
    assert [event async for event in completion] == []


async def test_leaving_the_context_at_the_end_aborts_nothing() -> None:
    completion, engine = await start(Script(["a"]))
    async with completion:
        assert len([event async for event in completion]) == 3
    assert engine.generations[0].aborts == []


async def test_an_abort_ends_an_iteration_that_waits() -> None:
    completion, _ = await start(Script(["a"], hang=True))

    async def collect() -> list[ChatEvent]:
        return [event async for event in completion]

    collecting = asyncio.create_task(collect())
    await asyncio.sleep(0.01)
    completion.abort()
    assert await collecting == [Started(0), TextDelta(0, "a")]


TEXTS = st.text(alphabet="ab é👋", max_size=16)
STOPS = st.lists(st.text(alphabet="ab é👋", min_size=1, max_size=3), max_size=3)


@given(TEXTS, STOPS, st.lists(st.integers(0, 64), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_events(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    data = text.encode()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    async def run(pieces: list[bytes]) -> list[ChatEvent]:
        completion, _ = await start(Script(pieces), stop=tuple(stops))
        return merged([event async for event in completion])

    assert asyncio.run(run(pieces)) == asyncio.run(run([data]))


@given(
    st.lists(st.sampled_from(["a", "b", " ", "é", b"\xf0\x9f", b"\x91\x8b", b"\xff", b""])),
    st.lists(st.text(alphabet="ab é👋", min_size=1, max_size=3), max_size=2),
    st.integers(0, 4),
)
def test_every_token_of_the_text_has_one_entry_in_order(
    pieces: list[str | bytes], stops: list[str], min_tokens: int
) -> None:
    async def run(logprobs: int | None) -> tuple[list[ChatEvent], Usage]:
        completion, _ = await start(
            Script(pieces), stop=tuple(stops), logprobs=logprobs, min_tokens=min_tokens
        )
        return [event async for event in completion], completion.usage

    events, usage = asyncio.run(run(0))
    plain, same = asyncio.run(run(None))
    assert usage == same
    assert merged(events)[:-1] == merged(plain)[:-1]
    ends = (TextDelta, Finished)
    entries = [each for event in events if isinstance(event, ends) for each in event.logprobs]
    data = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    assert [entry.data for entry in entries] == [*data, b""][: len(entries)]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    told = b"".join(entry.data for entry in entries).decode(errors="replace")
    assert told.startswith(text.rstrip("\ufffd"))
    last = events[-1]
    assert isinstance(last, Finished)
    if last.stop is None:
        assert len(entries) == len(pieces) + 1
