"""ConstraintCompiler: grammars to constraints, for one vocabulary."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer, regex_to_lark
from llguidance.gbnf_to_lark import gbnf_to_lark

from edge_llama.engine.binding import Vocab
from edge_llama.engine.constraint import Constraint, ConstraintError
from edge_llama.engine.protocol.grammar import (
    CFG,
    JSON_STYLE,
    Grammar,
    JSONSchema,
    Regex,
    TriggeredCFG,
    control_name,
)
from edge_llama.engine.sample.grammar_constraint import GrammarConstraint
from edge_llama.engine.sample.grammar_trial import GrammarTrial
from edge_llama.engine.sample.grammar_trial_worker import CONTROL_MARK, LIMITS
from edge_llama.engine.sample.triggered_constraint import TriggeredConstraint
from edge_llama.engine.sample.triggers import Triggers
from edge_llama.errors import InvalidValue

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_CHARACTERS = 256 * 1024

_GBNF = re.compile(r"^\s*root\s*::=", re.MULTILINE)

_WITHOUT_JUMPS = '\n%llguidance {"no_forcing": true}\n'
"""To find out what must follow takes time without a limit: `a{1000000000}`."""


class ConstraintCompiler:
    """Compiles with llguidance, whose tables of the vocabulary are made at the first use: that
    takes a third of a second for Llama 3's vocabulary.

    Args:
        vocab: the model's vocabulary.
    """

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._trial = GrammarTrial(sorted(map(control_name, vocab.control_tokens)))

    def compile(self, grammar: Grammar) -> Constraint:
        """The constraint at the beginning of an output.

        Raises:
            InvalidValue: the grammar has a fault, exceeds a limit of size, time or memory, or
                allows no output.
        """
        if isinstance(grammar, TriggeredCFG):
            return self._triggered(grammar)
        return self._from_the_start(grammar)

    def _triggered(self, grammar: TriggeredCFG) -> TriggeredConstraint:
        tokens = self._vocab.control_tokens
        control = frozenset(tokens[spelling] for spelling in grammar.control)
        forbidden = self._not_in_text.copy()
        forbidden[list(control)] = False
        return TriggeredConstraint(
            triggers=Triggers(grammar.triggers),
            control=control,
            form=self._from_the_start(CFG(grammar.text, grammar.param, jumps=True)),
            forbidden=forbidden,
            piece=self._vocab.piece,
        )

    @cached_property
    def _not_in_text(self) -> npt.NDArray[np.bool_]:
        """The control tokens that do not end an output."""
        others = set(self._vocab.control_tokens.values()) - self._vocab.eog_tokens
        forbidden = np.zeros(self._vocab.n_tokens, np.bool_)
        forbidden[list(others)] = True
        return forbidden

    def _from_the_start(self, grammar: JSONSchema | CFG | Regex) -> GrammarConstraint:
        if len(grammar.text) > MAX_CHARACTERS:
            raise InvalidValue(
                f"{grammar.param} has {len(grammar.text)} characters; at most {MAX_CHARACTERS} are "
                "possible.",
                param=grammar.param,
            )
        try:
            source = _source(grammar)
        except RecursionError:
            raise _unusable(grammar, "it is nested too deeply; make it flatter") from None
        except Exception as error:  # what the converters raise is not told
            raise _unusable(grammar, str(error)) from None
        self._trial.check(source, grammar.param)
        matcher = LLMatcher(self._tokenizer, source, log_level=0, limits=LIMITS)
        if not matcher.is_error():
            matcher.compute_bitmask()
        if matcher.is_error():
            raise _unusable(grammar, matcher.get_error())
        constraint = GrammarConstraint(
            matcher, self._tokenizer, self._vocab.n_tokens, self._vocab.eog_tokens
        )
        try:
            constraint.copy().forced()
        except ConstraintError as error:
            raise _unusable(grammar, str(error)) from None
        return constraint

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        vocab = self._vocab
        control = set(vocab.control_tokens.values())
        tokenizer: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
            tokens=[
                CONTROL_MARK + control_name(vocab.spelling(token)).encode()
                if token in control
                else vocab.read_piece(token)
                for token in range(vocab.n_tokens)
            ],
            vocab_ptr=vocab.handle,
            tokenize_fptr=vocab.tokenize_address,
            eos_token=[vocab.eos, *sorted(vocab.eog_tokens - {vocab.eos})],
        )
        return tokenizer


_IN_PLAIN_WORDS = {
    "NoExtensionBias": "it allows no output",
    "oneOf constraints are not": (
        "of a oneOf it cannot be seen that only one choice at a time is valid; use anyOf, or give "
        "each choice a property with a const of its own"
    ),
}
"""What llguidance's errors, which begin so, tell a client."""


def _source(grammar: JSONSchema | CFG | Regex) -> str:
    """The grammar in llguidance's own format."""
    if isinstance(grammar, JSONSchema):
        options = cast("JsonCompileOptions", JSON_STYLE)
        return LLMatcher.grammar_from_json_schema(grammar.text, overrides=options)
    if isinstance(grammar, CFG):
        lark = gbnf_to_lark(grammar.text) if _GBNF.search(grammar.text) else grammar.text
        return LLMatcher.grammar_from_lark(lark if grammar.jumps else lark + _WITHOUT_JUMPS)
    regex = regex_to_lark(grammar.text, "d")
    return LLMatcher.grammar_from_lark(f"start: /{regex}/{_WITHOUT_JUMPS}")


def _unusable(grammar: JSONSchema | CFG | Regex, text: str) -> InvalidValue:
    """llguidance tells what is wrong in the first line, or below the place in a regex."""
    lines = text.splitlines() or [""]
    faults = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = (faults or lines)[0]
    for start, words in _IN_PLAIN_WORDS.items():
        if reason.startswith(start):
            reason = words
    return InvalidValue(f"{grammar.param} cannot be used: {reason[:300]}.", param=grammar.param)
