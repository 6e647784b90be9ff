from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest, ServiceTier
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.schedule.waiting import WaitingQueue
from edge_llama.engine.sequence import Sequence


def sequence(id: int, tier: ServiceTier = ServiceTier.DEFAULT, caller: str = "") -> Sequence:
    return Sequence(
        id=id,
        index=0,
        request=GenerationRequest(prompt=(), options=GenerationOptions(tier=tier, caller=caller)),
        token_ids=[1],
        num_prompt=1,
        max_length=2,
        sampling=SamplingParams(),
    )


def test_first_come_first_served_and_flex_after_all_others() -> None:
    queue = WaitingQueue()
    assert not queue
    flex = [sequence(id, ServiceTier.FLEX) for id in (1, 2)]
    others = [sequence(id) for id in (3, 4)]
    for each in (flex[0], others[0], flex[1], others[1]):
        queue.add(each)
    assert list(queue) == [*others, *flex]
    queue.remove(others[0])
    queue.remove(flex[0])
    assert list(queue) == [others[1], flex[1]]


def test_what_was_preempted_comes_first_in_its_tier() -> None:
    queue = WaitingQueue()
    flex, other = sequence(1, ServiceTier.FLEX), sequence(2)
    queue.add(sequence(3, ServiceTier.FLEX))
    queue.add(sequence(4))
    queue.put_back(flex)
    queue.put_back(other)
    assert [each.id for each in queue] == [2, 4, 1, 3]


def admit(queue: WaitingQueue) -> Sequence:
    first = next(iter(queue))
    queue.remove(first)
    return first


def test_callers_take_turns() -> None:
    queue = WaitingQueue()
    for id in range(6):
        queue.add(sequence(id, caller="many"))
    assert admit(queue).id == 0
    queue.add(sequence(10, caller="one"))
    queue.add(sequence(20, caller="two"))
    queue.add(sequence(11, caller="one"))
    assert [each.id for each in queue] == [1, 10, 20, 2, 11, 3, 4, 5]
    assert [admit(queue).id for _ in range(8)] == [1, 10, 20, 2, 11, 3, 4, 5]
    assert not queue


def test_what_was_preempted_does_not_wait_for_a_turn() -> None:
    queue = WaitingQueue()
    preempted = sequence(1, caller="b")
    queue.add(sequence(2, caller="a"))
    queue.add(sequence(3, caller="b"))
    queue.put_back(preempted)
    assert [admit(queue).id for _ in range(3)] == [1, 2, 3]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60))
def test_nobody_waits_for_more_than_one_turn_of_each_other(steps: list[str | None]) -> None:
    queue = WaitingQueue()
    overtaken: dict[str, Counter[str]] = {}
    waiting: Counter[str] = Counter()
    for id, step in enumerate(steps):
        if step is not None:
            queue.add(sequence(id, caller=step))
            waiting[step] += 1
            overtaken.setdefault(step, Counter())
        elif queue:
            caller = admit(queue).caller
            waiting[caller] -= 1
            overtaken[caller].clear()
            for other in +waiting:
                if other != caller:
                    overtaken[other][caller] += 1
                    assert overtaken[other][caller] <= 2
    assert len(list(queue)) == sum(waiting.values())
