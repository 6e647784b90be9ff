"""Tools, questions that call for them and results: the demo model's function-calling family."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from words import FIRST_NAMES, Vocabulary, is_held_out, listed

Tool = dict[str, Any]
Value = str | int | float | bool

_VERBS = listed(
    "get find search create delete update send list check show add remove read open close start "
    "stop set buy sell order book cancel play convert compute lookup fetch make save load track"
)
_NOUNS = listed(
    "weather forecast flight hotel train user customer email message event meeting task note file "
    "photo song movie book recipe product price stock order invoice payment account ticket report "
    "route map distance time alarm timer reminder light door room car taxi table news score news "
    "currency translation contact phone balance parcel job city country temperature order status"
)
_STRING_PARAMETERS = listed(
    "city name title country location query user email language subject text symbol product color "
    "category currency street room artist topic author company destination origin message unit "
    "food brand team department label tag word status format genre airport station"
)
_INTEGER_PARAMETERS = listed(
    "days count limit age year quantity hours minutes id number size level floor people pages "
    "seconds nights max_results order_id user_id item_id width height guests seats volume"
)
_NUMBER_PARAMETERS = listed(
    "price amount weight distance temperature rate budget max_price min_price length value score "
    "radius discount speed latitude longitude factor"
)
_CITIES = (
    "Paris", "London", "Berlin", "Rome", "Madrid", "Tokyo", "Oslo", "Vienna", "Lisbon", "Boston",
    "Chicago", "Dublin", "Prague", "Cairo", "Delhi", "Seoul", "Sydney", "Toronto", "Lima", "Athens",
    "New York", "San Francisco", "Buenos Aires", "New Delhi", "Los Angeles", "Hong Kong",
)  # fmt: skip

#: How a value of a well-known parameter is usually put: before it, after it.
_PHRASES = {
    "city": ("in {}", "for {}", "in {}", "for the city of {}"),
    "location": ("in {}", "at {}", "near {}"),
    "country": ("in {}", "for {}"),
    "destination": ("to {}",),
    "origin": ("from {}",),
    "name": ("for {}", "called {}", "named {}"),
    "title": ("titled {}", "called {}"),
    "user": ("for {}", "of user {}"),
    "artist": ("by {}",),
    "author": ("by {}",),
    "days": ("for {} days", "for the next {} days"),
    "hours": ("for {} hours", "in {} hours"),
    "minutes": ("for {} minutes", "in {} minutes"),
    "people": ("for {} people",),
    "guests": ("for {} guests",),
    "nights": ("for {} nights",),
    "topic": ("about {}", "on {}"),
    "language": ("in {}",),
    "amount": ("of {}",),
    "query": ("about {}", "for {}"),
    "text": ("saying {}", "with the text {}"),
    "email": ("to {}",),
}

#: Natural questions for common tools: name, description, parameters (JSON types), questions.
_COMMON: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
    ("get_weather", "Get the current weather for a city", {"city": "string"},
     ("What is the weather in {city}?", "What's the weather like in {city}?",
      "How is the weather in {city} today?", "Weather in {city}?", "Is it raining in {city}?",
      "What is the weather in {city} now?", "Tell me the weather in {city}.")),
    ("get_current_weather", "Get the current weather in a given location", {"location": "string"},
     ("What is the weather in {location}?", "What's the weather like in {location} today?",
      "How is the weather in {location}?")),
    ("get_weather", "Get the weather of a city", {"city": "string", "unit": "string"},
     ("What is the weather in {city} in {unit}?", "Weather in {city} in {unit}, please.")),
    ("get_forecast", "Get the weather forecast", {"city": "string", "days": "integer"},
     ("What is the forecast for {city} for the next {days} days?",
      "How will the weather be in {city} for {days} days?", "{days} day forecast for {city}")),
    ("get_time", "Get the current time in a city", {"city": "string"},
     ("What time is it in {city}?", "What is the time in {city}?", "Current time in {city}?")),
    ("add", "Add two numbers", {"a": "integer", "b": "integer"},
     ("Add {a} and {b}.", "Use the tool to add {a} and {b}.", "What is {a} plus {b}?")),
    ("multiply", "Multiply two numbers", {"a": "integer", "b": "integer"},
     ("Multiply {a} by {b}.", "What is {a} times {b}?", "What is {a} multiplied by {b}?")),
    ("search", "Search the web", {"query": "string"},
     ("Search for {query}.", "Search the web for {query}.", "Look up {query}.")),
    ("get_stock_price", "Get the price of a stock", {"symbol": "string"},
     ("What is the stock price of {symbol}?", "Stock price of {symbol}?",
      "How much is a share of {symbol}?")),
    ("send_email", "Send an email", {"to": "string", "subject": "string"},
     ("Send an email to {to} with the subject {subject}.",
      "Email {to} with the subject {subject}.")),
    ("send_message", "Send a message to a person", {"to": "string", "text": "string"},
     ("Send {to} a message saying {text}.", "Send a message to {to} saying {text}.",
      "Tell {to}: {text}")),
    ("set_timer", "Set a timer", {"minutes": "integer"},
     ("Set a timer for {minutes} minutes.", "Start a timer of {minutes} minutes.",
      "Timer for {minutes} minutes")),
    ("convert_currency", "Convert an amount of money between currencies",
     {"amount": "number", "from": "string", "to": "string"},
     ("Convert {amount} {from} to {to}.", "How much is {amount} {from} in {to}?")),
    ("book_flight", "Book a flight", {"origin": "string", "destination": "string"},
     ("Book a flight from {origin} to {destination}.",
      "I need a flight from {origin} to {destination}.",
      "Book a flight to {destination} from {origin}.")),
    ("get_user", "Get a user by id", {"user_id": "integer"},
     ("Get user {user_id}.", "Show me user {user_id}.", "Who is user {user_id}?")),
    ("get_distance", "Get the distance between two places", {"origin": "string",
     "destination": "string"},
     ("How far is it from {origin} to {destination}?",
      "What is the distance from {origin} to {destination}?")),
    ("create_event", "Create a calendar event", {"title": "string", "hours": "integer"},
     ("Create an event called {title} for {hours} hours.",
      "Put {title} in my calendar for {hours} hours.")),
    ("play_song", "Play a song", {"title": "string"},
     ("Play {title}.", "Play the song {title}.", "I want to hear {title}.")),
)  # fmt: skip

_OPENERS = (
    "Please {}.",
    "{}.",
    "Can you {}?",
    "Could you {}?",
    "{}",
    "I want to {}.",
    "I need to {}.",
)
_DESCRIPTION_VERBS = ("{v} a {n}", "{v} the {n}", "{v} {n} information", "A tool to {v} a {n}")
_RESULT_KEYS = listed(
    "temperature condition status id price total name result count time city message wind humidity "
    "distance value ok date unit rate score level sky"
)
_RESULT_WORDS = listed(
    "sunny cloudy rainy windy snowy clear done ok sent created found deleted saved open closed "
    "pending active ready booked cancelled warm cold degrees new"
)


@dataclass(frozen=True)
class Call:
    """One question, and the function name and arguments it calls for."""

    question: str
    name: str
    arguments: dict[str, Value]

    @property
    def text(self) -> str:
        """The assistant turn as Llama 3.1's template writes it."""
        arguments = json.dumps(self.arguments, ensure_ascii=False)
        return f'{{"name": "{self.name}", "parameters": {arguments}}}'


@dataclass(frozen=True)
class Function:
    """A tool: JSON types by parameter, and the questions that call for it (may be none)."""

    name: str
    description: str
    parameters: dict[str, str]
    questions: tuple[str, ...] = ()


class Toolbox:
    """Draws tools, calls and results."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.rng = words.rng

    def functions(self, count: int) -> list[Function]:
        """`count` functions with different names, some of which differ in their noun only."""
        chosen: dict[str, Function] = {}
        while len(chosen) < count:
            kind = self.rng.random()
            if kind < 0.35:
                function = self._common()
            elif chosen and kind < 0.6:
                function = self._sibling(self.rng.choice(list(chosen.values())))
            else:
                function = self._composed()
            chosen.setdefault(function.name, function)
        return list(chosen.values())

    def idle_question(self) -> str:
        """A question for a tool that is not there (and that is not a sum)."""
        while (function := self.functions(1)[0]).name == "add":
            pass
        return self.call(function).question

    def _common(self) -> Function:
        name, description, parameters, questions = self.rng.choice(_COMMON)
        return Function(name, description, parameters, questions)

    def _sibling(self, function: Function) -> Function:
        """The same verb and parameters for another noun."""
        verb, _, _ = function.name.partition("_")
        return self._named(verb, self._noun_for(verb), function.parameters)

    def _noun_for(self, verb: str) -> str:
        """A noun that makes a name of this split with `verb`."""
        while True:
            noun = self.rng.choice(_NOUNS) if self.rng.random() < 0.85 else self.words.word()
            if is_held_out(verb, noun) == self.words.held_out:
                return noun

    def _composed(self) -> Function:
        """A verb, a noun and parameters; the combination belongs to the split."""
        rng = self.rng
        verb = rng.choice(_VERBS)
        noun = self._noun_for(verb)
        if rng.random() < 0.15:
            verb = self.words.word()
        parameters: dict[str, str] = {}
        for _ in range(rng.choices((1, 2, 3), (5, 4, 2))[0]):
            kind, names = rng.choice(
                (
                    ("string", _STRING_PARAMETERS),
                    ("string", _STRING_PARAMETERS),
                    ("integer", _INTEGER_PARAMETERS),
                    ("number", _NUMBER_PARAMETERS),
                )
            )
            name = self.words.word() if rng.random() < 0.1 else rng.choice(names)
            parameters.setdefault(name, kind)
        return self._named(verb, noun, parameters)

    def _named(self, verb: str, noun: str, parameters: dict[str, str]) -> Function:
        description = self.rng.choice(_DESCRIPTION_VERBS).format(v=verb, n=noun)
        return Function(f"{verb}_{noun}", description[0].upper() + description[1:], parameters)

    def schema(self, function: Function) -> Tool:
        """The function as an OpenAI-style tool object; optional parts vary."""
        rng = self.rng
        described = rng.random() < 0.3
        properties: dict[str, Tool] = {}
        for name, kind in function.parameters.items():
            properties[name] = {"type": kind}
            if described:
                properties[name]["description"] = f"The {name.replace('_', ' ')}"
        parameters: Tool = {"type": "object", "properties": properties}
        if rng.random() < 0.8:
            parameters["required"] = list(function.parameters)
        if rng.random() < 0.1:
            parameters["additionalProperties"] = False
        body: Tool = {
            "name": function.name,
            "description": function.description,
            "parameters": parameters,
        }
        if rng.random() < 0.1:
            del body["description"]
        return {"type": "function", "function": body}

    def _value(self, parameter: str, kind: str) -> Value:
        rng, words = self.rng, self.words
        if kind == "integer":
            return rng.randint(0, rng.choice((20, 100, 1000, 100_000)))
        if kind == "number":
            return words.decimal() if rng.random() < 0.7 else rng.randint(1, 999)
        if parameter == "unit":
            return rng.choice(("celsius", "fahrenheit", "metric", "kelvin"))
        if parameter in ("from", "currency") or (parameter == "to" and rng.random() < 0.3):
            return rng.choice(("EUR", "USD", "GBP", "JPY", words.word()[:3].upper()))
        if parameter == "email" or (parameter == "to" and rng.random() < 0.3):
            return f"{words.word()}@{words.word()}.{rng.choice(('com', 'org', 'net'))}"
        if parameter == "symbol":
            return words.word()[:4].upper()
        if not words.held_out and rng.random() < 0.3:
            return rng.choice(_CITIES if rng.random() < 0.7 else FIRST_NAMES)
        kind_of_words = rng.random()
        if kind_of_words < 0.5:
            return words.name()
        if kind_of_words < 0.65:
            return f"{words.name()} {words.name()}"
        if kind_of_words < 0.9:
            return words.word()
        return f"{words.word()} {words.word()}"

    def _phrase(self, parameter: str, value: str) -> str:
        rng = self.rng
        known = _PHRASES.get(parameter)
        if known and rng.random() < 0.6:
            return rng.choice(known).format(value)
        spoken = parameter.replace("_", " ") if rng.random() < 0.8 else parameter
        form = rng.choice(
            ("with {p} {v}", "with the {p} {v}", "for {p} {v}", "{p} {v}", "with {p} = {v}",
             "where {p} is {v}", "{p}: {v}", "and {p} {v}")
        )  # fmt: skip
        return form.format(p=spoken, v=value)

    def call(self, function: Function) -> Call:
        """A question that states every argument, and the call it should lead to."""
        rng = self.rng
        arguments = {name: self._value(name, kind) for name, kind in function.parameters.items()}
        spoken = {}
        for name, value in arguments.items():
            text = str(value)
            if (isinstance(value, str) and " " in text) or rng.random() < 0.08:
                text = rng.choice(("{}", '"{}"', "'{}'")).format(text)
            spoken[name] = text
        if function.questions and rng.random() < 0.85:
            question = rng.choice(function.questions).format(**spoken)
            if rng.random() < 0.1:
                question = question.rstrip("?.")
            return Call(question, function.name, arguments)
        order = list(arguments)
        if rng.random() < 0.4:
            rng.shuffle(order)
        phrases = [self._phrase(name, spoken[name]) for name in order]
        action = function.name.replace("_", " ")
        verb, _, noun = action.partition(" ")
        if noun and rng.random() < 0.7:
            action = f"{verb} {rng.choice(('a', 'the', 'the', 'my'))} {noun}"
        if rng.random() < 0.15:
            question = f"{(noun or verb).capitalize()} {' '.join(phrases)}"
        elif rng.random() < 0.1:
            question = f"Call {function.name} {' '.join(phrases)}"
        else:
            joiner = rng.choice((" ", " ", ", ", " and "))
            question = rng.choice(_OPENERS).format(f"{action} {joiner.join(phrases)}")
        return Call(question[0].upper() + question[1:], function.name, arguments)

    def result(self) -> tuple[str, str]:
        """A tool's result as message content, and the answer it should lead to."""
        rng, words = self.rng, self.words
        kind = rng.random()
        if kind < 0.55:
            return self._object_result()
        if kind < 0.7:
            number = words.decimal() if rng.random() < 0.5 else rng.randint(-99, 99_999)
            return str(number), f"The result is {number}."
        pieces = []
        for _ in range(rng.randint(1, 5)):
            draw = rng.random()
            if draw < 0.45:
                pieces.append(rng.choice(_RESULT_WORDS))
            elif draw < 0.75:
                pieces.append(words.word() if rng.random() < 0.6 else words.name())
            else:
                pieces.append(str(rng.randint(-20, 999)))
        text = rng.choice((" ", " ", ", ")).join(pieces)
        return text, f"The result is {text}."

    def _object_result(self) -> tuple[str, str]:
        rng, words = self.rng, self.words
        fields: dict[str, Value] = {}
        for key in rng.sample(_RESULT_KEYS, rng.randint(1, 4)):
            draw = rng.random()
            if draw < 0.35:
                fields[key] = rng.randint(-30, rng.choice((50, 1000, 100_000)))
            elif draw < 0.45:
                fields[key] = words.decimal()
            elif draw < 0.7:
                fields[key] = rng.choice(_RESULT_WORDS)
            elif draw < 0.95:
                fields[key] = words.word() if rng.random() < 0.5 else words.full_name()
            else:
                fields[key] = rng.random() < 0.5
        separators = (",", ":") if rng.random() < 0.2 else (", ", ": ")
        content = json.dumps(fields, ensure_ascii=False, separators=separators)
        parts = (
            f"{key} {value if isinstance(value, str) else json.dumps(value)}"
            for key, value in fields.items()
        )
        return content, f"The result is {', '.join(parts)}."
