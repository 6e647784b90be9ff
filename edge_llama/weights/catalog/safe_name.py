"""Names of files that come from outside, checked before they are used for anything."""

from __future__ import annotations

import re

from edge_llama.errors import UnsafeFileName

_FORBIDDEN = frozenset('\\<>:"|?*')  # separators, drives, streams and patterns of Windows
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])", re.IGNORECASE)
_MAX_BYTES = 200  # of 255 that file systems allow: what is still coming has a longer name


def check_name(name: str) -> str:
    """`name`, if it is a relative path with `/` that is a file below its folder on every system.

    Raises:
        UnsafeFileName: it is not.
    """
    if fault := _fault(name):
        shown = repr(name if len(name) <= 80 else name[:80] + "…")
        raise UnsafeFileName(
            f"The file name {shown} {fault}. Such a file is not downloaded; choose another one."
        )
    return name


def _fault(name: str) -> str | None:
    if not name.isprintable():
        return "has characters that cannot be shown"
    if found := sorted(_FORBIDDEN & set(name)):
        return f"contains {found[0]}"
    for part in name.split("/"):
        if not part:
            return "is not a relative path"
        if part.startswith("."):
            return "has a part that begins with a dot"
        if part.endswith((".", " ")):
            return "has a part that ends with a dot or a space"
        if _RESERVED.fullmatch(part.partition(".")[0].rstrip()):
            return f"contains {part}, which is a device on Windows"
        if len(part.encode()) > _MAX_BYTES:
            return f"has a part of more than {_MAX_BYTES} bytes"
    return None
