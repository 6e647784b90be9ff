"""From the name of a model to its file."""

from __future__ import annotations

from pathlib import Path

from edge_llama.errors import ModelFileError, UnknownModel
from edge_llama.weights.demo import DEMO, bundled_model
from edge_llama.weights.gguf.model import read_model


def model_id(name: str) -> str:
    """The id under which the model `name` is served: `demo`, or the file's name without .gguf."""
    path = Path(name)
    return path.stem if path.suffix.lower() == ".gguf" else path.name


def name_of(name: str | Path) -> str:
    """A model's name, or its path, as text.

    Raises:
        UnknownModel: it is neither.
    """
    if not isinstance(name, str | Path):
        raise UnknownModel(f"A model's name or path is a string, not {name!r:.100}.")
    return str(name)


def resolve_model(name: str | Path) -> Path:
    """The absolute path of the GGUF that `name` means.

    Args:
        name: `demo`, or the path of a GGUF file; `~` is the home folder.

    Raises:
        UnknownModel: there is no such file.
        ModelFileError: its path is not valid UTF-8, it is cut off or lacks
            parts, or its header shows that it cannot be run.
    """
    name = name_of(name)
    path = bundled_model() if name == DEMO else _existing_file(name)
    _check_encoding(path)
    read_model(path)
    return path


def _check_encoding(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ModelFileError(
            f"The path {str(path)!r} is not valid UTF-8. Rename the file or its folder."
        ) from None


def _existing_file(name: str) -> Path:
    try:
        path = Path(name).expanduser().absolute()
        exists, is_file = path.exists(), path.is_file()
    except (OSError, RuntimeError) as error:
        raise ModelFileError(f"{name} cannot be read: {error}.") from error
    if not exists:
        raise UnknownModel(f"There is no file {name!r}. Give 'demo', or the path of a .gguf file.")
    if not is_file:
        raise ModelFileError(f"{path} is not a file. Give the path of a .gguf file.")
    return path
