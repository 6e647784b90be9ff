"""What a user who names a model means: the demo, a file, a catalog entry, the hub, a URL."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from edge_llama.errors import SettingsError, UnknownModel
from edge_llama.weights.catalog.catalog import Catalog, CatalogModel
from edge_llama.weights.catalog.quantization import parse_quantization
from edge_llama.weights.catalog.safe_name import check_name
from edge_llama.weights.demo import DEMO

_HUB_HOSTS = ("hf.co", "huggingface.co", "www.huggingface.co")
_HUB_PREFIX = re.compile(rf"(?:{'|'.join(map(re.escape, _HUB_HOSTS))})/", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_LIKE_A_PATH = re.compile(r"[/~\\]|\.\.?[/\\]|\.\.?$|[A-Za-z]:[/\\]", re.ASCII)
_FILE_PAGES = ("blob", "resolve", "raw")
_FOLDER_PAGE = "tree"
_SHOWN_FILE = "show_file_info"
_HUB_NAME = re.compile(r"(?!.*(?:--|\.\.))\w(?:[\w.-]{0,94}\w)?", re.ASCII)  # as the hub has it
_LIKE_A_QUANTIZATION = re.compile(r"(?:UD-)?(?:[IT]?Q|B?F)[0-9]", re.IGNORECASE)
_WAYS = (
    "Give a name that `edge-llama list --all` shows, the path of a .gguf file, or owner/repo:QUANT "
    "of huggingface.co."
)
_SUGGESTIONS = 3
_COMPARED = 100  # characters of a mistyped name; a longer one resembles nothing


@dataclass(frozen=True, slots=True)
class DemoReference:
    """The model that comes with the package."""

    def __str__(self) -> str:
        return DEMO


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file of this machine, which need not exist.

    Attributes:
        path: as it was typed; `~` is the home folder.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class CatalogReference:
    """A model of the catalog.

    Attributes:
        model: the entry.
        quantization: e.g. `Q4_K_M`; None leaves the choice.
    """

    model: CatalogModel
    quantization: str | None = None

    def __str__(self) -> str:
        return ":".join(filter(None, (self.model.id, self.quantization)))


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository of the hub, or a file of it.

    Attributes:
        repository: `owner/name`.
        quantization: e.g. `Q4_K_M`; None leaves the choice.
        filename: inside the repository, with `/`; None leaves the choice.
        revision: a commit or branch; None is the newest.
    """

    repository: str
    quantization: str | None = None
    filename: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        if self.filename is None:
            return ":".join(filter(None, (self.repository, self.quantization)))
        if self.revision is None:
            return f"{self.repository}/{self.filename}"
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.filename}"


@dataclass(frozen=True, slots=True)
class UrlReference:
    """A file on some other server.

    Attributes:
        url: https.
        filename: the last part of its path.
    """

    url: str
    filename: str

    def __str__(self) -> str:
        return self.url


Reference = DemoReference | FileReference | CatalogReference | HubReference | UrlReference


def parse_reference(name: str, catalog: Catalog, *, allow_url: bool = False) -> Reference:
    """What `name` means. Nothing is looked up but the catalog and whether there is such a file.

    Args:
        name: `demo`; a path; an id or alias of the catalog, with or without `:QUANT`; `owner/repo`,
            `owner/repo:QUANT` or `owner/repo/file.gguf`, also after `hf.co/`, or as the address
            of a page of huggingface.co; another https URL.
        allow_url: whether files may come from other servers than the hub.

    Raises:
        UnknownModel: it is none of these; the text suggests what is like it.
        UnsafeFileName: a name on the hub or of a URL would not be safe as a file's name.
        SettingsError: a URL that is not allowed.
    """
    if name.casefold() == DEMO:
        return DemoReference()
    if _SCHEME.match(name):
        return _parse_url(name, allow_url)
    if _LIKE_A_PATH.match(name) or (name.lower().endswith(".gguf") and _is_file(name)):
        return FileReference(Path(name))
    if reference := _in_catalog(name, catalog):
        return reference
    if prefix := _HUB_PREFIX.match(name):
        path, _, query = name[prefix.end() :].partition("#")[0].partition("?")
        return _parse_hub_page(path, query)
    if _is_file(name):
        return FileReference(Path(name))
    if "/" in name or "\\" in name:
        return _parse_hub(name)
    raise _unknown(name, catalog)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than a path can be, or not a path at all
        return False


def _in_catalog(name: str, catalog: Catalog) -> CatalogReference | None:
    if model := catalog.find(name):
        return CatalogReference(model)
    # The `-` is of Ollama's tags: llama3.1:8b-instruct-q5_K_M.
    for separator in (":", "-"):
        head, _, tail = name.rpartition(separator)
        if (quantization := parse_quantization(tail)) and (model := catalog.find(head)):
            return CatalogReference(model, quantization)
    return None


def _parse_hub(text: str) -> HubReference:
    text, _, tag = text.partition(":")
    owner, _, rest = text.partition("/")
    name, _, filename = rest.partition("/")
    repository = _repository(owner, name)
    if filename:
        return _hub_file(repository, f"{filename}:{tag}" if tag else filename)
    if name.lower().endswith(".gguf") and not tag:
        raise UnknownModel(f"There is no file {text!r}. {_WAYS}")
    if tag.lower() in ("", "latest"):
        return HubReference(repository)
    if quantization := parse_quantization(tag):
        return HubReference(repository, quantization)
    return _hub_file(repository, tag)


def _repository(owner: str, name: str) -> str:
    repository = f"{owner}/{name}"
    if owner and name:
        check_name(repository)
    if not (_HUB_NAME.fullmatch(owner) and _HUB_NAME.fullmatch(name)):
        raise UnknownModel(f"{repository!r} is not a repository of the hub. {_WAYS}")
    return repository


def _hub_file(repository: str, filename: str, revision: str | None = None) -> HubReference:
    check_name(filename)
    if not filename.lower().endswith(".gguf"):
        raise UnknownModel(
            f"{filename!r} of {repository} is neither a quantization such as Q4_K_M nor a .gguf "
            f"file. Give {repository}:QUANT or {repository}/file.gguf."
        )
    return HubReference(repository, filename=filename, revision=revision)


def _parse_url(url: str, allow_url: bool) -> HubReference | UrlReference:
    try:
        parts = urlsplit(url)
        host, has_password = parts.hostname, "@" in parts.netloc
    except ValueError as error:
        raise SettingsError(f"{url!r} is not a URL that can be read: {error}.") from error
    if parts.scheme != "https" or not host or not url.isprintable():
        raise SettingsError(f"{url!r} is not allowed: models come by https:// only.")
    if has_password:
        raise SettingsError("A URL with a user name or a password in it is not allowed.")
    if host in _HUB_HOSTS:
        return _parse_hub_page(parts.path.lstrip("/"), parts.query)
    if not allow_url:
        raise SettingsError(
            f"{url!r} is not of huggingface.co. With `allow_url` it is loaded from there."
        )
    filename = check_name(unquote(parts.path).rpartition("/")[2])
    if not filename.lower().endswith(".gguf"):
        raise SettingsError(f"{url!r} is not the address of a .gguf file.")
    return UrlReference(url, filename)


def _parse_hub_page(path: str, query: str = "") -> HubReference:
    """What a page shows; the hub's own pages name a file that is shown over them in the query."""
    shown = parse_qs(query).get(_SHOWN_FILE)
    match [unquote(part) for part in path.rstrip("/").split("/")]:
        case [owner, name, kind, revision, *folders, file] if kind in _FILE_PAGES:
            filename = "/".join([*folders, file])
            pinned = None if revision == "main" else check_name(revision)
            return _hub_file(_repository(owner, name), filename, pinned)
        case [owner, name, *_] if shown:
            return _hub_file(_repository(owner, name), shown[0])
        case [owner, name, kind, *_] if kind == _FOLDER_PAGE:
            return HubReference(_repository(owner, name))
        case parts:
            return _parse_hub("/".join(parts))


def _unknown(name: str, catalog: Catalog) -> UnknownModel:
    head, _, tail = name.rpartition(":")
    if (model := catalog.find(head)) and _LIKE_A_QUANTIZATION.match(tail):
        return UnknownModel(
            f"{tail!r} is not a quantization of {model.id}. Give one such as {model.id}:Q4_K_M, "
            f"or {model.id} alone."
        )
    known = {known.casefold(): known for model in catalog.models for known in model.names}
    near = difflib.get_close_matches(name[:_COMPARED].casefold(), [DEMO, *known], _SUGGESTIONS)
    ids = dict.fromkeys(model.id if (model := catalog.find(each)) else each for each in near)
    question = f" Did you mean {_or(list(ids))}?" if ids else ""
    kind = "file" if name.lower().endswith(".gguf") else "model"
    return UnknownModel(f"There is no {kind} {name!r}.{question} {_WAYS}")


def _or(names: Sequence[str]) -> str:
    """`A, B or C`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
