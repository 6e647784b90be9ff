from __future__ import annotations

from edge_llama.bench.load import load as loads
from edge_llama.bench.load.load import TEMPLATE_TOKENS


def test_clients_that_come_one_after_the_other() -> None:
    load = loads.concurrent(3, 50, 5, apart=0.1)
    assert [request.delay for request in load.requests] == [0.0, 0.1, 0.2]
    assert load.independent
    assert load.clients == 3
    assert load.cells == 3 * (55 + TEMPLATE_TOKENS)


def test_a_newcomer_finds_a_running_stream() -> None:
    load = loads.newcomer(1000)
    alone, running, newcomer = load.requests
    assert alone.prompt_tokens == newcomer.prompt_tokens == 1000
    assert (running.after, running.until) == (0, 2)
    assert (newcomer.after, newcomer.after_outputs) == (1, 16)
    assert not load.independent
    assert load.clients == 2


def test_one_request_after_the_other() -> None:
    load = loads.one_after_the_other(3, 260, 9)
    assert [request.after for request in load.requests] == [None, 0, 1]
    assert load.clients == 1


def test_a_system_prompt_is_said_twice() -> None:
    load = loads.same_system_prompt(841, 24)
    assert [request.system_tokens for request in load.requests] == [0, 841, 841]
    assert [request.after for request in load.requests] == [None, 0, 1]
    assert load.clients == 1


def test_all_first_turns_come_before_the_second_ones() -> None:
    load = loads.conversations(3, 100, 16)
    assert [request.continues for request in load.requests] == [None, None, None, 0, 1, 2]
    assert [request.after for request in load.requests] == [None, 0, 1, 2, 3, 4]
    assert load.clients == 1
