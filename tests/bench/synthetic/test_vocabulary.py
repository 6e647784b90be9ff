from __future__ import annotations

import pytest

from edge_llama.bench.synthetic.vocabulary import CONTROL_TOKENS, Vocabulary, synthetic_vocabulary


@pytest.fixture(scope="module")
def full() -> Vocabulary:
    return synthetic_vocabulary(128_256, n_control=256)


@pytest.mark.parametrize(
    ("token", "id"),
    [
        ("<|begin_of_text|>", 128_000),
        ("<|end_of_text|>", 128_001),
        ("<|finetune_right_pad_id|>", 128_004),
        ("<|start_header_id|>", 128_006),
        ("<|end_header_id|>", 128_007),
        ("<|eom_id|>", 128_008),
        ("<|eot_id|>", 128_009),
        ("<|python_tag|>", 128_010),
        ("<|reserved_special_token_3|>", 128_011),
        ("<|reserved_special_token_247|>", 128_255),
    ],
)
def test_control_tokens_have_the_ids_of_llama_3_1(full: Vocabulary, token: str, id: int) -> None:
    assert full.id_of(token) == id


def test_every_token_is_a_byte_or_one_merge_of_earlier_ones(full: Vocabulary) -> None:
    assert len(full) == 128_256
    assert len({*full.text, *full.control}) == len(full)
    known = set(full.text[:256])
    assert len(known) == 256
    for token, merge in zip(full.text[256:], full.merges, strict=True):
        left, right = merge.split(" ")
        assert left in known
        assert right in known
        assert left + right == token
        known.add(token)


def test_the_first_tokens_are_those_of_gpt_2(full: Vocabulary) -> None:
    assert full.text[:3] == ("!", '"', "#")
    assert full.text[220] == "\u0120", "the space, at its id in Llama 3 too"


def test_metadata_marks_the_control_tokens() -> None:
    metadata = synthetic_vocabulary(300).metadata()
    assert metadata["tokenizer.ggml.token_type"] == [1] * 289 + [3] * 11
    assert metadata["tokenizer.ggml.bos_token_id"] == 289
    assert metadata["tokenizer.ggml.eos_token_id"] == 289 + CONTROL_TOKENS.index("<|eot_id|>")


@pytest.mark.parametrize(("n_vocab", "n_control"), [(267, 11), (300, 10)])
def test_a_vocabulary_too_small_for_its_parts_is_refused(n_vocab: int, n_control: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        synthetic_vocabulary(n_vocab, n_control)
