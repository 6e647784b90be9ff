"""A small byte-level BPE that llama.cpp reads as `gpt2` with the `llama-bpe` pre-tokenizer.

Merges never join a digit, or a letter to a space or a mark, so that an unseen word is cut the
same way wherever it stands (after a space, a quote, an underscore): copying is then copying
tokens. Only whole common words get a token with their space, as the last merges.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from prompt import BEGIN, END_OF_TURN, HEADER, HEADER_END, Segment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROL_TOKENS = (
    BEGIN,
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    HEADER,
    HEADER_END,
    "<|eom_id|>",
    END_OF_TURN,
    "<|python_tag|>",
)
SPACE = "Ġ"
_LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LEARNING = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_level(pattern: str) -> pre_tokenizers.Sequence:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def learn(texts: list[str], size: int, spaced_words: int) -> Tokenizer:
    """Learn a vocabulary of `size` entries, `spaced_words` of them common words with a space."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _byte_level(_LEARNING)
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CONTROL_TOKENS) - spaced_words,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    model = learner.get_vocab()
    tokens = sorted(model, key=lambda token: model[token])
    merges = merges_of(learner)
    splitter = _byte_level(_LLAMA_BPE)
    words = Counter(piece for text in texts for piece, _ in splitter.pre_tokenize_str(text))
    common = (
        word
        for word, _ in words.most_common()
        if word[0] == SPACE and word[1:] in model and word not in model
    )
    for word in list(common)[:spaced_words]:
        tokens.append(word)
        merges.append((SPACE, word[1:]))
    return assemble(tokens, merges)


def merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges, best first."""
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def assemble(tokens: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """The tokenizer of these entries; control tokens come after them, as in Llama 3.1."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = _byte_level(_LLAMA_BPE)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL_TOKENS])
    tokenizer.encode_special_tokens = True
    return tokenizer


class PromptEncoder:
    """Segments → token ids; text can never become a control token."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.encode_special_tokens = True
        self.control = {token: self.tokenizer.token_to_id(token) for token in CONTROL_TOKENS}

    def text(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode(self, segments: Iterable[Segment]) -> tuple[list[int], list[bool]]:
        """Token ids, and for each whether the assistant says it."""
        ids: list[int] = []
        spoken: list[bool] = []
        for segment in segments:
            new = [self.control[segment.text]] if segment.control else self.text(segment.text)
            ids += new
            spoken += [segment.spoken] * len(new)
        return ids, spoken
