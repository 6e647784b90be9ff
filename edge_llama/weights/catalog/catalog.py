"""The catalog: models by name, and where their weights are. `models/catalog.toml` explains it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_llama.errors import SettingsError, UnsafeFileName
from edge_llama.weights.catalog.quantization import UNKNOWN, parse_quantization, quantization_of
from edge_llama.weights.catalog.safe_name import check_name
from edge_llama.weights.catalog.split import all_parts
from edge_llama.weights.catalog.toml_table import TomlTable
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.demo import bundled_model

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

F16_BYTES = 2
GIGABYTE = 10**9

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The dimensions of a transformer.

    Attributes:
        parameters: numbers in its weights.
        layers: transformer blocks.
        embedding_length: width of the residual stream.
        feed_forward_length: width of the feed-forward layers.
        heads: attention heads of a layer.
        kv_heads: heads of keys and values of a layer.
        head_size: numbers in a head's key, and in its value.
        vocabulary: tokens.
        context_length: tokens of context it was trained for.
    """

    parameters: int
    layers: int
    embedding_length: int
    feed_forward_length: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context_length: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV cache for a token at f16: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head_size * F16_BYTES


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the hub that has a model's weights.

    Attributes:
        name: `owner/name`.
        gated: whether the hub wants an accepted licence first; None if unknown.
        revision: the commit that the catalog describes; None for the newest.
    """

    name: str
    gated: bool | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model of the catalog.

    Attributes:
        id: what it is called here, lower case.
        name: for people.
        aliases: what it is called elsewhere.
        licence: its name; None if unknown.
        licence_url: its text; None if unknown.
        architecture: None if the catalog does not tell; the GGUF's header does.
        repositories: the preferred one first.
        variants: the known ones, of all repositories, in the same order. A repository without
            any has to be asked.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    licence: str | None = None
    licence_url: str | None = None
    architecture: Architecture | None = None
    repositories: tuple[Repository, ...] = ()
    variants: tuple[Variant, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The id, then the aliases."""
        return (self.id, *self.aliases)

    @property
    def parameters(self) -> int | None:
        """Numbers in its weights; None if the catalog does not tell."""
        return None if self.architecture is None else self.architecture.parameters

    @property
    def layers(self) -> int | None:
        """Transformer blocks; None if the catalog does not tell."""
        return None if self.architecture is None else self.architecture.layers

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of KV cache for a token at f16; None if the catalog does not tell."""
        return None if self.architecture is None else self.architecture.kv_bytes_per_token

    @property
    def context_length(self) -> int | None:
        """Tokens of context it was trained for; None if the catalog does not tell."""
        return None if self.architecture is None else self.architecture.context_length

    def variant(self, quantization: str) -> Variant | None:
        """The known variant of a quantization, of the repository that is preferred."""
        return next((v for v in self.variants if v.quantization == quantization), None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Models by name.

    Attributes:
        models: in the order they are listed. Where two have the same name, the later one has it.
    """

    models: tuple[CatalogModel, ...]

    def find(self, name: str) -> CatalogModel | None:
        """The model whose id or alias is `name`, in whatever case."""
        wanted = name.casefold()
        for model in reversed(self.models):
            if any(known.casefold() == wanted for known in model.names):
                return model
        return None


def load_catalog(user_file: Path | None = None) -> Catalog:
    """The bundled catalog, with the user's own entries added or in the place of bundled ones.

    Args:
        user_file: the user's own catalog, which need not exist; None takes `user_catalog_file`.

    Raises:
        ModelFileError: the installation is incomplete.
        SettingsError: a catalog cannot be read; the text names file, entry and field.
    """
    bundled = _read_catalog(bundled_model().parents[1] / "catalog.toml")
    try:
        own = _read_catalog(user_file or user_catalog_file())
    except (FileNotFoundError, NotADirectoryError):
        own = ()
    replaced = {model.id for model in own}
    return Catalog((*(model for model in bundled if model.id not in replaced), *own))


def user_catalog_file() -> Path:
    """`$EDGE_LLAMA_HOME/catalog.toml`, else in the system's folder for user settings."""
    if home := os.environ.get("EDGE_LLAMA_HOME"):
        return Path(home).expanduser() / "catalog.toml"
    import platformdirs

    return platformdirs.user_config_path("edge-llama", appauthor=False) / "catalog.toml"


def _read_catalog(file: Path) -> tuple[CatalogModel, ...]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML
        raise SettingsError(f"{file} is not a catalog that can be read: {error}.") from error
    document = TomlTable(values, file, "catalog")
    models = tuple(_read_model(table) for table in document.tables("model"))
    document.finish()
    _check_names(models, file)
    return models


def _check_names(models: Iterable[CatalogModel], file: Path) -> None:
    owners: dict[str, str] = {}
    for model in models:
        for name in model.names:
            if (owner := owners.setdefault(name.casefold(), model.id)) != model.id:
                raise SettingsError(
                    f"{file}: {name!r} is a name of both {owner} and {model.id}. Remove one."
                )


def _read_model(table: TomlTable) -> CatalogModel:
    model_id = table.required("id", str)
    if not _ID.fullmatch(model_id):
        raise table.error("id", f"may have a-z, 0-9, '.', '_' and '-', but is {model_id!r}")
    table.name = f"model {model_id!r}"
    architecture = table.table("architecture")
    sources = [_read_repository(each) for each in table.tables("repositories")]
    if not sources:
        raise table.error("repositories", 'is missing. Add e.g. [{ name = "owner/name" }]')
    model = CatalogModel(
        id=model_id,
        name=table.optional("name", str) or model_id,
        aliases=table.texts("aliases"),
        licence=table.optional("licence", str),
        licence_url=table.optional("licence_url", str),
        architecture=None if architecture is None else _read_architecture(architecture),
        repositories=tuple(repository for repository, _ in sources),
        variants=tuple(variant for _, variants in sources for variant in variants),
    )
    table.finish()
    return model


def _read_architecture(table: TomlTable) -> Architecture:
    architecture = Architecture(
        parameters=table.count("parameters"),
        layers=table.count("layers"),
        embedding_length=table.count("embedding_length"),
        feed_forward_length=table.count("feed_forward_length"),
        heads=table.count("heads"),
        kv_heads=table.count("kv_heads"),
        head_size=table.count("head_size"),
        vocabulary=table.count("vocabulary"),
        context_length=table.count("context_length"),
    )
    table.finish()
    return architecture


def _read_repository(table: TomlTable) -> tuple[Repository, list[Variant]]:
    name = _safe(table, "name", table.required("name", str))
    if name.count("/") != 1:
        raise table.error("name", f"must be owner/name, not {name!r}")
    revision = table.optional("revision", str)
    if revision is not None and not _REVISION.fullmatch(revision):
        raise table.error("revision", f"must be a commit or a branch, not {revision!r}")
    repository = Repository(name, table.optional("gated", bool), revision)
    variants = [_read_variant(each, repository) for each in table.tables("variants")]
    table.finish()
    return repository, variants


def _read_variant(table: TomlTable, repository: Repository) -> Variant:
    first = _safe(table, "file", table.required("file", str))
    paths = all_parts(first)
    size = table.optional_count("size")
    sha256 = table.optional("sha256", str)
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise table.error("sha256", f"must be 64 hexadecimal digits, not {sha256!r}")
    if len(paths) > 1 and (size or sha256):
        raise table.error("size and sha256", "cannot be given for a file in several parts")
    gigabytes = table.optional("approximate_gb", float)
    if gigabytes is not None and not 0 < gigabytes < 1e6:
        raise table.error("approximate_gb", f"must be above 0, not {gigabytes}")
    variant = Variant(
        repository=repository.name,
        quantization=_quantization(table, first),
        files=tuple(WeightFile(path, size, sha256 and sha256.lower()) for path in paths),
        revision=repository.revision,
        approximate_size=None if gigabytes is None else round(gigabytes * GIGABYTE),
    )
    table.finish()
    return variant


def _quantization(table: TomlTable, file: str) -> str:
    if (text := table.optional("quantization", str)) is None:
        return quantization_of(file) or UNKNOWN
    if (quantization := parse_quantization(text)) is None:
        raise table.error("quantization", f"must be a name such as Q4_K_M, not {text!r}")
    return quantization


def _safe(table: TomlTable, field: str, name: str) -> str:
    try:
        return check_name(name)
    except UnsafeFileName as error:
        raise table.error(field, f"cannot be used. {str(error).removesuffix('.')}") from error
