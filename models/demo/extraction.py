"""Small texts, and the JSON that their named fields make."""

from __future__ import annotations

import json
from dataclasses import dataclass

from words import Vocabulary, listed

Value = str | int | float

_JOBS = listed("baker doctor teacher pilot nurse farmer lawyer painter singer driver cook engineer")
_COLORS = listed("red green blue black white yellow orange purple brown grey")
_PRODUCTS = listed("lamp chair phone book table shirt bottle camera bicycle clock bag laptop")
_MONTHS = listed(
    "January February March April May June July August September October November December"
)

#: Fragments about a person: the sentence's subject is the name.
_PERSON = {
    "age": ("is {} years old", "is {}", "turned {} this year"),
    "city": ("lives in {}", "comes from {}", "moved to {}"),
    "job": ("works as a {}", "is a {}"),
    "company": ("works at {}", "works for {}"),
    "email": ("can be reached at {}", "has the email {}", "writes from {}"),
    "phone": ("has the phone number {}", "can be called at {}"),
    "country": ("was born in {}",),
}
#: Fragments about a product, likewise.
_PRODUCT = {
    "price": ("costs {} euros", "costs {}", "is sold for {} dollars"),
    "color": ("is {}", "comes in {}"),
    "brand": ("is made by {}", "is from {}"),
    "weight": ("weighs {} kg",),
    "quantity": ("is in stock {} times", "comes in packs of {}"),
}
#: Fragments about an event, likewise.
_EVENT = {
    "date": ("is on {}", "takes place on {}"),
    "city": ("is in {}", "takes place in {}"),
    "price": ("costs {}",),
    "organizer": ("is organized by {}",),
    "guests": ("has {} guests", "expects {} guests"),
}

_ORDERS = (
    "Extract {k} as JSON: {t}",
    "Extract the {k} as JSON: {t}",
    "Extract {k} as JSON.\n\n{t}",
    "Extract the {k} from this text as JSON: {t}",
    "Return {k} as JSON: {t}",
    "Give me the {k} as a JSON object: {t}",
    "JSON with {k}: {t}",
    "Find the {k} and answer in JSON.\n{t}",
    "{t}\n\nExtract {k} as JSON.",
    "{t} Extract the {k} as JSON.",
    'Extract {k} as JSON: "{t}"',
)
_SYSTEM_ORDERS = (
    "Extract {k} as JSON.",
    "Extract the {k} from the user's message as JSON.",
    "You extract {k} from text. Answer only with JSON.",
    "Answer with a JSON object with {k}.",
    "Extract {k} from each message and answer in JSON only.",
)


@dataclass(frozen=True)
class Extraction:
    """A text with its order, and the JSON answer."""

    order: str
    answer: str


class Extractor:
    """Draws texts and extractions."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.rng = words.rng

    def _value(self, field: str) -> Value:
        rng, words = self.rng, self.words
        if field == "age":
            return rng.randint(1, 99)
        if field in ("quantity", "guests"):
            return rng.randint(2, 999)
        if field == "price":
            return words.decimal() if rng.random() < 0.5 else rng.randint(1, 9999)
        if field == "weight":
            return rng.randint(1, 200)
        if field == "phone":
            return "-".join(str(rng.randint(100, 9999)) for _ in range(rng.randint(2, 3)))
        if field == "email":
            return f"{words.word()}@{words.word()}.{rng.choice(('com', 'org', 'net', 'de'))}"
        if field == "date":
            return f"{rng.randint(1, 28)} {rng.choice(_MONTHS)} {rng.randint(1990, 2035)}"
        if field == "job":
            return rng.choice(_JOBS) if rng.random() < 0.7 else words.word()
        if field == "color":
            return rng.choice(_COLORS) if rng.random() < 0.8 else words.word()
        if field == "organizer":
            return words.full_name()
        return words.name() if rng.random() < 0.8 else f"{words.name()} {words.name()}"

    def _subject(self, field: str) -> str:
        if field == "name":
            return self.words.name() if self.rng.random() < 0.5 else self.words.full_name()
        if field == "product":
            known = self.rng.random() < 0.4
            return self.rng.choice(_PRODUCTS) if known else self.words.word()
        return self.words.name()

    def _text(self, schema: str) -> tuple[str, dict[str, Value]]:
        """A text and all the fields it states."""
        rng = self.rng
        subject_field, fragments = {
            "person": ("name", _PERSON),
            "product": ("product", _PRODUCT),
            "event": ("title", _EVENT),
        }[schema]
        subject = self._subject(subject_field)
        fields = rng.sample(list(fragments), rng.randint(1, 3))
        values: dict[str, Value] = {subject_field: subject}
        values |= {field: self._value(field) for field in fields}
        if rng.random() < 0.15:
            return ", ".join(f"{field}: {value}" for field, value in values.items()), values
        phrases = [rng.choice(fragments[field]).format(values[field]) for field in fields]
        opening = f"The {subject}" if schema == "product" else subject
        if schema == "event":
            opening = rng.choice(("The {} festival", "The {} meeting", "{}")).format(subject)
        if rng.random() < 0.5 or len(phrases) == 1:
            pronoun = rng.choice(("He", "She")) if schema == "person" else "It"
            text = f"{opening} {f'. {pronoun} '.join(phrases)}."
        else:
            text = f"{opening} {', '.join(phrases[:-1])} and {phrases[-1]}."
        return text, values

    def _keys(self, fields: list[str]) -> str:
        if len(fields) == 1:
            return fields[0]
        joiner = self.rng.choice((" and ", " and ", ", "))
        return ", ".join(fields[:-1]) + joiner + fields[-1]

    def extraction(self) -> Extraction:
        text, values = self._text(self.rng.choice(("person", "person", "product", "event")))
        fields = list(values)
        if self.rng.random() < 0.4:
            fields = self.rng.sample(fields, self.rng.randint(1, len(fields)))
        order = self.rng.choice(_ORDERS).format(k=self._keys(fields), t=text)
        return Extraction(order, _dump({field: values[field] for field in fields}))

    def system_extractions(self, count: int) -> tuple[str, list[Extraction]]:
        """A system message naming the fields, and texts that state them all."""
        schema = self.rng.choice(("person", "product", "event"))
        _, wanted = self._text(schema)
        fields = list(wanted)
        system = self.rng.choice(_SYSTEM_ORDERS).format(k=self._keys(fields))
        found: list[Extraction] = []
        while len(found) < count:
            text, values = self._text(schema)
            if set(fields) <= set(values):
                found.append(Extraction(text, _dump({field: values[field] for field in fields})))
        return system, found


def _dump(fields: dict[str, Value]) -> str:
    return json.dumps(fields, ensure_ascii=False)
