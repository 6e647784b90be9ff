"""Environment variables that huggingface-hub and its HTTP client read, checked before they do.

Both end with errors of their own, some with tracebacks, where a value cannot be used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from edge_llama.errors import SettingsError

ENDPOINT = "HF_ENDPOINT"
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
NO_PROXY = "NO_PROXY"

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_SECONDS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
_KEYS_LOG = "SSLKEYLOGFILE"


def check_environment(environ: Mapping[str, str] = os.environ) -> None:
    """See that the network can be used as the environment says.

    Raises:
        SettingsError: a variable has a value that cannot be used; the text names it.
    """
    for fault in environment_faults(environ):
        raise SettingsError(fault)


def environment_faults(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """What is wrong with which variable, and the remedy: a line for each.

    Values are not told: proxies have passwords, and tokens are secret.
    """
    if fault := _fault_of_address(environ.get(ENDPOINT) or "https://hub", ("http", "https")):
        yield f"{ENDPOINT} {fault}. Set it to one such as https://huggingface.co, or unset it."
    yield from _faults_of_proxies(environ)
    yield from _faults_of_certificates(environ)
    for name in TOKENS:
        token = environ.get(name, "").strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            yield (
                f"{name} is no token: it has a line break, a space or a letter that no token has. "
                "Copy it again, or unset it."
            )
    for name in _SECONDS:
        if (text := environ.get(name)) and not text.strip().isdigit():
            yield f"{name} must be a whole number of seconds, such as 30, not {text!r}. Unset it."


def unusable(error: Exception, environ: Mapping[str, str] = os.environ) -> SettingsError:
    """What to say when the HTTP client cannot be made though no variable has a known fault."""
    reason = str(error).rstrip(".") or type(error).__name__
    if isinstance(error, OSError) and error.filename == (log := environ.get(_KEYS_LOG)) and log:
        return SettingsError(f"{_KEYS_LOG} names {log}, which cannot be written. Unset it.")
    exempt = _given(NO_PROXY, environ)
    if exempt is not None and not isinstance(error, OSError | ImportError):
        return SettingsError(
            f"{exempt[0]} has an entry that this version of huggingface-hub cannot read "
            f"({reason}). Leave networks such as fd00::/8 out of it, or update huggingface-hub."
        )
    read = [name for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR") if _given(name, environ)]
    where = f" Look at {', '.join(read)}." if read else " Install huggingface-hub again."
    return SettingsError(f"The HTTP client cannot be used: {reason}.{where}")


def endpoint_host(environ: Mapping[str, str] = os.environ) -> str | None:
    """The host of HF_ENDPOINT; None if it is not set."""
    if not (endpoint := environ.get(ENDPOINT)):
        return None
    if _fault_of_address(endpoint, ("http", "https")):
        return "not an address"
    return urlsplit(endpoint).hostname


def proxy_in_use(environ: Mapping[str, str] = os.environ) -> str | None:
    """The variable that names the proxy of https addresses; None if there is none."""
    given = (_given(name, environ) for name in ("HTTPS_PROXY", "ALL_PROXY"))
    return next((found[0] for found in given if found), None)


def _faults_of_proxies(environ: Mapping[str, str]) -> Iterator[str]:
    for known in PROXIES:
        if (found := _given(known, environ)) is None:
            continue
        name, text = found
        address = text if "://" in text else f"http://{text}"
        if fault := _fault_of_address(address, _PROXY_SCHEMES):
            yield f"{name} {fault}. Set it to an address such as http://proxy:3128, or unset it."
        elif address.lower().startswith("socks5") and find_spec("socksio") is None:
            yield (
                f"{name} names a SOCKS proxy, for which a package is missing. Install it with "
                "`pip install socksio`, or name an http:// proxy."
            )


def _faults_of_certificates(environ: Mapping[str, str]) -> Iterator[str]:
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file and (fault := _fault_of_certificates(Path(file))):
        yield f"SSL_CERT_FILE names {file}, which {fault}. Name a file of certificates, or none."
    elif folder and not file and not Path(folder).is_dir():
        yield f"SSL_CERT_DIR names {folder}, which is no folder. Name one that is, or none."


def _fault_of_certificates(file: Path) -> str | None:
    import ssl

    if not file.is_file():
        return "does not exist" if not file.exists() else "is no file"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        return "has no certificates in PEM format"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None


def _fault_of_address(text: str, schemes: tuple[str, ...]) -> str | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return "is not an address: its brackets do not match"
    try:
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return "is not an address: after its host comes no port, which is a number up to 65535"
    if parts.scheme.lower() not in schemes:
        return f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if not parts.hostname:
        return "is not an address: it names no host"
    return None if text.isprintable() and " " not in text else "has a space or a line break in it"


def _given(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable as it is spelled, and its value; that in lower case counts more."""
    spelled = (each for each in (name.lower(), name) if environ.get(each))
    return next(((each, environ[each]) for each in spelled), None)
