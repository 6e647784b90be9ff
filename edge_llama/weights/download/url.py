"""Models from any https address."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from edge_llama.errors import HubUnavailable, UnknownModel, WeightsError
from edge_llama.weights.catalog.quantization import UNKNOWN, quantization_of
from edge_llama.weights.download.download import Download, naming_alternatives, waiting
from edge_llama.weights.hub.http_get import Response, get, whole_size
from edge_llama.weights.hub.retry import Patience, TransferSettings
from edge_llama.weights.hub.transfer import RemoteFile
from edge_llama.weights.store.progress import OnProgress, ignore_progress
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def pull_url(
    url: str,
    store: Store,
    *,
    sha256: str | None = None,
    on_progress: OnProgress = ignore_progress,
    settings: TransferSettings = TransferSettings(),  # noqa: B008
) -> InstalledModel:
    """Download a GGUF from an address, as `pull` does from the hub. No token is sent.

    What is installed from the same address is returned without a connection.

    Args:
        url: https, or http on this machine; its path ends with the file's name.
        sha256: what the file must have, lower-case hex; None takes it as it comes.

    Raises:
        WeightsError: the address cannot be used; otherwise as `pull` does.
    """
    address = _checked(url)
    name = unquote(address.path.rpartition("/")[2])
    # Neither credentials nor a signature, which may change, are part of what it is.
    source = urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", ""))
    target = store.location(f"urls/{hashlib.sha256(source.encode()).hexdigest()[:12]}", name)

    def installed() -> InstalledModel | None:
        found = store.installed_at(target)
        return found if found is not None and sha256 in (None, found.files[0].sha256) else None

    if (found := installed()) is not None:
        return found
    with store.lock(target, partial(on_progress, waiting(name))):
        if (found := installed()) is not None:
            return found
        with naming_alternatives(store):
            patience = Patience(settings, threading.Event())
            remote = patience.ask(partial(_look, url, name, sha256, settings.timeout))
            files = Download(store, [remote], [target], settings).run(on_progress)
        return store.add(files, quantization=quantization_of(name) or UNKNOWN, source=source)


def _checked(url: str) -> SplitResult:
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError as error:
        raise WeightsError(f"{url!r} is not an address: {error}.") from error
    if not host or (address.scheme != "https" and not _is_local(address)):
        raise WeightsError("A model is downloaded from an address that begins with https:// only.")
    if not address.path.lower().endswith(".gguf"):
        raise WeightsError(f"The path {address.path!r} does not end with the name of a .gguf file.")
    return address


def _is_local(address: SplitResult) -> bool:
    return address.scheme == "http" and address.hostname in _LOOPBACK


def _look(url: str, name: str, sha256: str | None, timeout: float | None) -> RemoteFile:
    """What is at `url`: the first bytes are asked for and not read."""

    def refusal(response: Response) -> WeightsError:
        status = response.status_code
        if status in (404, 410):
            return UnknownModel(f"The server has no {name} (status {status}).")
        return WeightsError(f"The server refuses {name} with status {status}.")

    headers = {"range": "bytes=0-3", "accept-encoding": "identity"}
    with get(url, headers, timeout, name=name, refusal=refusal) as response:
        size = whole_size(response.headers)
        if size is None:
            raise HubUnavailable(f"The server does not tell the size of {name}.")
        version = response.headers.get("etag") or response.headers.get("last-modified", "")
    identity = sha256 or f"{size} {version}"
    return RemoteFile(name, url, size, identity, refusal, sha256)
