from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_llama.errors import SettingsError
from edge_llama.weights.catalog.catalog import (
    Architecture,
    Catalog,
    CatalogModel,
    Repository,
    load_catalog,
    user_catalog_file,
)
from edge_llama.weights.catalog.quantization import QUALITY, RETIRED, UNKNOWN, quality_rank
from edge_llama.weights.catalog.split import is_complete
from edge_llama.weights.catalog.variant import Variant, WeightFile

IDS = [
    "llama-3.2-1b-instruct",
    "llama-3.2-3b-instruct",
    "llama-3.1-8b-instruct",
    "llama-3.3-70b-instruct",
    "llama-3.1-70b-instruct",
    "llama-3.1-405b-instruct",
]
ASKED = [
    "smollm2-135m-instruct",
    "smollm2-360m-instruct",
    "smollm2-1.7b-instruct",
    "tinyllama-1.1b-chat",
    "hermes-3-llama-3.1-8b",
    "deepseek-r1-distill-llama-8b",
    "nomic-embed-text-v1.5",
    "bge-reranker-v2-m3",
]
"""Models of which the hub is asked for everything but the repository."""
TIED = {"llama-3.2-1b-instruct", "llama-3.2-3b-instruct"}
"""Models whose output matrix is the embedding."""


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.toml"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return load_catalog(tmp_path_factory.mktemp("none") / "catalog.toml")


def model(catalog: Catalog, name: str) -> CatalogModel:
    found = catalog.find(name)
    assert found is not None
    return found


def test_the_bundled_models(bundled: Catalog) -> None:
    assert [model.id for model in bundled.models] == [*IDS, *ASKED]


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("llama-3.1-8b-instruct", "llama-3.1-8b-instruct"),
        ("meta/llama-3.1-8b-instruct", "llama-3.1-8b-instruct"),
        ("llama3_1_8b_instruct", "llama-3.1-8b-instruct"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
        ("llama3.1", "llama-3.1-8b-instruct"),
        ("LLAMA3.1:8B", "llama-3.1-8b-instruct"),
        ("llama3.1:70b", "llama-3.1-70b-instruct"),
        ("llama3.1:405b", "llama-3.1-405b-instruct"),
        ("llama3.2", "llama-3.2-3b-instruct"),
        ("llama3.2:1b", "llama-3.2-1b-instruct"),
        ("llama3.3", "llama-3.3-70b-instruct"),
    ],
)
def test_a_model_has_the_names_it_has_elsewhere(bundled: Catalog, name: str, model_id: str) -> None:
    assert model(bundled, name).id == model_id


def test_no_name_belongs_to_two_models(bundled: Catalog) -> None:
    names = [name.casefold() for model in bundled.models for name in model.names]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("model_id", IDS)
def test_the_numbers_of_an_architecture_agree(bundled: Catalog, model_id: str) -> None:
    shape = model(bundled, model_id).architecture
    assert shape is not None
    width, kv_width = shape.embedding_length, shape.kv_heads * shape.head_size
    assert shape.heads * shape.head_size == width
    matrices = 2 * width * width + 2 * width * kv_width + 3 * width * shape.feed_forward_length
    embeddings = shape.vocabulary * width * (1 if model_id in TIED else 2)
    norms = (2 * shape.layers + 1) * width
    assert shape.parameters == shape.layers * matrices + embeddings + norms
    assert (shape.vocabulary, shape.context_length) == (128_256, 131_072)


@pytest.mark.parametrize(
    ("model_id", "kibibytes"),
    [
        ("llama-3.2-1b-instruct", 32),
        ("llama-3.2-3b-instruct", 112),
        ("llama-3.1-8b-instruct", 128),
        ("llama-3.3-70b-instruct", 320),
        ("llama-3.1-70b-instruct", 320),
        ("llama-3.1-405b-instruct", 1008),
    ],
)
def test_kv_cache_of_a_token(bundled: Catalog, model_id: str, kibibytes: int) -> None:
    assert model(bundled, model_id).kv_bytes_per_token == kibibytes * 1024


@pytest.mark.parametrize("model_id", IDS)
def test_the_variants_of_a_model(bundled: Catalog, model_id: str) -> None:
    entry = model(bundled, model_id)
    assert entry.licence
    assert entry.licence_url
    assert entry.licence_url.startswith("https://")
    assert entry.parameters
    assert entry.variant("Q4_K_M") is not None
    for variant in entry.variants:
        assert is_complete([file.path for file in variant.files])
        assert variant.quantization.removeprefix("UD-") in QUALITY
        assert variant.quantization not in (UNKNOWN, *RETIRED)
        assert variant.revision is None or re.fullmatch("[0-9a-f]{40}", variant.revision)
        size = variant.expected_size
        assert size is not None
        # Between the two bits a weight of IQ1_M and the sixteen of F16, with its tokenizer.
        assert 0.2 < size / entry.parameters < 2.02
        for file in variant.files:
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


@pytest.mark.parametrize("model_id", IDS)
def test_a_better_quantization_is_larger(bundled: Catalog, model_id: str) -> None:
    """Within one family of a repository; it finds a digit that was copied wrong."""
    families = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_L", "Q3_K_M", "Q2_K")
    entry = model(bundled, model_id)
    for repository in entry.repositories:
        sizes = [
            (quality_rank(variant.quantization), -(variant.expected_size or 0))
            for variant in entry.variants
            if variant.repository == repository.name and variant.quantization in families
        ]
        assert sizes == sorted(sizes)


def test_a_repeated_hash_or_size_is_a_copying_mistake(bundled: Catalog) -> None:
    files = [file for model in bundled.models for v in model.variants for file in v.files]
    hashes = [file.sha256 for file in files if file.sha256]
    sizes = [file.size for file in files if file.size]
    assert len(set(hashes)) == len(hashes) >= 17
    assert len(set(sizes)) == len(sizes) >= 28


def test_the_parts_of_a_split_variant(bundled: Catalog) -> None:
    variant = model(bundled, "llama-3.1-405b-instruct").variants[0]
    assert len(variant.files) == 6
    assert variant.files[5].path == "Meta-Llama-3.1-405B-Instruct-Q4_K_M-00006-of-00006.gguf"
    assert (variant.size, variant.expected_size) == (None, 245_700_000_000)


def test_the_shortest_entry_of_a_user(user_file: Path) -> None:
    user_file.write_text('[[model]]\nid = "mine"\nrepositories = [{ name = "o/Mine-GGUF" }]\n')
    catalog = load_catalog(user_file)
    assert [entry.id for entry in catalog.models] == [*IDS, *ASKED, "mine"]
    mine = model(catalog, "MINE")
    assert mine == CatalogModel("mine", "mine", repositories=(Repository("o/Mine-GGUF"),))
    assert (mine.parameters, mine.layers) == (None, None)
    assert (mine.kv_bytes_per_token, mine.context_length) == (None, None)
    assert mine.variant("Q4_K_M") is None


def test_an_entry_with_everything(user_file: Path) -> None:
    user_file.write_text(
        """
        [[model]]
        id = "mine"
        name = "My Model"
        aliases = ["o/Mine"]
        licence = "MIT"
        licence_url = "https://example.com/licence"
        [model.architecture]
        parameters = 8
        layers = 1
        embedding_length = 2
        feed_forward_length = 3
        heads = 4
        kv_heads = 5
        head_size = 6
        vocabulary = 7
        context_length = 9
        [[model.repositories]]
        name = "o/Mine-GGUF"
        gated = true
        revision = "c0ffee"
        variants = [
          { file = "a/m-00001-of-00002.gguf", quantization = "q6_k", approximate_gb = 3 },
          { file = "m-Q4_K_M.gguf", size = 5, sha256 = "%s" },
          { file = "m.gguf" },
        ]
        """
        % ("AB" * 32)
    )
    parts = (WeightFile("a/m-00001-of-00002.gguf"), WeightFile("a/m-00002-of-00002.gguf"))
    q6 = Variant("o/Mine-GGUF", "Q6_K", parts, "c0ffee", 3_000_000_000)
    q4_file = WeightFile("m-Q4_K_M.gguf", 5, "ab" * 32)
    q4 = Variant("o/Mine-GGUF", "Q4_K_M", (q4_file,), "c0ffee")
    unknown = Variant("o/Mine-GGUF", UNKNOWN, (WeightFile("m.gguf"),), "c0ffee")
    mine = model(load_catalog(user_file), "o/mine")
    assert mine == CatalogModel(
        id="mine",
        name="My Model",
        aliases=("o/Mine",),
        licence="MIT",
        licence_url="https://example.com/licence",
        architecture=Architecture(
            parameters=8,
            layers=1,
            embedding_length=2,
            feed_forward_length=3,
            heads=4,
            kv_heads=5,
            head_size=6,
            vocabulary=7,
            context_length=9,
        ),
        repositories=(Repository("o/Mine-GGUF", True, "c0ffee"),),
        variants=(q6, q4, unknown),
    )
    assert mine.variant("Q4_K_M") == q4
    assert mine.kv_bytes_per_token == 2 * 1 * 5 * 6 * 2


def test_an_entry_of_the_user_replaces_a_bundled_one(user_file: Path) -> None:
    user_file.write_text(
        '[[model]]\nid = "llama-3.1-8b-instruct"\nrepositories = [{ name = "o/r" }]\n'
    )
    catalog = load_catalog(user_file)
    assert len(catalog.models) == len(IDS) + len(ASKED)
    assert model(catalog, "llama-3.1-8b-instruct").repositories == (Repository("o/r"),)
    assert catalog.find("llama3.1:8b") is None


def test_a_name_that_the_user_gives_is_the_user_s(user_file: Path) -> None:
    user_file.write_text(
        '[[model]]\nid = "mine"\naliases = ["Llama3.1"]\nrepositories = [{ name = "o/r" }]\n'
    )
    assert model(load_catalog(user_file), "llama3.1").id == "mine"


ENTRY = '[[model]]\nid = "mine"\nrepositories = [{ name = "o/r" }]\n'


def variant_entry(variant: str) -> str:
    return ENTRY.replace('"o/r" }', f'"o/r", variants = [{{ {variant} }}] }}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = 1", "catalog: model must be a list, not 1"),
        ("[[models]]", "catalog: models is not a field that is known here"),
        ("model = [1]", "catalog: model must be a list of tables, but has 1"),
        ("[[model]]", "model 1: id is missing. Add it, as a text"),
        ('[[model]]\nid = "A:b"', "model 1: id may have a-z"),
        ('[[model]]\nid = "mine"', "model 'mine': repositories is missing"),
        (ENTRY + "parameters = 8", "parameters is not a field that is known here"),
        (ENTRY + "aliases = [1]", "model 'mine': aliases must be a list of texts, but has 1"),
        (ENTRY + "name = true", "model 'mine': name must be a text, not True"),
        (ENTRY + "architecture = { layers = 1 }", "architecture: parameters is missing"),
        (ENTRY + "architecture = { parameters = 0 }", "parameters must be at least 1, not 0"),
        (ENTRY + "architecture = { parameters = true }", "must be a whole number, not True"),
        (ENTRY + ENTRY.replace("mine", "other") + 'aliases = ["Mine"]', "a name of both mine"),
        (ENTRY.replace("o/r", "o"), "repositories 1: name must be owner/name, not 'o'"),
        (ENTRY.replace("o/r", "../r"), "repositories 1: name cannot be used"),
        (ENTRY.replace('"o/r"', '"o/r", revision = "a/../b"'), "revision must be a commit"),
        (ENTRY.replace('"o/r"', '"o/r", gated = "no"'), "gated must be true or false, not 'no'"),
        (variant_entry('file = "C:/x.gguf"'), "variants 1: file cannot be used"),
        (variant_entry("size = 1"), "variants 1: file is missing"),
        (variant_entry('file = "x.gguf", size = -1'), "size must be at least 1, not -1"),
        (variant_entry('file = "x.gguf", sha256 = "xyz"'), "sha256 must be 64 hexadecimal"),
        (variant_entry('file = "x.gguf", quantization = "good"'), "must be a name such as Q4_K_M"),
        (variant_entry('file = "x.gguf", approximate_gb = 0'), "approximate_gb must be above 0"),
        (variant_entry('file = "x.gguf", approximate_gb = nan'), "approximate_gb must be above 0"),
        (
            variant_entry('file = "x-00001-of-00002.gguf", size = 5'),
            "size and sha256 cannot be given for a file in several parts",
        ),
        ("model = ", "is not a catalog that can be read"),
        ("x = " + "[" * 5000, "is not a catalog that can be read"),
    ],
)
def test_a_mistake_is_told_with_file_entry_and_field(user_file: Path, text: str, said: str) -> None:
    user_file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_catalog(user_file)
    message = str(caught.value)
    assert message.startswith(str(user_file))
    assert said in message
    assert "\n" not in message


def test_a_file_in_another_encoding_is_refused(user_file: Path) -> None:
    user_file.write_bytes(b'x = "\xff"')
    with pytest.raises(SettingsError, match="is not a catalog that can be read"):
        load_catalog(user_file)


def test_a_folder_in_its_place_is_refused(user_file: Path) -> None:
    user_file.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_catalog(user_file)


def test_the_catalog_of_the_user_is_in_the_home_of_edge_llama(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path))
    (tmp_path / "catalog.toml").write_text(ENTRY)
    assert user_catalog_file() == tmp_path / "catalog.toml"
    assert model(load_catalog(), "mine").id == "mine"


def test_without_such_a_home_it_is_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_LLAMA_HOME", raising=False)
    path = user_catalog_file()
    assert path.is_absolute()
    assert (path.parent.name, path.name) == ("edge-llama", "catalog.toml")
