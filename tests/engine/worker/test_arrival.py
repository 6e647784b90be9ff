from __future__ import annotations

from edge_llama.engine.constraint import Constraint
from edge_llama.engine.protocol.grammar import CFG, Grammar
from edge_llama.engine.protocol.prompt import Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.wire import Accepted, Refused, Submit, Tokenize, Tokenized
from edge_llama.engine.worker.arrival import Arrival, Question
from edge_llama.engine.worker.intake import Intake
from edge_llama.errors import InvalidValue
from tests.engine.worker.test_intake import ByteTokenizer


class Refusing:
    def compile(self, grammar: Grammar) -> Constraint:
        raise InvalidValue("It has a fault.", param="grammar")


INTAKE = Intake(ByteTokenizer(), n_ctx=20, compiler=Refusing())


def arrival(text: str, **options: object) -> Arrival:
    asked = GenerationOptions(**options)  # type: ignore[arg-type]
    return Arrival(Submit(3, GenerationRequest(prompt=(Text(text),), options=asked)), INTAKE)


def test_an_accepted_request_has_sequences() -> None:
    accepted = arrival("abc", n=2)
    accepted.tokenize()
    accepted.make_sequences()
    assert accepted.answer == Accepted(3, 3)
    assert [(each.id, each.index, each.token_ids) for each in accepted.sequences] == [
        (3, 0, [*b"abc"]),
        (3, 1, [*b"abc"]),
    ]


def test_a_request_that_is_refused_when_it_is_read_has_nothing_to_compile() -> None:
    refused = arrival("", grammar=CFG("start: /a/"))
    refused.tokenize()
    assert refused.grammar is None
    refused.make_sequences()
    assert refused.answer == Refused(3, "The prompt is empty.", "prompt")
    assert refused.sequences == []


def test_a_grammar_with_a_fault_refuses_the_request() -> None:
    refused = arrival("abc", grammar=CFG("start: /a/"))
    refused.tokenize()
    assert refused.grammar == CFG("start: /a/")
    refused.make_sequences()
    assert refused.answer == Refused(3, "It has a fault.", "grammar")
    assert refused.sequences == []


def test_the_tokens_of_a_prompt_are_told_or_why_there_are_none() -> None:
    question = Question(Tokenize(4, (Text("ab"),)), INTAKE, lambda token: bytes([token]))
    question.tokenize()
    assert question.answer == Tokenized.of(4, [*b"ab"], lambda token: bytes([token]))
    question = Question(Tokenize(5, (Tokens((999,)),)), INTAKE, lambda token: b"")
    question.tokenize()
    assert isinstance(question.answer, Refused)
    assert (question.answer.id, question.answer.param) == (5, "prompt")
