"""One GET, over the HTTP client of huggingface-hub.

Its own download functions begin a file anew after a kill, so what is used of it is the layer below
them: its session (proxies, certificates, offline mode), its headers and its listing.
"""

from __future__ import annotations

import email.utils
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

from edge_llama.errors import HubUnavailable, WeightsError
from edge_llama.weights.hub.environment import check_environment, proxy_in_use, unusable
from edge_llama.weights.hub.retry import Unsteady

_TRY_AGAIN = frozenset({408, 416, 429, 500, 502, 503, 504})
_RATE_LIMIT_RESET = re.compile(r";\s*t=(\d+)")
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")
_QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_VERBOSITY": "error"}


class Response(Protocol):
    """The part of httpx.Response that is used here.

    huggingface-hub brings httpx or httpx2, depending on its version.
    """

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> object: ...
    @property
    def history(self) -> Sequence[Response]: ...
    def iter_raw(self) -> Iterator[bytes]: ...


def huggingface_hub() -> ModuleType:
    """The library. Without telemetry and log lines, unless the user's environment wants them.

    Raises:
        HubUnavailable: HF_HUB_OFFLINE forbids to use it.
        SettingsError: a variable of the environment cannot be used.
    """
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise HubUnavailable(f"{name} is set, so nothing is downloaded.")
    check_environment()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import huggingface_hub.constants
    import huggingface_hub.errors
    import huggingface_hub.utils

    try:
        huggingface_hub.get_session()
    except Exception as error:  # each client has classes of its own
        raise unusable(error) from error
    return huggingface_hub


@contextmanager
def unsteady(name: str) -> Iterator[None]:
    """Tell failures of the network from other errors of the block.

    Args:
        name: what was asked for, for messages.

    Raises:
        Unsteady: the network or the server failed in a way that may pass.
        HubUnavailable: the program that runs edge_llama has put huggingface-hub offline.
    """
    from huggingface_hub import errors

    transport_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    try:
        yield
    except errors.HfHubHTTPError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise HubUnavailable("huggingface-hub is in offline mode.") from error
    except transport_error as error:
        reason = str(error) or type(error).__name__
        if proxy := proxy_in_use():
            reason += f", by the proxy of {proxy}"
        raise Unsteady(f"{name} cannot be reached ({reason})") from error


@contextmanager
def get(
    url: str,
    headers: Mapping[str, str],
    timeout: float | None,
    *,
    name: str,
    refusal: Callable[[Response], WeightsError],
) -> Iterator[Response]:
    """The answer to a GET, its body not yet read. Redirects are followed.

    Args:
        headers: `authorization` is not sent on to another host.
        timeout: seconds without a byte; None is HF_HUB_DOWNLOAD_TIMEOUT.
        name: what is asked for, for messages.
        refusal: the error for a status that is not 2xx and that trying again would not change.

    Raises:
        Unsteady: it may work a little later.
        HubUnavailable: huggingface-hub is in offline mode.
        WeightsError: the server refuses, or redirects from https to http.
    """
    library = huggingface_hub()
    seconds = timeout or library.constants.HF_HUB_DOWNLOAD_TIMEOUT
    with unsteady(name):
        session: Any = library.get_session()
        with session.stream(
            "GET", url, headers=dict(headers), timeout=seconds, follow_redirects=True
        ) as response:
            _check(response, url, name, refusal)
            yield response


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, by `Retry-After` or the hub's own `RateLimit`."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    if text and (moment := email.utils.parsedate_tz(text)) is not None:
        return max(0.0, email.utils.mktime_tz(moment) - time.time())
    reset = _RATE_LIMIT_RESET.search(headers.get("ratelimit", ""))
    return float(reset[1]) if reset else None


def whole_size(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole file, as the answer to a request for its beginning tells; None if not."""
    if match := _TOTAL.fullmatch(headers.get("content-range", "")):
        return int(match[1])
    length = headers.get("content-length", "")
    return int(length) if length.isdigit() else None


def is_unsteady(status: int) -> bool:
    """Whether a server that answers with this status may answer better a little later."""
    return status in _TRY_AGAIN


def _check(
    response: Response, url: str, name: str, refusal: Callable[[Response], WeightsError]
) -> None:
    hops = [urlsplit(str(hop.url)) for hop in (*response.history, response)]
    if url.startswith("https:") and any(hop.scheme != "https" for hop in hops):
        raise WeightsError(f"{name} is not downloaded: its server redirects from https to http.")
    status = response.status_code
    if status in (200, 206):
        _check_form(response.headers, name)
        return
    # Another host was given a signed address: when that is refused, it has run out.
    signed = hops[-1].netloc != hops[0].netloc
    if is_unsteady(status) or signed:
        raise Unsteady(
            f"{name} cannot be downloaded now ({hops[-1].hostname} answers with status {status})",
            retry_after(response.headers),
        )
    raise refusal(response)


def _check_form(headers: Mapping[str, str], name: str) -> None:
    if headers.get("content-type", "").startswith("text/html"):
        raise Unsteady(f"{name} came as a web page; perhaps this network wants a login")
    if headers.get("content-encoding", "identity") != "identity":
        raise Unsteady(f"{name} came compressed")
