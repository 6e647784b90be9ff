"""Chat parameters that would change the answer and are not implemented: refused, never dropped.

Every other unknown key is ignored. So are these, with any value, as they do not change the
answer: store, metadata, user, safety_identifier, prompt_cache_key, prompt_cache_options,
prompt_cache_retention, reasoning_effort, verbosity, prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_llama.errors import UnsupportedParameter

HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {
    # OpenAI's
    "modalities": (["text"], []),
    "audio": (),
    "moderation": (),
    # of llama.cpp, vLLM and others
    "add_special_tokens": (False,),
    "allowed_token_ids": ([],),
    "bad_words": ([],),
    "best_of": (1,),
    "chat_template": (),
    "do_sample": (True,),
    "documents": ([],),
    "dry_multiplier": (0, 0.0),
    "dynatemp_range": (0, 0.0),
    "ebnf": (),
    "echo": (False,),
    "format": ("",),
    "guided_decoding": ({},),
    "include_stop_str_in_output": (False,),
    "json_schema": ({},),
    "length_penalty": (1, 1.0),
    "logits_processors": ([],),
    "lora": ([],),
    "max_new_tokens": (),
    "mirostat": (0,),
    "n_probs": (0,),
    "num_predict": (),
    "nvext": ({},),
    "options": ({},),
    "prefix": (),
    "prompt_logprobs": (0,),
    "random_seed": (),
    "repeat_last_n": (),
    "samplers": (),
    "skip_special_tokens": (True,),
    "stop_token_ids": ([],),
    "suffix": ("",),
    "tfs_z": (1, 1.0),
    "top_a": (0, 0.0),
    "top_n_sigma": (-1, -1.0),
    "truncate_prompt_tokens": (),
    "typical_p": (1, 1.0),
    "use_beam_search": (False,),
    "xtc_probability": (0, 0.0),
}
"""Values by parameter that ask for nothing, and so may pass; null always may."""

TOOLS: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "chat_template_kwargs": ({},),
}
"""The same for tools, of APIs that have none."""


def refuse_unsupported(
    body: Mapping[str, Any], harmless_values: Mapping[str, tuple[Any, ...]] = HARMLESS_VALUES
) -> None:
    """Check the request's top-level parameters.

    Args:
        body: the request.
        harmless_values: parameters that are not implemented, with their values that may pass.

    Raises:
        UnsupportedParameter: one is set that is not implemented; `param` names it.
    """
    for name, value in body.items():
        if name in harmless_values and not _is_harmless(name, value, harmless_values[name]):
            raise UnsupportedParameter(
                f"{name} is not supported by this server. Leave it out.", param=name
            )


def _is_harmless(name: str, value: Any, harmless: Sequence[Any]) -> bool:
    if value is None:
        return True
    return any(type(value) is type(each) and value == each for each in harmless)
