"""NamedModel: the names of one model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that is going to be served.

    Attributes:
        asked: what the user called it.
        id: the name it is listed under.
        known_as: other names that people use for it.
    """

    asked: str
    id: str
    known_as: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.asked, self.id, *self.known_as)
