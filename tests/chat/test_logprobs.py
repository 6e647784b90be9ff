from __future__ import annotations

from edge_llama.chat.logprobs import LogprobQueue, TokenLogprob, TokenNames
from edge_llama.engine.protocol.output import ScoredToken


def entry(data: bytes) -> TokenLogprob:
    return TokenLogprob(data.decode(), data, -1.0)


def test_tokens_are_spelled() -> None:
    names = TokenNames({"<|eot_id|>": 9})
    assert names.text(5, " é".encode()) == " é"
    assert names.text(5, " é".encode()[:2]) is None
    assert names.text(9, b"") == "<|eot_id|>"
    assert names.text(8, b"") == ""
    made = names.entry(ScoredToken(5, b"a", -1.0, (ScoredToken(9, b"", -2.0),)))
    assert made == TokenLogprob("a", b"a", -1.0, (TokenLogprob("<|eot_id|>", b"", -2.0),))


def test_entries_come_with_the_text_in_which_they_begin() -> None:
    queue = LogprobQueue()
    for start, data in ((0, b"ab"), (2, b"cd"), (4, b"ef")):
        queue.put(entry(data), start)
    assert queue.take(0) == ()
    assert queue.take(1) == (entry(b"ab"),)
    assert queue.take(2) == ()
    assert queue.take(3) == (entry(b"cd"),)
    assert queue.rest() == (entry(b"ef"),)
