"""What is known of llama.cpp, from its source and by measurement, and needed to plan and to run."""

from __future__ import annotations

ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)
"""Architectures that read a text in both directions and that llama.cpp gives no KV cache."""

ATTENDED = 2**18
DEEP_STEP = 64
"""Without flash attention, llama.cpp keeps scores of all tokens that it computes at once with all
that they attend to, for each head. So many pairs are computed at once, or those of so many tokens.
That costs no time: Llama 3.2 1B reads at a depth of 2,048 to 4,096 87 tokens a second with 64 at
once and 85 with 256.
"""


def most_at_once(depth: int) -> int:
    """Tokens that are computed at once without flash attention, at so many tokens of context."""
    return max(DEEP_STEP, ATTENDED // max(1, depth) // DEEP_STEP * DEEP_STEP)
