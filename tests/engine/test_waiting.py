from __future__ import annotations

from edge_llama.engine.messages import ServiceTier
from edge_llama.engine.sampling import SamplingParams
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.waiting import WaitingQueue


def sequence(id: int, tier: ServiceTier = ServiceTier.DEFAULT) -> Sequence:
    return Sequence(
        id=id,
        index=0,
        token_ids=[1],
        num_prompt=1,
        max_length=2,
        sampling=SamplingParams(),
        tier=tier,
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
