from __future__ import annotations

from edge_llama.engine.client.suspects import MAX_SUSPECTS, Suspects
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest


def request(text: str = "x", **fields: str) -> GenerationRequest:
    return GenerationRequest(prompt=(Text(text),), options=GenerationOptions(**fields))  # type: ignore[arg-type]


def test_who_ran_in_two_crashes_is_guilty_whoever_asked() -> None:
    suspects = Suspects()
    suspects.blame([request(caller="a", cache_domain="a"), request("bystander")])
    assert not suspects.is_guilty(request())
    suspects.blame([request(caller="b"), request("other")])
    assert suspects.is_guilty(request(caller="c"))
    assert not suspects.is_guilty(request("bystander"))
    assert not suspects.is_guilty(request("y"))


def test_the_same_request_many_times_in_one_crash_counts_once() -> None:
    suspects = Suspects()
    suspects.blame([request()] * 5)
    assert not suspects.is_guilty(request())


def test_who_ran_to_the_end_is_innocent() -> None:
    suspects = Suspects()
    suspects.blame([request()])
    suspects.acquit(request())
    suspects.blame([request()])
    assert not suspects.is_guilty(request())


def test_its_memory_is_bounded() -> None:
    suspects = Suspects()
    suspects.blame([request()])
    suspects.blame(request(str(number)) for number in range(MAX_SUSPECTS))
    suspects.blame([request()])
    assert not suspects.is_guilty(request())
