from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gguf
import llama_cpp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_llama.errors import ModelFileError
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.gguf.ggml_types import TENSOR_TYPES, TensorType
from edge_llama.weights.gguf.header import (
    MAX_HEADER_BYTES,
    MAX_LISTED_BYTES,
    MAX_METADATA,
    MAX_TENSORS,
    MAX_TEXT_BYTES,
    MAX_TEXTS,
    SkippedArray,
    check_header,
    read_header,
    read_numbers,
    read_strings,
)
from tests.effort import at_most
from tests.gguf_factory import write_tiny_gguf

STRING, ARRAY, UINT32, UINT64 = 8, 9, 4, 10


def fixed_part(
    version: int = 3, tensors: int = 2, metadata: int = 3, body: int = 200, order: str = "<"
) -> bytes:
    return struct.pack(f"{order}4sIQQ", b"GGUF", version, tensors, metadata) + bytes(body)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, length: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, length) + values


def tensor(
    name: str = "t", shape: tuple[int, ...] = (32, 2), kind: int = 8, offset: int = 0
) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


NAME = entry("general.name", STRING, text("A model"))


def whole(
    entries: Sequence[bytes] = (NAME,), tensors: Sequence[bytes] = (), data: int = 0
) -> bytes:
    head = fixed_part(tensors=len(tensors), metadata=len(entries), body=0)
    head += b"".join((*entries, *tensors))
    return head + bytes(-len(head) % 32) + bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf", n_vocab=300)


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with at_most(500), pytest.raises(ModelFileError) as caught:
        read_header(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


class TestFixedPart:
    @pytest.mark.parametrize("version", [2, 3])
    def test_a_plausible_one_passes(self, path: Path, version: int) -> None:
        path.write_bytes(fixed_part(version))
        check_header(path)

    def test_the_first_file_of_a_split_may_be_without_tensors(self, path: Path) -> None:
        path.write_bytes(fixed_part(tensors=0))
        check_header(path)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"<!DOCTYPE html>" * 10, "does not begin with 'GGUF'"),
            (b"GG", "does not begin with 'GGUF'"),
            (b"GGUF", "is cut off: 4 bytes"),
            (fixed_part()[:23], "is cut off: 23 bytes"),
            (fixed_part(version=1), "GGUF version 0x1"),
            (fixed_part(version=4), "GGUF version 0x4"),
            (fixed_part(order=">"), "GGUF version 0x3000000"),
            (fixed_part(metadata=0), "and 0 metadata entries"),
            (fixed_part(tensors=1 << 40), "announces 1099511627776 tensors"),
            (fixed_part(tensors=MAX_TENSORS + 1), "announces 32769 tensors"),
            (fixed_part(metadata=MAX_METADATA + 1), "and 4097 metadata entries"),
            (fixed_part(metadata=(1 << 64) - 1), "18446744073709551615 metadata entries"),
            (fixed_part(tensors=291, metadata=30), "is cut off: 224 bytes"),
            (fixed_part(body=107), "is cut off: 131 bytes"),
        ],
    )
    def test_a_broken_one_is_refused(self, path: Path, content: bytes, said: str) -> None:
        assert said in refusal(path, content)
        with pytest.raises(ModelFileError, match=r"model\.gguf"):
            check_header(path)

    def test_an_unreadable_file_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(self: Path, mode: str) -> None:
            raise PermissionError(13, "Permission denied")

        path.write_bytes(fixed_part())
        monkeypatch.setattr(Path, "open", denied)
        with pytest.raises(ModelFileError, match="cannot be read: Permission denied"):
            check_header(path)

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="is not a file"):
            check_header(tmp_path)

    if sys.platform != "win32":

        def test_a_pipe_is_refused_at_once(self, path: Path) -> None:
            os.mkfifo(path)
            with pytest.raises(ModelFileError, match="is not a file"):
                check_header(path)


def test_the_types_are_those_of_the_installed_llama_cpp() -> None:
    library = llama_cpp.llama_cpp._lib
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    theirs = {}
    for number in range(llama_cpp.GGML_TYPE_COUNT):
        if weights := library.ggml_blck_size(number):
            name = library.ggml_type_name(number).decode().upper()
            theirs[number] = TensorType(name, weights, library.ggml_type_size(number))
    assert theirs == TENSOR_TYPES


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_demo_reads_as_with_llama_cpps_own_package() -> None:
    path = bundled_model()
    header, other = read_header(path), gguf.GGUFReader(path)
    assert header.metadata["general.architecture"] == "llama"
    assert header.data_start == other.data_offset
    assert header.data_end <= path.stat().st_size
    for ours, theirs in zip(header.tensors, other.tensors, strict=True):
        assert (ours.name, ours.shape) == (theirs.name, tuple(theirs.shape.tolist()))
        assert (ours.type.name, ours.size) == (theirs.tensor_type.name, theirs.n_bytes)
        assert header.data_start + ours.offset == theirs.data_offset
    scalars = {
        key: value[:MAX_TEXT_BYTES] if isinstance(value := field.contents(), str) else value
        for key, field in other.fields.items()
        if key.split(".")[0] != "GGUF" and field.types[0] != gguf.GGUFValueType.ARRAY
    }
    assert scalars == {
        key: pytest.approx(value) if isinstance(value, float) else value
        for key, value in header.metadata.items()
        if not isinstance(value, (SkippedArray, tuple))
    }


def test_metadata_of_every_type_is_read(path: Path) -> None:
    numbers = {
        0: ("<B", 200),
        1: ("<b", -3),
        2: ("<H", 60000),
        3: ("<h", -300),
        4: ("<I", 4_000_000_000),
        5: ("<i", -70000),
        6: ("<f", 0.5),
        7: ("<?", True),
        10: ("<Q", 1 << 63),
        11: ("<q", -1),
        12: ("<d", 0.1),
    }
    entries = [entry(str(kind), kind, struct.pack(*packed)) for kind, packed in numbers.items()]
    entries += [
        entry("short", ARRAY, array(UINT32, 2, struct.pack("<II", 7, 8))),
        entry("words", ARRAY, array(STRING, 2, text("a") + text("é"))),
        entry("long", ARRAY, array(UINT32, 300, bytes(1200))),
        entry("vocabulary", ARRAY, array(STRING, 300, text("token") * 300)),
        NAME,
    ]
    path.write_bytes(whole(tuple(entries)))
    metadata = read_header(path).metadata
    assert {key: metadata[key] for key in map(str, numbers)} == {
        str(kind): value for kind, (_, value) in numbers.items()
    }
    assert metadata["short"] == (7, 8)
    assert metadata["words"] == SkippedArray(2)
    assert metadata["long"] == metadata["vocabulary"] == SkippedArray(300)
    assert metadata["general.name"] == "A model"


def test_tensors_are_described(path: Path) -> None:
    tensors = (tensor("a", (64, 3), 8), tensor("b", (5,), 0, offset=224), tensor("c", (), 0, 256))
    path.write_bytes(whole(tensors=tensors, data=260))
    a, b, c = read_header(path).tensors
    assert (a.name, a.shape, a.n_weights, a.size) == ("a", (64, 3), 192, 204)
    assert (b.type.name, b.offset, b.size) == ("F32", 224, 20)
    assert (c.n_weights, c.size) == (1, 4)


def test_the_data_may_be_aligned_otherwise(path: Path) -> None:
    aligned = entry("general.alignment", UINT32, struct.pack("<I", 4096))
    content = whole((aligned,), (tensor(),))
    path.write_bytes(content + bytes(4096 - len(content) + 68))
    assert read_header(path).data_start == 4096


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (whole((entry("k", 13, bytes(8)),)), "metadata value of the unknown type 13"),
        (whole((entry("k", ARRAY, array(ARRAY, 1, bytes(20))),)), "array of arrays"),
        (whole((entry("k", ARRAY, array(77, 2, bytes(20))),)), "of the unknown type 77"),
        (whole((entry("k", ARRAY, array(77, 1 << 60)),)), "array of the unknown type 77"),
        (whole((entry("k", ARRAY, array(STRING, 1 << 60)),)), "is cut off"),
        (whole((entry("k", ARRAY, array(UINT64, (1 << 64) - 1)),)), "is cut off"),
        (whole((entry("k", STRING, struct.pack("<Q", (1 << 64) - 1)),)), "is cut off"),
        (whole((entry("k", ARRAY, array(STRING, 300, b"\xff" * 2400)),)), "is cut off"),
        (whole((entry("k" * 257, 7, b"\1"),)), "a name of 257 bytes"),
        (whole((NAME, NAME)), "a metadata entry twice"),
        (whole(tensors=(tensor(), tensor())), "a tensor twice"),
        (whole(tensors=(tensor("a\nb", (1,) * 5),)), r"tensor 'a\nb' has 5 dimensions"),
        (whole(tensors=(tensor(kind=99),)), "'t' is of the unknown type 99"),
        (whole(tensors=(tensor(shape=(33, 2)),)), "'t' has an impossible shape for Q8_0"),
        (whole(tensors=(tensor(shape=(1 << 40, 1 << 40)),)), "an impossible shape"),
        (whole(tensors=(tensor(offset=7),), data=100), "'t' is not aligned"),
        (whole(tensors=(tensor(offset=1 << 63),), data=100), "is cut off: 9,223,372,"),
        (whole((entry("a\0b", UINT32, bytes(4)),)), r"a metadata entry 'a\x00b'"),
        (whole((entry("general.alignment", UINT32, bytes(4)),)), "no power of two from 32 on"),
        (whole((entry("general.alignment", UINT32, b"\x10\0\0\0"),)), "no power of two from 32"),
        (whole((entry("general.alignment", UINT32, b"\x30\0\0\0"),)), "no power of two from 32"),
        (whole((entry("general.alignment", STRING, text("32")),)), "no power of two"),
    ],
)
def test_a_hostile_header_is_refused(path: Path, content: bytes, said: str) -> None:
    assert said in refusal(path, content)


def test_a_truncated_file_is_refused_with_what_is_missing(path: Path, tiny: Path) -> None:
    content = tiny.read_bytes()
    assert "is cut off: 1,000 bytes are missing" in refusal(path, content[:-1000])
    assert "too few for its header" in refusal(path, content[:4000])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (array(STRING, MAX_HEADER_BYTES // 4), "has more than 2,097,152 texts"),
        (array(STRING, 1, struct.pack("<Q", MAX_HEADER_BYTES)), "has more than 64 MiB"),
        (array(UINT64, MAX_HEADER_BYTES // 8), "has more than 64 MiB"),
    ],
)
def test_an_endless_header_is_refused(path: Path, values: bytes, said: str) -> None:
    head = fixed_part(tensors=0, metadata=1, body=0) + text("k") + struct.pack("<I", ARRAY)
    with path.open("wb") as file:
        file.write(head + values)
        file.truncate(MAX_HEADER_BYTES * 4)
    with pytest.raises(ModelFileError, match=said):
        read_header(path)


WORST = {
    "numbers": [entry(f"{n}", 7, b"\1") for n in range(MAX_METADATA)],
    "arrays": [
        entry(f"{n}", ARRAY, array(UINT64, 256, b"\1\2" * 1024)) for n in range(MAX_METADATA)
    ],
    "texts": [entry(f"{n}", STRING, text("😀" + "a" * 9000)) for n in range(MAX_METADATA)],
    "a long text": [entry("k", STRING, text("a" * (60 << 20)))],
    "a long array": [entry("k", ARRAY, array(0, 60 << 20, bytes(60 << 20)))],
    "a vocabulary": [entry("k", ARRAY, array(STRING, MAX_TEXTS, bytes(8 * MAX_TEXTS)))],
}


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """The file of a kind: they are large, so each is written once."""
    folder = tmp_path_factory.mktemp("worst")
    tensors = [tensor(f"{n}") for n in range(MAX_TENSORS)]

    def written(kind: str) -> Path:
        path = folder / f"{kind}.gguf"
        if not path.exists():
            path.write_bytes(whole(WORST[kind], tensors, data=68))
        return path

    yield written
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_header_takes_little_time(worst: Callable[[str], Path], kind: str) -> None:
    """Without the limits, one of 54 MB took 28 s and 510 MB."""
    path = worst(kind)
    with at_most(4000):
        assert len(read_header(path).tensors) == MAX_TENSORS


@pytest.mark.parametrize("kind", [kind for kind in WORST if kind != "a vocabulary"])
def test_the_worst_header_takes_little_memory(worst: Callable[[str], Path], kind: str) -> None:
    path = worst(kind)
    tracemalloc.start()
    try:
        assert len(read_header(path).metadata) == len(WORST[kind])
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


def test_of_a_long_text_the_beginning_is_kept(path: Path) -> None:
    path.write_bytes(whole((entry("k", STRING, text("abc" * 1000)), NAME)))
    metadata = read_header(path).metadata
    assert metadata["k"] == ("abc" * 1000)[:MAX_TEXT_BYTES]
    assert metadata["general.name"] == "A model"


def test_numbers_of_an_array_are_read(path: Path) -> None:
    entries = [
        entry(f"{count}", ARRAY, array(5, count, struct.pack(f"<{count}i", *range(count))))
        for count in (3, 300)
    ]
    path.write_bytes(whole((*entries, NAME)))
    header = read_header(path)
    assert read_numbers(path, header, "3", 2) == (0, 1)
    assert read_numbers(path, header, "300", 1000) == tuple(range(300))
    assert read_numbers(path, header, "300", 2) == (0, 1)
    assert read_numbers(path, header, "general.name", 2) == ()
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelFileError, match="was changed while it was read"):
        read_numbers(path, header, "300", 300)


def test_texts_of_an_array_are_read_up_to_a_limit(path: Path) -> None:
    words = ["", "é", "a" * MAX_LISTED_BYTES]
    for longest in ("", "a"):
        values = b"".join(map(text, [*words[:-1], words[-1] + longest]))
        path.write_bytes(whole((entry("k", ARRAY, array(STRING, 3, values)),)))
        strings = read_strings(path, read_header(path), "k")
        assert [next(strings), next(strings)] == [b"", "é".encode()]
        if not longest:
            assert list(strings) == [words[-1].encode()]
            continue
        with pytest.raises(ModelFileError, match="one of its 'k' has 65,537 bytes"):
            next(strings)


def test_a_vocabulary_of_llama_3s_size_takes_little_time(path: Path) -> None:
    words = text("a token") * 128_256
    merges = text("left right") * 280_147
    path.write_bytes(
        whole(
            (
                entry("tokenizer.ggml.tokens", ARRAY, array(STRING, 128_256, words)),
                entry("tokenizer.ggml.merges", ARRAY, array(STRING, 280_147, merges)),
            )
        )
    )
    with at_most(500):
        header = read_header(path)
    assert header.metadata["tokenizer.ggml.tokens"] == SkippedArray(128_256)


def reads_or_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with at_most(500):
        try:
            header = read_header(path)
        except ModelFileError:
            return
    assert header.data_end <= len(content)


FUZZ = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(data=st.data())
def test_damage_is_refused_or_harmless(path: Path, tiny: Path, data: st.DataObject) -> None:
    content = bytearray(tiny.read_bytes())
    places = st.integers(0, read_header(tiny).data_start - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    reads_or_is_refused(path, bytes(content))


@FUZZ
@given(data=st.data())
def test_hostile_numbers_are_refused_or_harmless(
    path: Path, tiny: Path, data: st.DataObject
) -> None:
    content = bytearray(tiny.read_bytes())
    place = data.draw(st.integers(0, read_header(tiny).data_start - 9))
    number = data.draw(st.sampled_from([0, 1, 9, (1 << 20), (1 << 31), (1 << 63), (1 << 64) - 1]))
    content[place : place + 8] = struct.pack("<Q", number)
    reads_or_is_refused(path, bytes(content))


@FUZZ
@given(data=st.data())
def test_any_truncation_is_refused(path: Path, tiny: Path, data: st.DataObject) -> None:
    content = tiny.read_bytes()
    end = read_header(tiny).data_end
    assert "cut off" in refusal(path, content[: data.draw(st.integers(4, end - 1))])
