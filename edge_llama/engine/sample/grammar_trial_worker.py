"""The child process that compiles a grammar before the engine does.

llguidance bounds what it does with a grammar once that is compiled, but not what compiling takes:
300 bytes of nested repeats are gigabytes, and Rust ends the process that cannot have them. So every
grammar is compiled here first. A watchdog ends this process when that takes longer than
`TIME_LIMIT`; on Linux the kernel holds it to `MEMORY_LIMIT`, elsewhere the time limit bounds memory
too.

One line of JSON each way. First come the spellings of the control tokens, then one grammar after
another, in llguidance's own format:

```
["<|eot_id|>", …]    → null
"…"                  → null
```

Whether a grammar can be used is for the engine to tell: its vocabulary is another one. Here each
byte is a token, which costs nothing to set up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from edge_llama.process.child import live_with_parent
from edge_llama.process.limits import limit_address_space, time_limit

TIME_LIMIT = 1.0
"""Seconds for one grammar."""

MEMORY_LIMIT = 512 * 1024 * 1024
"""Bytes of address space."""

LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=5_000,
    max_lexer_states=50_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
"""What a compiled grammar may take: about 100 MB of memory, and some 20 ms for a token."""

CONTROL_MARK = b"\xff"
"""llguidance takes what begins with it for a control token, which no text can spell."""


class _Bytes:
    """A vocabulary of the bytes and the control tokens, as `TokenizerWrapper` takes it."""

    bos_token_id = None

    def __init__(self, control: Sequence[str]) -> None:
        self.tokens = [bytes([byte]) for byte in range(256)]
        self.tokens += [CONTROL_MARK + spelling.encode() for spelling in ("", *control)]
        self.special_token_ids = list(range(256, len(self.tokens)))
        self.eos_token_id = 256

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


def main() -> None:
    """Answer requests from stdin until it ends; the first one names the control tokens."""
    live_with_parent()
    limit_address_space(MEMORY_LIMIT)
    tokenizer: LLTokenizer | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        with time_limit(TIME_LIMIT):
            if tokenizer is None:
                tokenizer = LLTokenizer(TokenizerWrapper(_Bytes(request)))
            else:
                matcher = LLMatcher(tokenizer, request, log_level=0, limits=LIMITS)
                if not matcher.is_error():
                    matcher.compute_bitmask()
        sys.stdout.write("null\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
