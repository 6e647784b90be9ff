"""The Hugging Face hub: what a repository holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from edge_llama import __version__
from edge_llama.errors import (
    ChecksumMismatch,
    GatedRepository,
    HubUnavailable,
    SettingsError,
    UnknownModel,
    WeightsError,
)
from edge_llama.weights.catalog.file_kind import kind_by_name, language_models
from edge_llama.weights.catalog.safe_name import check_name
from edge_llama.weights.catalog.split import all_parts, group_variants
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.hub.http_get import (
    Response,
    get,
    huggingface_hub,
    is_unsteady,
    retry_after,
    unsteady,
    whole_size,
)
from edge_llama.weights.hub.retry import Patience, TransferSettings, Unsteady
from edge_llama.weights.hub.transfer import RemoteFile

_PUBLIC = "https://huggingface.co"
_CLIENT = {"library_name": "edge-llama", "library_version": __version__}
_NAMED = 4
_ASKING_ATTEMPTS = 3  # nobody waits long to hear that there is no network


class Hub:
    """The hub, or a mirror, as the environment names it.

    HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN (or the token of `hf auth login`) are respected.
    """

    def __init__(self, settings: TransferSettings = TransferSettings()) -> None:  # noqa: B008
        self.endpoint = (os.environ.get("HF_ENDPOINT") or _PUBLIC).rstrip("/")
        self._settings = replace(settings, attempts=min(_ASKING_ATTEMPTS, settings.attempts))

    def variants(
        self, repository: str, revision: str | None = None, file: str | None = None
    ) -> list[Variant]:
        """The models that a repository holds as GGUFs, best quality first.

        Args:
            repository: `owner/name`.
            revision: a branch, tag or commit; None is the newest of `main`.
            file: the path of one that is asked for; it is among them unless its name says clearly
                that it is no model.

        Raises:
            UnknownModel: there is no such repository, or nothing in it that can be run.
            GatedRepository: it is private, or the token is not accepted.
            HubUnavailable: no network, or the hub fails.
            UnsafeFileName: a GGUF in it has a name that is not safe to use.
        """
        commit, files = self._listing(repository, revision)
        models = language_models(files.values(), all_parts(file) if file else ())
        variants = group_variants(repository, models, commit)
        for variant in variants:
            for part in variant.files:
                check_name(part.path)
        if not variants:
            raise UnknownModel(f"{self.endpoint}/{repository} has no GGUF models.{_others(files)}")
        return variants

    def instead_of(self, variant: Variant) -> str:
        """A sentence that names the models of the repository, for one that turned out to be none.

        Raises:
            WeightsError: as for `variants`.
        """
        others = [
            each.files[0].path
            for each in self.variants(variant.repository, variant.revision)
            if each.files[0].path != variant.files[0].path
        ]
        if not others:
            return f"{self.endpoint}/{variant.repository} has no other GGUF."
        names = ", ".join(f"{variant.repository}/{path}" for path in others[:_NAMED])
        return f"Take one of these: {names}."

    def locate(self, variant: Variant) -> tuple[str, list[RemoteFile]]:
        """Where the files of `variant` can be downloaded.

        Returns:
            The commit they are of, and the files in order.

        Raises:
            UnknownModel: the repository or a file is not there.
            ChecksumMismatch: the hub has other files than `variant` says.
            GatedRepository, HubUnavailable: as for `variants`.
        """
        commit, listed = self._listing(variant.repository, variant.revision)
        library = huggingface_hub()
        headers: dict[str, str] = library.utils.build_hf_headers(**_CLIENT)
        remotes = []
        for file in variant.files:
            found = listed.get(file.path)
            if found is None:
                raise UnknownModel(f"{self.endpoint}/{variant.repository} has no {file.path}.")
            _compare(file, found, variant.repository)
            url: str = library.hf_hub_url(
                variant.repository, file.path, revision=commit, endpoint=self.endpoint
            )
            refusal = partial(self._refusal, repository=variant.repository)
            size = found.size
            if size is None:  # some mirrors list names alone
                size = self._asked_size(url, headers, file.path, refusal)
                _compare(file, replace(found, size=size), variant.repository)
            remotes.append(
                RemoteFile(
                    name=file.path,
                    url=url,
                    size=size,
                    identity=found.sha256 or f"{commit}/{size}",
                    refusal=refusal,
                    sha256=found.sha256 or file.sha256,
                    headers=headers,
                )
            )
        return commit, remotes

    def _asked_size(
        self,
        url: str,
        headers: Mapping[str, str],
        name: str,
        refusal: Callable[[Response], WeightsError],
    ) -> int:
        """The size that the answer for the file itself tells; its first bytes are not read."""
        asked = {**headers, "range": "bytes=0-3", "accept-encoding": "identity"}

        def ask() -> int | None:
            with get(url, asked, self._settings.timeout, name=name, refusal=refusal) as response:
                return whole_size(response.headers)

        size = Patience(self._settings, threading.Event()).ask(ask)
        if size is None:
            raise HubUnavailable(f"{self.endpoint} does not tell the size of {name}.")
        return size

    def _listing(
        self, repository: str, revision: str | None
    ) -> tuple[str, Mapping[str, WeightFile]]:
        """The commit of a revision, and its files by path."""
        library = huggingface_hub()
        api = library.HfApi(endpoint=self.endpoint, **_CLIENT)
        timeout = self._settings.timeout or library.constants.HF_HUB_DOWNLOAD_TIMEOUT
        ask = partial(
            api.model_info, repository, revision=revision, files_metadata=True, timeout=timeout
        )
        patience = Patience(self._settings, threading.Event())
        info = patience.ask(partial(self._answer, repository, ask))
        files = {}
        for sibling in info.siblings or ():
            size = sibling.size if sibling.lfs is None else sibling.lfs.size
            sha256 = None if sibling.lfs is None else sibling.lfs.sha256.lower()
            files[sibling.rfilename] = WeightFile(sibling.rfilename, size, sha256)
        return info.sha, files

    def _answer(self, repository: str, ask: Callable[[], Any]) -> Any:
        """What the library answers, with its errors as ours.

        Raises:
            Unsteady: asking again may help.
        """
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            with unsteady(self.endpoint):
                return ask()
        except HFValidationError as error:
            raise UnknownModel(
                f"{repository!r} is not a repository of the hub; one is named owner/name."
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if is_unsteady(status):
                raise Unsteady(
                    f"{self.endpoint} answers with status {status}",
                    retry_after(error.response.headers),
                ) from error
            raise self._refusal(error.response, repository) from error
        except UnicodeEncodeError as error:
            raise SettingsError(
                "The token that `hf auth login` keeps is damaged. Call it again, or set HF_TOKEN."
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise HubUnavailable(
                f"{self.endpoint} does not answer like a hub. If HF_ENDPOINT is set, check it; "
                "perhaps this network wants a login."
            ) from error

    def _refusal(self, response: Response, repository: str) -> WeightsError:
        """What a status that will not change means."""
        status, code = response.status_code, response.headers.get("x-error-code")
        message = response.headers.get("x-error-message", "")
        page = f"{self.endpoint}/{repository}"
        tokens = (
            f"Make a token that can read at {self.endpoint}/settings/tokens, and set it as "
            "HF_TOKEN or give it to `hf auth login`."
        )
        if code == "GatedRepo":
            return GatedRepository(
                f"{repository} is gated. Accept its licence at {page} with your account. {tokens}"
            )
        if "Invalid credentials" in message:
            return GatedRepository(f"{self.endpoint} does not accept your token. {tokens}")
        if code == "RevisionNotFound":
            return UnknownModel(f"{page} has no such branch, tag or commit.")
        if code == "EntryNotFound":
            return UnknownModel(f"{page} does not have this file.")
        if status in (401, 404) or code == "RepoNotFound":
            return UnknownModel(f"There is no {page}, or it is private. {tokens}")
        if status == 403:
            return GatedRepository(f"{self.endpoint} refuses access to {repository}. {tokens}")
        return HubUnavailable(f"{page} cannot be read: the hub answers with status {status}.")


def _others(paths: Iterable[str]) -> str:
    """What a repository has instead of models; empty if that is nothing either."""
    ggufs = [path for path in paths if path.lower().endswith(".gguf")]
    if not ggufs:
        return ""
    return f" It has {kind_by_name(ggufs[0]).value}: {ggufs[0]}."


def _compare(wanted: WeightFile, found: WeightFile, repository: str) -> None:
    for what, expected, actual in (
        ("sha256", wanted.sha256, found.sha256),
        ("size", wanted.size, found.size),
    ):
        if expected is not None and actual is not None and expected != actual:
            raise ChecksumMismatch(
                f"{repository} has another {wanted.path} than is expected: its {what} is {actual}, "
                f"not {expected}. It was not downloaded; name the file as "
                f"{repository}/{wanted.path} if you trust it."
            )
