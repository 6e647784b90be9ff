"""The flags of the prefix cache on disk, and what they come to."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.option_group import OptionGroup
from edge_llama.errors import SettingsError
from edge_llama.units import parse_size

if TYPE_CHECKING:
    from edge_llama.engine.blocks.folder import BlockFolder
    from edge_llama.settings.engine import CacheSettings

FOLDER_VARIABLE = "EDGE_LLAMA_CACHE_DIR"

FREE_SHARE = 0.1
MOST = 20_000_000_000
"""The default size: a share of the free disk, up to so many bytes."""


def parse_cache_size(text: str) -> int:
    """An amount of disk; 0 is none.

    Raises:
        SettingsError: it is no amount.
    """
    return 0 if text.strip() == "0" else parse_size(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions(OptionGroup):
    """Where prompts that were read are kept."""

    PANEL = "Prompt cache"

    cache_dir: Annotated[
        Path | None,
        typer.Option(
            "--cache-dir",
            metavar="FOLDER",
            envvar=FOLDER_VARIABLE,
            help="Where what was read of prompts is kept for later. Default: the user's cache "
            "folder.",
            show_default=False,
        ),
    ] = None
    cache_size: Annotated[
        int | None,
        typer.Option(
            "--cache-size",
            metavar="SIZE",
            envvar="EDGE_LLAMA_CACHE_SIZE",
            parser=parse_cache_size,
            help="Most disk that it may take: 5G, 500M; 0 keeps nothing. Default: a tenth of the "
            "free disk, at most 20 GB.",
            show_default=False,
        ),
    ] = None

    @property
    def root(self) -> Path:
        """The folder, whether it is there or not."""
        return cache_folder(self.cache_dir)

    @property
    def max_bytes(self) -> int:
        """Bytes that it may take."""
        return default_size(self.root) if self.cache_size is None else self.cache_size

    def settings(self, prefix: Path | None = None) -> CacheSettings | None:
        """What the flags and `--prefix` mean; None is no cache.

        Raises:
            SettingsError: there is a prefix but nowhere to put it, or no such file.
        """
        from edge_llama.settings.engine import CacheSettings

        if prefix is not None and not prefix.is_file():
            raise SettingsError(f"--prefix {prefix}: there is no such file.")
        max_bytes = self.max_bytes
        if max_bytes <= 0:
            if prefix is not None:
                raise SettingsError("--prefix needs the cache on disk; leave out --cache-size 0.")
            return None
        shipped = None if prefix is None else str(prefix.absolute())
        return CacheSettings(folder=str(self.root), max_bytes=max_bytes, prefix=shipped)


def cache_folder(folder: Path | None) -> Path:
    """The folder, else `$EDGE_LLAMA_CACHE_DIR`, else `$EDGE_LLAMA_HOME/cache`, else the system's.

    That is the one for what can be made anew.
    """
    if folder is None and (given := os.environ.get(FOLDER_VARIABLE)):
        folder = Path(given)
    if folder is None and (home := os.environ.get("EDGE_LLAMA_HOME")):
        folder = Path(home) / "cache"
    if folder is None:
        import platformdirs

        folder = platformdirs.user_cache_path("edge-llama", appauthor=False)
    return folder.expanduser().absolute()


def default_size(root: Path) -> int:
    """Bytes that the cache may take: a share of what would be free without it."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        used = sum(entry.size for entry in open_folder(root, 0).entries())
        return min(MOST, int(FREE_SHARE * (shutil.disk_usage(there).free + used)))
    except OSError:
        return 0


def open_folder(root: Path, max_bytes: int) -> BlockFolder:
    """The blocks of all models."""
    from edge_llama.engine.blocks.folder import BlockFolder

    return BlockFolder(root, max_bytes)
