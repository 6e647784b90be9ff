"""Suspects: requests that were running when the engine crashed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from edge_llama.engine.protocol.request import GenerationRequest

GUILTY = 2
"""Crashes during which a request ran, after which it is not run again."""
MAX_SUSPECTS = 256


class Suspects:
    """Counts crashes by what was asked, whoever asked it."""

    def __init__(self) -> None:
        self._crashes: OrderedDict[bytes, int] = OrderedDict()

    def blame(self, running: Iterable[GenerationRequest]) -> None:
        """These were running when the engine crashed; the same ones count once."""
        for id in {_fingerprint(request) for request in running}:
            self._crashes[id] = self._crashes.pop(id, 0) + 1
        while len(self._crashes) > MAX_SUSPECTS:
            self._crashes.popitem(last=False)

    def acquit(self, request: GenerationRequest) -> None:
        """It ran to its end."""
        if self._crashes:
            self._crashes.pop(_fingerprint(request), None)

    def is_guilty(self, request: GenerationRequest) -> bool:
        return bool(self._crashes) and self._crashes.get(_fingerprint(request), 0) >= GUILTY


def _fingerprint(request: GenerationRequest) -> bytes:
    options = msgspec.structs.replace(request.options, cache_domain="", caller="")
    anonymous = msgspec.structs.replace(request, options=options)
    return hashlib.sha256(msgspec.msgpack.encode(anonymous)).digest()
