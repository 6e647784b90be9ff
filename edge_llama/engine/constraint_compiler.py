"""ConstraintCompiler: grammars to constraints, for one vocabulary."""

from __future__ import annotations

from functools import cached_property

from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark
from llguidance.llamacpp import lltokenizer_from_vocab

from edge_llama.engine.binding import Vocab
from edge_llama.engine.constraint import Constraint
from edge_llama.engine.grammar import CFG, Grammar, JSONSchema
from edge_llama.errors import InvalidValue

MAX_GRAMMAR_BYTES = 512 * 1024

LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
"""What one constraint may take: some 100 MB of memory, 20 ms to compile, 20 ms for a token."""

_JSON_OPTIONS: JsonCompileOptions = {"whitespace_flexible": False}


class ConstraintCompiler:
    """Compiles with llguidance, whose tables of the vocabulary are made at the first use.

    Args:
        vocab: the model's vocabulary.
    """

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab

    def compile(self, grammar: Grammar) -> Constraint:
        """The constraint at the beginning of an output.

        Raises:
            InvalidValue: the grammar has a fault, exceeds a limit or allows no output.
        """
        if len(grammar.text) > MAX_GRAMMAR_BYTES:
            raise InvalidValue(
                f"The grammar has {len(grammar.text)} characters; at most {MAX_GRAMMAR_BYTES} are "
                "possible.",
                param="grammar",
            )
        matcher = LLMatcher(self._tokenizer, _source(grammar), log_level=0, limits=LIMITS)
        constraint = Constraint(matcher, self._vocab.n_tokens, self._vocab.eog_tokens)
        if not matcher.is_error():
            matcher.compute_bitmask()
        if matcher.is_error():
            raise InvalidValue(matcher.get_error(), param="grammar")
        return constraint

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        others = sorted(self._vocab.eog_tokens - {self._vocab.eos})
        return lltokenizer_from_vocab(self._vocab.handle, eos_token=[self._vocab.eos, *others])


def _source(grammar: Grammar) -> str:
    """The grammar in llguidance's own format."""
    try:
        if isinstance(grammar, JSONSchema):
            return LLMatcher.grammar_from_json_schema(grammar.text, overrides=_JSON_OPTIONS)
        if isinstance(grammar, CFG):
            return LLMatcher.grammar_from_lark(any_to_lark(grammar.text))
        return LLMatcher.grammar_from_regex(grammar.text)
    except Exception as error:
        raise InvalidValue(str(error), param="grammar") from None
