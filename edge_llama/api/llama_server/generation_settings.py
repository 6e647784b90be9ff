"""What a continuation was asked for, under llama-server's names."""

from __future__ import annotations

from typing import Any

import msgspec

from edge_llama.chat.messages import TextRequest

RANDOM_SEED = 2**32 - 1
"""How llama-server tells that a seed is another one each time."""

_OFF: dict[str, Any] = {
    "adaptive_decay": 0.9,
    "adaptive_target": -1.0,
    "dry_multiplier": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "top_n_sigma": -1.0,
    "typical_p": 1.0,
    "xtc_probability": 0.0,
}
"""llama-server's samplers, by the values that switch them off, for those that are not used."""


def generation_settings(asked: TextRequest, *, stream: bool) -> dict[str, Any]:
    """What `asked` says about the choice of tokens, and how much of it is asked for."""
    options = asked.options
    sampling = msgspec.structs.asdict(options.sampling)
    seed, biases = sampling["seed"], sampling["logit_bias"]
    n_predict = -1 if options.max_tokens is None else options.max_tokens
    return {
        **_OFF,
        **sampling,
        "repeat_penalty": options.sampling.repetition_penalty,
        "seed": RANDOM_SEED if seed is None else seed,
        "logit_bias": [{"token": token, "bias": bias} for token, bias in biases.items()],
        "n_predict": n_predict,
        "max_tokens": n_predict,
        "n_probs": options.logprobs or 0,
        "stop": list(asked.stop),
        "stream": stream,
    }
