from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_llama.errors import EdgeLlamaError, SettingsError, UnknownModel, UnsafeFileName
from edge_llama.planning.reference import (
    CatalogReference,
    DemoReference,
    FileReference,
    HubReference,
    UrlReference,
    parse_reference,
)
from edge_llama.weights.catalog.catalog import CatalogModel, load_catalog
from edge_llama.weights.catalog.quantization import QUALITY

CATALOG = load_catalog(Path(__file__).parent / "no-such-folder" / "catalog.toml")
REPOSITORY = "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF"


def entry(model_id: str) -> CatalogModel:
    model = CATALOG.find(model_id)
    assert model is not None
    return model


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["demo", "Demo"])
def test_the_demo(name: str) -> None:
    assert parse_reference(name, CATALOG) == DemoReference()


@pytest.mark.parametrize(
    "name",
    [
        "./model.gguf",
        "../model.gguf",
        ".\\model.gguf",
        "/models/model.gguf",
        "~/model.gguf",
        "C:\\models\\model.gguf",
        "c:/models/model",
        "\\\\server\\share\\model.gguf",
        "./llama-3.1-8b-instruct",
        "..",
    ],
)
def test_what_looks_like_a_path_is_one(name: str) -> None:
    assert parse_reference(name, CATALOG) == FileReference(Path(name))


@pytest.mark.parametrize("name", ["model.gguf", "models/a/MODEL.GGUF", "blob", "a/b"])
def test_what_is_there_is_a_path(name: str, empty_folder: Path) -> None:
    path = empty_folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert parse_reference(name, CATALOG) == FileReference(Path(name))


def test_a_file_does_not_hide_a_catalog_entry(empty_folder: Path) -> None:
    (empty_folder / "llama3.1").touch()
    assert isinstance(parse_reference("llama3.1", CATALOG), CatalogReference)


def test_a_folder_does_not_hide_a_repository(empty_folder: Path) -> None:
    (empty_folder / REPOSITORY).mkdir(parents=True)
    assert parse_reference(REPOSITORY, CATALOG) == HubReference(REPOSITORY)


@pytest.mark.parametrize(
    ("name", "model_id", "quantization"),
    [
        ("llama-3.1-8b-instruct", "llama-3.1-8b-instruct", None),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct", None),
        ("meta/llama-3.1-8b-instruct", "llama-3.1-8b-instruct", None),
        ("llama3.1:8b", "llama-3.1-8b-instruct", None),
        ("llama3.1:8b:Q5_K_M", "llama-3.1-8b-instruct", "Q5_K_M"),
        ("Llama-3.1-8B-Instruct:q5_k_m", "llama-3.1-8b-instruct", "Q5_K_M"),
        ("llama3.1:8b-instruct-q4_K_M", "llama-3.1-8b-instruct", "Q4_K_M"),
        ("llama3.2:1b-instruct-fp16", "llama-3.2-1b-instruct", "F16"),
        ("llama3.2:UD-Q4_K_XL", "llama-3.2-3b-instruct", "UD-Q4_K_XL"),
        ("meta-llama/Llama-3.3-70B-Instruct:IQ2_XXS", "llama-3.3-70b-instruct", "IQ2_XXS"),
    ],
)
def test_a_name_of_the_catalog(name: str, model_id: str, quantization: str | None) -> None:
    assert parse_reference(name, CATALOG) == CatalogReference(entry(model_id), quantization)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        (REPOSITORY, HubReference(REPOSITORY)),
        (f"{REPOSITORY}:latest", HubReference(REPOSITORY)),
        (f"{REPOSITORY}:iq4_xs", HubReference(REPOSITORY, "IQ4_XS")),
        (f"hf.co/{REPOSITORY}:Q4_K_M", HubReference(REPOSITORY, "Q4_K_M")),
        (f"huggingface.co/{REPOSITORY}", HubReference(REPOSITORY)),
        ("HF.co/meta-llama/Llama-3.1-8B", HubReference("meta-llama/Llama-3.1-8B")),
        ("o/r/m.gguf", HubReference("o/r", filename="m.gguf")),
        ("o/r/a/b/m.GGUF", HubReference("o/r", filename="a/b/m.GGUF")),
        ("o/r:m.gguf", HubReference("o/r", filename="m.gguf")),
        ("https://huggingface.co/o/r", HubReference("o/r")),
        ("https://huggingface.co/o/r/", HubReference("o/r")),
        ("https://hf.co/o/r:Q8_0", HubReference("o/r", "Q8_0")),
        ("https://huggingface.co/o/r/tree/main/a", HubReference("o/r")),
        (
            "https://huggingface.co/o/r?show_file_info=a%2Fm.gguf",
            HubReference("o/r", filename="a/m.gguf"),
        ),
        (
            "https://huggingface.co/o/r/tree/main?show_file_info=m.gguf#x",
            HubReference("o/r", filename="m.gguf"),
        ),
        ("hf.co/o/r?show_file_info=m.gguf#x", HubReference("o/r", filename="m.gguf")),
        ("hf.co/o/r?library=llama.cpp", HubReference("o/r")),
        ("hf.co/o/r/blob/main/m.gguf?download=true#L1", HubReference("o/r", filename="m.gguf")),
        (
            "https://huggingface.co/o/r/resolve/main/a/m.gguf?download=true",
            HubReference("o/r", filename="a/m.gguf"),
        ),
        (
            "https://huggingface.co/o/r/blob/c0ffee/m%20n.gguf",
            HubReference("o/r", filename="m n.gguf", revision="c0ffee"),
        ),
        ("huggingface.co/o/r/blob/main/m.gguf", HubReference("o/r", filename="m.gguf")),
    ],
)
def test_a_repository_of_the_hub(name: str, reference: HubReference) -> None:
    assert parse_reference(name, CATALOG) == reference


@pytest.mark.parametrize(
    "name",
    [
        "a/..\\..\\b",
        "o/../../.bashrc",
        "o/r/../../.bashrc.gguf",
        "o/r/a//b.gguf",
        "o/r//etc/x.gguf",
        "o/r/C:/x.gguf",
        "o/r/a\\b.gguf",
        "o/r/m\n.gguf",
        "o/r/m\0.gguf",
        "o/r/NUL.gguf",
        "o/r/.gguf",
        "o/r:../m.gguf",
        "hf.co/../r",
        "hf.co/o/r/../m.gguf",
        "https://huggingface.co/o/r/resolve/main/%2e%2e/m.gguf",
        "https://huggingface.co/o/r/resolve/main/..%2fm.gguf",
        "https://huggingface.co/o/r/resolve/../m.gguf",
    ],
)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(UnsafeFileName):
        parse_reference(name, CATALOG)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("llama-3.1-8b-instuct", "Did you mean llama-3.1-8b-instruct"),
        ("lama3.1", "Did you mean llama-3.1-8b-instruct"),
        ("llama3.1:9b", "Did you mean llama-3.1-8b-instruct"),
        ("dmo", "Did you mean demo?"),
        (
            "llama9",
            "llama-3.3-70b-instruct, llama-3.2-3b-instruct or llama-3.1-8b-instruct?",
        ),
        ("gpt-5", "There is no model 'gpt-5'. Give a name that `edge-llama list --all` shows"),
        ("", "There is no model ''"),
        ("mistral.gguf", "There is no file 'mistral.gguf'"),
        ("models/mistral.gguf", "There is no file 'models/mistral.gguf'"),
        ("llama3.1:Q9_K", "'Q9_K' is not a quantization of llama-3.1-8b-instruct"),
        ("o/r:good", "'good' of o/r is neither a quantization such as Q4_K_M nor a .gguf file"),
        ("o/r/tokenizer.json", "Give o/r:QUANT or o/r/file.gguf"),
        ("o/a model", "'o/a model' is not a repository of the hub"),
        ("o/a--b", "'o/a--b' is not a repository of the hub"),
        ("hf.co/o", "'o/' is not a repository of the hub"),
    ],
)
def test_an_unknown_name_is_answered_with_what_to_type(name: str, said: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        parse_reference(name, CATALOG)
    assert said in str(caught.value)


def test_another_server_needs_a_flag() -> None:
    url = "https://example.com/models/My%20Model-Q4_0.gguf?x=1"
    with pytest.raises(SettingsError, match="With `allow_url`"):
        parse_reference(url, CATALOG)
    assert parse_reference(url, CATALOG, allow_url=True) == UrlReference(url, "My Model-Q4_0.gguf")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://huggingface.co/o/r", "https:// only"),
        ("http://example.com/m.gguf", "https:// only"),
        ("ftp://example.com/m.gguf", "https:// only"),
        ("file:///m.gguf", "https:// only"),
        ("https://", "https:// only"),
        ("https://example.com/\nm.gguf", "https:// only"),
        ("https://[::1", "not a URL that can be read"),
        ("https://me:secret@example.com/m.gguf", "user name or a password"),
        ("https://example.com/index.html", "not the address of a .gguf file"),
    ],
)
def test_a_url_that_is_never_allowed(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_reference(url, CATALOG, allow_url=True)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["https://example.com/", "https://example.com/a%5Cb.gguf"])
def test_a_url_must_name_a_file(name: str) -> None:
    with pytest.raises(UnsafeFileName):
        parse_reference(name, CATALOG, allow_url=True)


words = st.sampled_from(
    ["llama3.1", "demo", "hf.co", "o", "r", "..", "https:", "Q4_K_M", "a.gguf", "C:", "resolve"]
)
pieces = words | st.sampled_from(["/", ":", "\\", "//", "@", "?", "[", " ", "~"]) | st.text()


@given(name=st.lists(pieces).map("".join), allow_url=st.booleans())
@example(name="x" * 5000, allow_url=False)
@example(name="\ud800/x", allow_url=False)
@example(name="\0", allow_url=False)
@example(name="~nobody-of-this-name/x", allow_url=False)
def test_any_text_is_parsed_or_refused(name: str, allow_url: bool) -> None:
    try:
        reference = parse_reference(name, CATALOG, allow_url=allow_url)
    except EdgeLlamaError as error:
        assert str(error)  # noqa: PT017
    else:
        assert str(reference)
        if isinstance(reference, HubReference):
            assert "\\" not in str(reference)
            assert ".." not in str(reference).split("/")


names = st.from_regex(r"[A-Za-z0-9](?:[._-]?[A-Za-z0-9]){0,20}", fullmatch=True)
repositories = st.builds("{}/{}".format, names, names.filter(lambda name: name[-5:] != ".gguf"))
quantizations = st.none() | st.sampled_from(QUALITY)
filenames = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".gguf")


@given(
    st.builds(HubReference, repositories, quantizations)
    | st.builds(HubReference, repositories, filename=filenames)
    | st.builds(HubReference, repositories, filename=filenames, revision=names)
    | st.builds(CatalogReference, st.sampled_from(CATALOG.models), quantizations)
)
def test_a_reference_is_parsed_from_its_own_text(
    reference: HubReference | CatalogReference,
) -> None:
    assert parse_reference(str(reference), CATALOG) == reference
