"""Random words, names and numbers, with a held-out tenth that training never sees."""

from __future__ import annotations

import zlib
from random import Random


def listed(text: str) -> tuple[str, ...]:
    """The words of a text, as a table that is easy to read."""
    return tuple(text.split())


_ONSETS = listed(
    "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gl gr kl kr pl pr sh sk sl sm sn sp "
    "st str th tr qu y x"
)
_VOWELS = listed("a e i o u a e i o u ai au ea ee ia io oa oo ou y")
_CODAS = listed(
    "b c d f g k l m n p r s t v x z ck ld lk ll mp nd ng nk nt rd rk rm rn rt sh ss st th"
)
_ACCENTED = listed("á à â ä ã å é è ê ë í î ï ó ô ö õ ø ú ü ñ ç ß š ž č ł")

FIRST_NAMES = listed(
    "Anna Ben Clara David Emma Felix Grace Henry Ivy Jack Kate Leo Maria Noah Olivia Paul Quinn "
    "Rosa Sam Tina Uma Victor Wendy Xavier Yara Zoe Alice Bob Carol Dan Eve Frank Greta Hugo Ines "
    "Jonas Karl Laura Max Nina Oscar Petra Ravi Sara Tom Ursula Vera Will Amir Chen Diego Elena "
    "Fatima Hana Igor Julia Kenji Lars Mei Nadia Omar Priya Rita Sven Tara Yuki Ada Alan Grace"
)
LAST_NAMES = listed(
    "Smith Jones Brown Miller Davis Wilson Moore Taylor Clark Lewis Walker Hall Young King Wright "
    "Hill Scott Green Adams Baker Carter Nelson Turner Parker Evans Cook Bell Cooper Ward Fox "
    "Garcia Lopez Silva Rossi Weber Novak Ivanov Kim Tanaka Singh Khan Ali Larsen Kowalski"
)


def is_held_out(*parts: object) -> bool:
    """Whether these values belong to the tenth kept for measuring; stable across runs."""
    return zlib.crc32("\0".join(map(str, parts)).encode()) % 10 == 0


class Vocabulary:
    """A source of random values, all from the training split or all from the held-out one."""

    def __init__(self, rng: Random, held_out: bool) -> None:
        self.rng = rng
        self.held_out = held_out

    def _syllables(self) -> str:
        rng = self.rng
        count = rng.choices((1, 2, 3, 4), (3, 6, 3, 1))[0]
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count))
        if rng.random() < 0.15:
            word = rng.choice(_VOWELS) + word
        return word + rng.choice(_CODAS) if rng.random() < 0.7 else word

    def word(self) -> str:
        """A pronounceable lower-case word."""
        while is_held_out(word := self._syllables()) != self.held_out or len(word) < 3:
            pass
        return word

    def name(self) -> str:
        """A capitalised word; in training, sometimes a common first name."""
        if not self.held_out and self.rng.random() < 0.3:
            return self.rng.choice(FIRST_NAMES)
        return self.word().capitalize()

    def full_name(self) -> str:
        if not self.held_out and self.rng.random() < 0.3:
            return f"{self.rng.choice(FIRST_NAMES)} {self.rng.choice(LAST_NAMES)}"
        return f"{self.name()} {self.word().capitalize()}"

    def integer(self, low: int, high: int) -> int:
        """A uniform integer; wide ranges keep to the split, narrow ones are shared."""
        while True:
            value = self.rng.randint(low, high)
            if high - low < 1000 or is_held_out(value) == self.held_out:
                return value

    def decimal(self) -> float:
        return self.integer(1, 99_999) / self.rng.choice((10, 100))

    def odd_word(self) -> str:
        """A word for copying: any case, digits and accents included."""
        rng = self.rng
        word = self.word()
        kind = rng.random()
        if kind < 0.5:
            return word
        if kind < 0.68:
            return word.capitalize()
        if kind < 0.76:
            return word.upper()
        if kind < 0.82:
            return "".join(c.upper() if rng.random() < 0.5 else c for c in word)
        if kind < 0.92:
            return str(self.integer(0, rng.choice((9, 99, 999, 99_999, 9_999_999))))
        if kind < 0.95:
            return f"{word}{rng.randint(0, 99)}"
        at = rng.randrange(len(word))
        return word[:at] + rng.choice(_ACCENTED) + word[at + 1 :]
