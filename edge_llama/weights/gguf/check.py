"""Whether a model may be given to llama.cpp, which asserts what is checked here: where that fails,
the process ends without a word that helps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge_llama.errors import ModelFileError
from edge_llama.weights.gguf import charsmap
from edge_llama.weights.gguf.header import read_numbers, read_strings
from edge_llama.weights.gguf.model import GGUFModel

MAX_LAYERS = 512
MAX_EXPERTS = 1024
MAX_TOKENS = 1 << 20
"""Gemma's vocabulary, among the largest, has 262,144."""
ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
TOKENS = "tokenizer.ggml.tokens"

_EPSILONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
_HEADS_AS_WIDE_AS_ROPE = ("llama",)
"""Architectures whose heads have one width, by all of which positions turn."""
_OF_EXPERTS = ("moe", "qwen4exp", "smallthinker")
"""In the names of architectures whose layers are made of experts, whether there are any or not."""
_DIVISORS = ("experts_per_group", "full_attention_interval")
"""What llama.cpp divides by, if it is there."""
_STATES_IN_GROUPS = ("falcon-h1", "granitehybrid", "mamba2", "nemotron_h", "nemotron_h_moe")
"""Architectures that divide by the number of groups; `plamo2` has none and runs."""
_STATES_TWICE_AS_WIDE = ("granitehybrid", "jamba")

_WITHOUT_VOCABULARY = ("no_vocab", "none")
_UNIGRAMS = "t5"
_CHARSMAP = "tokenizer.ggml.precompiled_charsmap"
_WORD_PIECES = "bert"
_UNKNOWN_WORD = 100
"""Where such a vocabulary has the token for unknown words, if its header names no other."""
_BYTE_TOKEN = 6
_BYTES = {
    "llama": {b"<0x%02X>" % byte: byte for byte in range(256)}
    | {bytes([byte]): byte for byte in range(1, 256)},
    "rwkv": {repr(bytes([byte]))[2:-1].encode(): byte for byte in range(256)},
}
"""How the vocabularies that must have a token for each byte spell it: without one, text with that
byte ends llama.cpp, or has it search without end. Others leave the byte out, or do not load."""


def check_model(model: GGUFModel) -> None:
    """See that nothing in a model's header makes llama.cpp end the process.

    Raises:
        ModelFileError: something does.
    """
    for fault in _faults(model):
        raise ModelFileError(f"{model.path} is not a model that can be run: {fault}.")


def _faults(model: GGUFModel) -> Iterator[str]:
    architecture = model.text("general.architecture")
    layers = model.number(f"{architecture}.block_count")
    if layers is not None and not 1 <= layers <= MAX_LAYERS:
        yield f"it has {layers} layers, and 1 to {MAX_LAYERS} can be"
    if (model.number(f"{architecture}.nextn_predict_layers") or 0) > (layers or 0):
        yield "it predicts with more layers than it has"
    for name in _DIVISORS:
        if model.number(f"{architecture}.{name}") == 0:
            yield f"its {name} is 0"
    yield from _faults_of_experts(model, architecture)
    yield from _faults_of_attention(model, architecture)
    yield from _faults_of_states(model, architecture)
    yield from _faults_of_vocabulary(model)


def _faults_of_experts(model: GGUFModel, architecture: str) -> Iterator[str]:
    experts = model.number(f"{architecture}.expert_count") or 0
    used = model.number(f"{architecture}.expert_used_count") or 0
    groups = model.number(f"{architecture}.expert_group_count") or 0
    used_groups = model.number(f"{architecture}.expert_group_used_count") or 0
    if not experts and any(word in architecture for word in _OF_EXPERTS):
        yield "it has no experts, of which its architecture consists"
    if experts > MAX_EXPERTS or not min(experts, 1) <= used <= experts:
        yield f"it has {experts} experts and uses {used} of them"
    if groups and not groups < experts:
        yield f"it has {groups} groups of {experts} experts"
    if groups > 1 and (experts % groups or not 0 < used_groups < groups):
        yield f"it has {experts} experts in {groups} groups, of which {used_groups} are used"


def _faults_of_attention(model: GGUFModel, architecture: str) -> Iterator[str]:
    scaling = model.text(f"{architecture}.rope.scaling.type") or "linear"
    if scaling not in ROPE_SCALINGS:
        yield "the type of its rope scaling is unknown"
    for name in _EPSILONS:
        epsilon = model.headers[0].metadata.get(f"{architecture}.{name}", 0.0)
        if not (isinstance(epsilon, float) and math.isfinite(epsilon) and epsilon >= 0):
            yield f"its {name} is no small number"
    heads = model.number(f"{architecture}.attention.head_count") or 0
    if architecture not in _HEADS_AS_WIDE_AS_ROPE or not heads:
        return
    width = (model.number(f"{architecture}.embedding_length") or 0) // heads
    key, value, rope = (
        model.number(f"{architecture}.{name}")
        for name in ("attention.key_length", "attention.value_length", "rope.dimension_count")
    )
    key = width if key is None else key
    if not key or key % 2 or {key, width if value is None else value, rope or key} != {key}:
        yield "its heads have impossible widths"
    for kv_heads in model.numbers(f"{architecture}.attention.head_count_kv"):
        if not kv_heads or heads % kv_heads:
            yield f"its {heads} heads cannot share {kv_heads} of keys and values"
            return


def _faults_of_states(model: GGUFModel, architecture: str) -> Iterator[str]:
    """What is wrong with layers that keep a state instead of keys and values."""
    groups = model.number(f"{architecture}.ssm.group_count")
    if architecture in _STATES_IN_GROUPS and not groups:
        yield "its ssm.group_count is 0"
    width = model.number(f"{architecture}.embedding_length") or 0
    inner = model.number(f"{architecture}.ssm.inner_size") or 0
    if architecture in _STATES_TWICE_AS_WIDE and inner != 2 * width:
        yield f"its states are {inner} wide and not twice its width of {width}"


def _faults_of_vocabulary(model: GGUFModel) -> Iterator[str]:
    if (tokens := model.length(TOKENS)) > MAX_TOKENS:
        yield f"its vocabulary has {tokens:,} tokens, and up to {MAX_TOKENS:,} can be"
    tokenizer = model.text("tokenizer.ggml.model")
    bytes_spelled = _BYTES.get(tokenizer, {})
    bytes_found = set()
    hashes = set()
    count = 0
    for count, token in enumerate(read_strings(model.path, model.headers[0], TOKENS), 1):
        # As llama.cpp reads it: up to a NUL, and with a name if it has none.
        spelling = token.partition(b"\0")[0] or b"[EMPTY_%d]" % (count - 1)
        hashes.add(hash(spelling))
        if spelling in bytes_spelled:
            bytes_found.add(bytes_spelled[spelling])
    if not count or tokenizer in _WITHOUT_VOCABULARY:
        yield "it has no vocabulary"
    if tokenizer == _WORD_PIECES:
        yield from _faults_of_word_pieces(model, count)
    if tokenizer == _UNIGRAMS and not _has_closed_charsmap(model):
        yield "the map by which its vocabulary rewrites texts leads out of itself"
    if len(hashes) != count:
        yield "its vocabulary has a token twice"
    for missing in sorted(set(bytes_spelled.values()) - bytes_found):
        yield f"its vocabulary has no token for the byte 0x{missing:02X}"


def _faults_of_word_pieces(model: GGUFModel, count: int) -> Iterator[str]:
    types = read_numbers(model.path, model.headers[0], "tokenizer.ggml.token_type", count)
    if _BYTE_TOKEN in types:
        yield "its vocabulary has tokens of bytes, which no vocabulary of its kind has"
    unknown = model.number("tokenizer.ggml.unknown_token_id")
    if count <= _UNKNOWN_WORD and (unknown is None or unknown >= count):
        yield "its vocabulary has no token for unknown words"


def _has_closed_charsmap(model: GGUFModel) -> bool:
    """True also without any; llama.cpp refuses what is no array of bytes."""
    length = model.length(_CHARSMAP)
    if length > charsmap.MAX_BYTES:
        return False
    numbers = read_numbers(model.path, model.headers[0], _CHARSMAP, length)
    if not length or set(map(type, numbers)) != {int}:
        return True
    return charsmap.is_closed(bytes(number & 0xFF for number in numbers))
