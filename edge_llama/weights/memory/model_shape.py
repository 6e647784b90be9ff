"""ModelShape: what the memory that a model needs depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_llama.errors import ModelFileError, UnknownModel
from edge_llama.llama_cpp_facts import ENCODERS
from edge_llama.weights.catalog.catalog import CatalogModel
from edge_llama.weights.catalog.quantization import UNKNOWN, quantization_of
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.gguf.file_type import quantization_in
from edge_llama.weights.gguf.model import GGUFModel, read_model

MAX_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The dimensions of a transformer, and what its weights take.

    Attributes:
        name: for people, e.g. `Llama 3.1 8B Instruct`.
        architecture: llama.cpp's name of it, e.g. `llama`; empty if only the header tells.
        quantization: e.g. `Q4_K_M`.
        parameters: numbers in its weights.
        weight_bytes: bytes of its weights.
        layers: transformer blocks.
        heads: attention heads of a layer.
        kv_heads: heads of keys and values that are cached, summed over the layers.
        key_length: numbers in a head's key.
        value_length: numbers in a head's value.
        embedding_length: width of the residual stream.
        feed_forward_length: width of the feed-forward layers.
        vocabulary: tokens.
        context_length: tokens of context it was trained for.
        encoder: every token attends to those after it too, so it only embeds texts.
    """

    name: str
    architecture: str
    quantization: str
    parameters: int
    weight_bytes: int
    layers: int
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    embedding_length: int
    feed_forward_length: int
    vocabulary: int
    context_length: int
    encoder: bool = False

    @classmethod
    def of_file(cls, path: Path) -> ModelShape:
        """The shape of a GGUF; of a split one, `path` is the first part.

        Raises:
            ModelFileError: it cannot be read, is cut off, or lacks a dimension.
        """
        return cls.of_model(read_model(path))

    @classmethod
    def of_model(cls, model: GGUFModel) -> ModelShape:
        """The shape that the headers of a model tell. Raises as `of_file` does."""
        architecture = model.text("general.architecture")

        def dimension(key: str, default: int | None = None) -> int:
            entry = f"{architecture}.{key}"
            value = model.number(entry) or default
            if not value:
                raise ModelFileError(
                    f"{model.path} is not a model that can be run: its header has no {entry!r}."
                )
            return value

        layers, heads = dimension("block_count"), dimension("attention.head_count")
        width = dimension("embedding_length")
        per_layer = model.numbers(f"{architecture}.attention.head_count_kv") or (heads,)
        if architecture in ENCODERS:
            per_layer = (0,)
        return cls(
            name=_one_line(model.text("general.name")) or model.path.stem,
            architecture=architecture,
            quantization=quantization_in(model.headers[0])
            or quantization_of(model.path.name)
            or UNKNOWN,
            parameters=sum(tensor.n_weights for tensor in model.tensors),
            weight_bytes=sum(tensor.size for tensor in model.tensors),
            layers=layers,
            heads=heads,
            kv_heads=per_layer[0] * layers if len(per_layer) == 1 else sum(per_layer),
            key_length=dimension("attention.key_length", width // heads),
            value_length=dimension("attention.value_length", width // heads),
            embedding_length=width,
            feed_forward_length=dimension("feed_forward_length", width),
            vocabulary=model.length("tokenizer.ggml.tokens") or dimension("vocab_size"),
            context_length=dimension("context_length"),
            encoder=architecture in ENCODERS
            or model.headers[0].metadata.get(f"{architecture}.attention.causal") is False,
        )

    @classmethod
    def of_catalog(cls, model: CatalogModel, variant: Variant) -> ModelShape:
        """The shape of a variant before it is downloaded.

        Raises:
            UnknownModel: the catalog does not tell the dimensions of the model, or nobody told
                the size of the variant.
        """
        architecture, size = model.architecture, variant.expected_size
        if architecture is None or size is None:
            raise UnknownModel(
                f"What {model.name} {variant.quantization} needs is not known before it is "
                "downloaded."
            )
        return cls(
            name=model.name,
            architecture="",
            quantization=variant.quantization,
            parameters=architecture.parameters,
            weight_bytes=size,
            layers=architecture.layers,
            heads=architecture.heads,
            kv_heads=architecture.kv_heads * architecture.layers,
            key_length=architecture.head_size,
            value_length=architecture.head_size,
            embedding_length=architecture.embedding_length,
            feed_forward_length=architecture.feed_forward_length,
            vocabulary=architecture.vocabulary,
            context_length=architecture.context_length,
        )

    @property
    def title(self) -> str:
        """Name and quantization."""
        known = self.quantization.lower() in self.name.lower() or self.quantization == UNKNOWN
        return self.name if known else f"{self.name} {self.quantization}"


def _one_line(text: str) -> str:
    """Text from a file, fit for a terminal."""
    return "".join(character for character in text[:MAX_NAME] if character.isprintable())
