"""TuneStore: what tuning found, as small JSON files.

```
<root>/<shape>-<quantization>-<hash of the key>.json
```
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_llama.files.durable import changing, write_whole
from edge_llama.planning.tuned.choice import TunedChoice
from edge_llama.planning.tuned.key import TuneKey

logger = logging.getLogger(__name__)

VERSION = 1
"""Of the files' format; those of another one are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    version: int
    key: TuneKey
    choice: TunedChoice


class TuneStore:
    """A folder of choices. Nothing is made or opened until a method asks for it.

    Args:
        root: the folder; need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, key: TuneKey) -> TunedChoice | None:
        """The choice for `key`; None if there is none, or with a warning in the log if its file is
        damaged.
        """
        path = self.root / key.filename
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _ignore(path, str(error))
            return None
        if record.version != VERSION or record.key != key:
            _ignore(path, "it is of another machine, model or version")
            return None
        return record.choice

    def save(self, key: TuneKey, choice: TunedChoice) -> Path:
        """Keep a choice instead of an earlier one for the same key; the file's path.

        Raises:
            NotEnoughSpace: the disk is full.
            WeightsError: the folder cannot be written to.
        """
        path = self.root / key.filename
        record = _Record(version=VERSION, key=key, choice=choice)
        with changing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            write_whole(path, msgspec.json.format(msgspec.json.encode(record)))
        return path


def default_tune_store() -> TuneStore:
    """The user's: `$EDGE_LLAMA_HOME/tune`, else in the system's folder for user data."""
    if home := os.environ.get("EDGE_LLAMA_HOME"):
        return TuneStore(Path(home).expanduser() / "tune")
    import platformdirs

    return TuneStore(platformdirs.user_data_path("edge-llama", appauthor=False) / "tune")


def _ignore(path: Path, reason: str) -> None:
    logger.warning("%s is ignored: %s. `edge-llama tune` makes a new one.", path, reason)
