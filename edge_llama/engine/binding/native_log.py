"""NativeLog: what llama.cpp writes to its log."""

from __future__ import annotations

import ctypes
import logging

import llama_cpp

logger = logging.getLogger("edge_llama.llama_cpp")

_LOG_ERROR = 4
_LOG_CONTINUED = 5


class NativeLog:
    """Sends llama.cpp's log to Python logging, for debugging only, and keeps its errors.

    What goes wrong is raised by this package, with llama.cpp's own words; an interrupted
    decode logs errors too, and is none.
    """

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        self._line = ""
        self._callback = llama_cpp.llama_log_callback(self._write)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def first_error(self) -> str:
        """The first error since the last call: the cause, where later ones are its consequences."""
        errors, self._errors = self._errors, []
        return errors[0] if errors else ""

    def _write(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _LOG_CONTINUED:
            self._level = level
        self._line += text.decode("utf-8", errors="replace")
        if not self._line.endswith("\n"):
            return
        line, self._line = self._line.strip(), ""
        if self._level == _LOG_ERROR and len(self._errors) < 100:
            self._errors.append(line)
        if line.strip("."):
            logger.debug("%s", line)


native_log = NativeLog()
