from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.messages import ChatRequest, Message, Role, ToolCall
from edge_llama.chat.overflow import Dropped, count_exchanges, fit, without_oldest
from edge_llama.engine.protocol.request import GenerationOptions

SYSTEM = Message(Role.SYSTEM, "s")
N_CTX = 100

messages = st.lists(
    st.builds(Message, st.sampled_from(Role), st.text("x", max_size=30)), min_size=1, max_size=20
)


def user(size: int) -> Message:
    return Message(Role.USER, "u" * size)


def answer(size: int) -> Message:
    return Message(Role.ASSISTANT, "a" * size)


async def length(request: ChatRequest) -> int:
    """A token per character."""
    return sum(len(message.content) for message in request.messages)


async def fitted(
    *messages: Message, max_tokens: int | None = 20
) -> tuple[tuple[Message, ...], Dropped | None]:
    request = ChatRequest(messages=messages, options=GenerationOptions(max_tokens=max_tokens))
    shortened, dropped = await fit(request, N_CTX, length)
    return shortened.messages, dropped


def test_an_exchange_is_a_users_turn_with_what_follows() -> None:
    call = Message(Role.ASSISTANT, tool_calls=(ToolCall("f", "{}"),))
    result = Message(Role.TOOL, "4", tool_call_id="c")
    turns = (SYSTEM, user(1), call, result, answer(1), user(2), answer(2), user(3))
    assert count_exchanges(turns) == 3
    assert without_oldest(turns, 0) == turns
    assert without_oldest(turns, 1) == (SYSTEM, *turns[5:])
    assert without_oldest(turns, 2) == (SYSTEM, turns[7])


def test_what_comes_before_the_first_user_is_an_exchange() -> None:
    turns = (SYSTEM, answer(1), user(1), SYSTEM, answer(2))
    assert count_exchanges(turns) == 2
    assert without_oldest(turns, 1) == (SYSTEM, user(1), SYSTEM, answer(2))


@pytest.mark.parametrize("turns", [(SYSTEM,), (user(1),), (answer(1),), (SYSTEM, user(1))])
def test_there_is_at_least_one(turns: tuple[Message, ...]) -> None:
    assert count_exchanges(turns) == 1


async def test_what_fits_stays_whole() -> None:
    turns = (user(40), answer(39), user(1))
    assert await fitted(*turns) == (turns, None)


async def test_as_few_as_possible_are_dropped() -> None:
    turns = (SYSTEM, user(30), answer(10), user(20), answer(10), user(40))
    kept, dropped = await fitted(*turns)
    assert kept == (SYSTEM, *turns[3:])
    assert dropped == Dropped(messages=2, tokens=40)


@pytest.mark.parametrize(("max_tokens", "room"), [(None, 25), (10, 10), (50, 50), (10_000, 50)])
async def test_there_is_room_for_the_answer(max_tokens: int | None, room: int) -> None:
    fits = (user(9), user(100 - room - 9))
    assert (await fitted(*fits, max_tokens=max_tokens))[1] is None
    kept, dropped = await fitted(user(10), fits[1], max_tokens=max_tokens)
    assert kept == fits[1:]
    assert dropped == Dropped(messages=1, tokens=10)


async def test_the_last_exchange_stays_even_if_it_is_too_long() -> None:
    turns = (SYSTEM, user(5), answer(5), user(200), answer(5))
    assert (await fitted(*turns))[0] == (SYSTEM, *turns[3:])
    assert await fitted(user(200)) == ((user(200),), None)


@given(messages)
async def test_any_conversation(messages: list[Message]) -> None:
    kept, dropped = await fitted(*messages)
    systems = [message for message in messages if message.role is Role.SYSTEM]
    assert [message for message in kept if message.role is Role.SYSTEM] == systems
    users = [at for at, message in enumerate(messages) if message.role is Role.USER]
    last = messages[users[-1] :] if users else messages[-1:]
    assert list(kept[len(kept) - len(last) :]) == last
    whole = sum(len(message.content) for message in messages)
    rest = sum(len(message.content) for message in kept)
    if dropped is None:
        assert list(kept) == messages
    else:
        assert dropped == Dropped(len(messages) - len(kept), whole - rest)
        assert whole > 80
        number = count_exchanges(messages) - count_exchanges(kept)
        fewer = without_oldest(messages, number - 1)
        assert sum(len(message.content) for message in fewer) > 80
    if rest > 80:
        assert count_exchanges(kept) == 1
