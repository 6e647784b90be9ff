"""LimitedChild: a child process for what may take too long or too much memory."""

from __future__ import annotations

import subprocess
import weakref

from edge_llama.process.child import environment_without_secrets, module_command


class LimitedChild:
    """Answers lines with lines, until it runs into one of the limits that it sets for itself.

    It ends with this object, and with this process in any case, as its input then does.

    Args:
        module: of this package; reads lines from stdin and writes a line for each.

    Attributes:
        end: ends it, at once.
    """

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            module_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment_without_secrets(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.end = weakref.finalize(self, _end, self._process)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, line: bytes) -> bytes | None:
        """The line that answers `line`, both without their ends; None if the child has ended."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(line + b"\n")
            stdin.flush()
        except OSError:  # the child has ended
            return None
        answer = stdout.readline()
        if not answer.endswith(b"\n"):
            self.end()
            return None
        return answer[:-1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
