"""Folders of this user's own: what is written through a link is written anywhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from edge_llama.files.durable import lacks_operation, tell_once


def make_own_folder(path: Path) -> None:
    """Make a folder that is for this user alone, if it is not there.

    Raises:
        OSError: it cannot be made, is a link, or belongs to another user.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    see_that_it_is_own(path)
    try:
        path.chmod(0o700)
    except OSError as error:
        # FAT and shares of other machines have no modes; who may read there says the mount.
        if error.errno != errno.EPERM and not lacks_operation(error):
            raise
        tell_once(
            "chmod",
            f"The file system of {path} has no modes ({error.strerror}): who may read what is "
            "kept there is for the mount to say. Everything else goes on.",
        )


def see_that_it_is_own(path: Path) -> None:
    """Refuse a folder that was replaced.

    Raises:
        OSError: it is not there, is a link, or belongs to another user.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        raise PermissionError(errno.EPERM, "it is a link, or belongs to another user", str(path))
