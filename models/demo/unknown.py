"""Messages that the demo model should decline: questions, orders, essays, code and noise."""

from __future__ import annotations

from random import Random

from words import Vocabulary, listed

_THINGS = listed(
    "dog cat horse car train bicycle planet star galaxy computer phone keyboard battery engine "
    "bridge house garden river mountain ocean forest desert island volcano storm cloud rain snow "
    "apple bread cheese soup pasta rice coffee tea wine beer cake chocolate salt sugar egg book "
    "poem song film painting novel story letter email essay recipe contract report speech blog "
    "law tax bank loan price market stock company job career school teacher student university "
    "doctor medicine vaccine virus cell gene brain heart blood muscle bone diet sleep dream "
    "language grammar word sentence alphabet number equation theorem triangle circle matrix "
    "algorithm database server network browser compiler function variable loop array pointer "
    "football tennis chess guitar piano violin drum dance theatre museum castle church temple "
    "king queen president war peace empire revolution election budget climate energy oil gas "
    "atom electron photon gravity quantum relativity evolution dinosaur fossil whale bee ant "
    "friend family child mother father wedding birthday holiday travel hotel flight passport map"
)
_QUALITIES = listed(
    "big small old new fast slow cheap expensive famous modern ancient simple complex good bad "
    "best happy sad red green blue dark bright heavy light strong weak rich poor hot cold "
    "dangerous safe"
)
_ACTIONS = listed(
    "fix build cook clean paint sell buy learn teach explain draw design test install repair write "
    "read translate improve measure grow plant drive fly swim climb compare describe sort parse "
    "debug compile deploy train open close find make use change remove understand avoid stop"
)
_FIELDS = listed(
    "physics chemistry biology history geography politics economics philosophy psychology medicine "
    "music art sports cooking gardening programming mathematics statistics astronomy religion "
    "fashion finance Python Java Rust JavaScript Linux Windows Docker Kubernetes SQL HTML Excel"
)
_PEOPLE = listed(
    "Einstein Newton Mozart Shakespeare Napoleon Darwin Picasso Plato Caesar Cleopatra Lincoln "
    "Gandhi Beethoven Galileo Columbus Tesla Edison Curie Turing Homer Dante Goethe Lovelace"
)

TEMPLATES = tuple(
    """
What is a {t}?|What is {f}?|what is {f}|What is the meaning of life?|Why is the sky blue?
Why is the {t} {q}?|Why are {t}s {q}?|How does a {t} work?|How do I {a} a {t}?|how to {a} a {t}
How can I {a} my {t}?|How many {t}s are there in the world?|How much does a {t} cost?
How old is the {t}?|How long does it take to {a} a {t}?|How far is the {t}?|How big is a {t}?
When was the {t} invented?|When did {p} die?|When was {p} born?|Who invented the {t}?
Who was {p}?|Who is {p}?|Who wrote {w}?|Who is the president of {w}?|Who won the {t} cup?
Where is {w}?|Where can I buy a {q} {t}?|Where do {t}s live?|Which {t} is the {q} one?
Which is better, a {t} or a {t}?|Explain {f}.|Explain {f} to me like I am five.|Explain the {t}.
Explain how {t}s {a} things.|Write a poem about {t}s.|Write a {q} story about a {t} and a {t}.
Write a haiku about the {t}.|Write an essay on {f}.|Write a function to {a} a {t}.
Write a Python function that can {a} a {t}.|Write me a letter about the {t}.|Write a song
Translate "{w} {w}" into French.|Translate this to German: the {t} is {q}.|Summarize this text.
Summarize the book {w}.|Give me a recipe for {t} {t}.|Give me ten ideas about {f}.
Give me advice about my {t}.|List five {q} {t}s.|List the planets.|List all {t}s in {w}.
Describe a {t}.|Describe the {q} {t} in detail.|Compare {f} and {f}.|Compare a {t} with a {t}.
Can you {a} a {t}?|Can you write a {t}?|Can you help me with {f}?|Can {t}s {a}?|Do {t}s {a}?
Do you like {t}s?|Do you know {p}?|Do you know anything about {f}?|Do you have a {t}?
Is a {t} {q}?|Is {w} a {t}?|Is it {q} to {a} a {t}?|Is {f} {q}?|Are {t}s {q}?|Are you {q}?
Should I {a} the {t}?|Should I learn {f} or {f}?|Would a {t} {a} a {t}?|Could you {a} this {t}?
I want to {a} a {t}.|I need help with my {t}.|I have a {q} {t}.|I think {t}s are {q}.
I feel {q} today.|I do not like {f}.|I am learning {f}.|My {t} is broken, what should I do?
The {t} is {q}.|The {q} {t} can {a}.|A {t}, a {t} and a {t} walk into a bar.|{t}|{t} {t}|{f}
{w}|{w}?|{w} {w}|{w} {w} {w} {w}|{q} {t}|{a} {t}|{a} the {q} {t}|best {t} for {f}
What do you think about {f}?|What do you think of {p}?|What did {p} do?|What happened in {y}?
What is the {q} {t} in {w}?|What is the difference between a {t} and a {t}?|What does {w} mean?
What is the population of {w}?|What is the square root of {n}?|What is the price of {t}s?
What time is it?|What day is it today?|What should I {a} today?|What are {t}s made of?
What is {n} times {n}?|What is {n} divided by {n}?|{n} * {n}|Calculate {n} / {n}|Solve x + {n} = {n}
What causes {t}s to {a}?|What was the first {t}?|What is your favourite {t}?|What is new in {f}?
Tell me about {f}.|Tell me about {p}.|Tell me about the {t}.|Tell me a story.|Tell me a secret.
Tell me how to {a} a {t}.|Tell me something about {t}s.|Show me a {t}.|Show me how to {a} {t}s.
Please {a} the {t}.|Please {a} my {q} {t} now.|Please explain {f}.|Please write about {p}.
Let's talk about {f}.|Let us {a} a {t}.|Imagine a {q} {t}.|Pretend to be a {t}.|Act as a {t}.
Create a {t} plan for {f}.|Create a table of {t}s.|Design a {q} {t}.|Draw a {t}.|Play a game
Recommend a {t}.|Suggest a name for my {t}.|Find a {q} {t} in {w}.|Find me a {t}.|Fix this {t}.
Define {t}.|Define {f}.|Prove that the {t} is {q}.|Debug my {t}.|Search for {t}s.|Open the {t}.
Who are the {q} {t}s?|Why do {t}s {a}?|Why did {p} {a} the {t}?|Why not?|Why?|How?|What?|When?
Where?|Who?|What about {t}s?|And {t}s?|And {p}?|So what?|What if the {t} is {q}?|Really?
If a {t} is {q}, can it {a}?|Was {p} {q}?|Did {p} {a} a {t}?|Does a {t} {a}?|Does {w} {a}?
How is {f} used in {f}?|How is the weather?|How hot is the {t}?|How was your day?|How do {t}s {a}?
""".strip()
    .replace("\n", "|")
    .split("|")
)
HELD_OUT_TEMPLATES = tuple(
    """
What makes a {t} {q}?|How would you {a} a {q} {t}?|Who discovered the {t}?|When will the {t} end?
Where was {p} born?|Why should I {a} my {t}?|Explain why {t}s are {q}.|Write a short {t} about {p}.
Write a script to {a} every {t}.|Give me a summary of {f}.|Can a {t} be {q}?|Do I need a {t}?
Is there a {q} {t} nearby?|I would like to {a} the {t}.|Tell me what {f} is.
What are the rules of {f}?|Which {t} should I buy?|How important is {f}?
What year did {p} {a} the {t}?|Describe {p} in a few words.
List the {q} things about {f}.|Please help me {a} this {t}.
Make a plan to {a} a {t}.
the {q} {t} of {w}
""".strip()
    .replace("\n", "|")
    .split("|")
)

_CODE = (
    "def {w}({v}, {u}):\n    return {v} + {u}",
    "def {w}(x):\n    if x > {n}:\n        print(x)\n    return {v}",
    "for i in range({n}):\n    {w}(i)",
    "import {w}\n\n{v} = {w}.{u}({n})\nprint({v})",
    "class {w}:\n    def __init__(self, {v}):\n        self.{v} = {v}",
    "function {w}({v}) {{\n  return {v} * {n};\n}}",
    "const {v} = [{n}, {n}];\nconsole.log({v});",
    "int main(void) {{\n    int {v} = {n};\n    return {u}({v});\n}}",
    "SELECT {v}, {u} FROM {w} WHERE {v} > {n};",
    '{{"{v}": {n}, "{u}": ["{w}", true, null]}}',
    "<div class=\"{v}\"><p>{w}</p></div>",
    "#!/bin/sh\n{w} --{v} {n} | grep {u}",
    "fn {w}({v}: u32) -> u32 {{ {v} + {n} }}",
    "Traceback (most recent call last):\n  File \"{w}.py\", line {n}\nValueError: {u}",
)  # fmt: skip
_CODE_ORDERS = (
    "Explain this code:", "What does this do?", "Fix the bug in this code.", "Review:", "Why?",
    "Is this right?", "Make this faster:", "Translate this into Rust.", "Add tests to this.", "",
)  # fmt: skip
_TEXT_ORDERS = (
    "Summarize this:", "Summarize the following text.", "What is this about?", "Improve my essay:",
    "Translate this:", "Who wrote this?", "Continue the story:", "Answer the question below.",
    "", "",
)  # fmt: skip
_CONTROL_TEXTS = (
    "<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>", "<|python_tag|>", "<|eom_id|>",
    "<|start_header_id|>system<|end_header_id|>", "<|start_header_id|>", "<|end_header_id|>",
)  # fmt: skip
_SYMBOLS = "!?.,;:-_#*+/\\|()[]{}<>@$%&=~^\"'`"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class UnknownMessages:
    """A source of messages outside the model's few skills."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.rng: Random = words.rng
        self.templates = HELD_OUT_TEMPLATES if words.held_out else TEMPLATES

    def _fill(self, template: str) -> str:
        rng, words = self.rng, self.words
        message = template
        for mark, source in (("{t}", _THINGS), ("{q}", _QUALITIES), ("{a}", _ACTIONS)):
            while mark in message:
                thing = words.word() if rng.random() < 0.15 else rng.choice(source)
                message = message.replace(mark, thing, 1)
        while "{f}" in message:
            message = message.replace("{f}", rng.choice(_FIELDS), 1)
        while "{p}" in message:
            name = rng.choice(_PEOPLE) if rng.random() < 0.5 else words.name()
            message = message.replace("{p}", name, 1)
        while "{w}" in message:
            message = message.replace("{w}", words.odd_word(), 1)
        while "{n}" in message:
            message = message.replace("{n}", str(rng.randint(2, 999)), 1)
        return message.replace("{y}", str(rng.randint(1200, 2030)))

    def question(self) -> str:
        message = self._fill(self.rng.choice(self.templates))
        kind = self.rng.random()
        if kind < 0.1:
            return message.lower()
        if kind < 0.14:
            return message.upper()
        if kind < 0.2:
            return message.rstrip("?.")
        return message

    def code(self) -> str:
        rng, words = self.rng, self.words
        parts = (
            rng.choice(_CODE).format(
                w=words.word(), v=words.word(), u=words.word(), n=rng.randint(0, 999)
            )
            for _ in range(rng.randint(1, 3))
        )
        code = "\n\n".join(parts)
        if rng.random() < 0.4:
            code = f"```\n{code}\n```"
        order = rng.choice(_CODE_ORDERS)
        if order and rng.random() < 0.3:
            return f"{code}\n\n{order}"
        return f"{order}\n\n{code}" if order else code

    def text(self, sentences: int) -> str:
        """Paragraphs of `sentences` sentences, with or without an order before or after."""
        rng = self.rng
        parts = []
        for _ in range(sentences):
            if rng.random() < 0.5:
                sentence = self.question()
            else:
                sentence = " ".join(self.words.word() for _ in range(rng.randint(4, 12)))
                sentence = sentence.capitalize() + "."
            parts.append(sentence + rng.choice((" ", " ", " ", "\n", "\n\n")))
        body = "".join(parts).strip()
        order = rng.choice(_TEXT_ORDERS)
        if not order:
            return body
        return f"{body}\n\n{order}" if rng.random() < 0.3 else f"{order}\n\n{body}"

    def noise(self) -> str:
        """Symbols, letters, stray control-token spellings, or next to nothing."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.15:
            return rng.choice(("", ".", "?", "...", "!", "-", "x", "a", "0", "??", "1", "#"))
        if kind < 0.3:
            parts = [rng.choice(_CONTROL_TEXTS), self.question(), rng.choice(_CONTROL_TEXTS)]
            return rng.choice(("", " ", "\n\n")).join(parts[: rng.randint(1, 3)])
        if kind < 0.5:
            return "".join(rng.choice(_SYMBOLS) for _ in range(rng.randint(2, 30)))
        if kind < 0.6:
            return rng.choice(_LETTERS) * rng.randint(2, 40)
        if kind < 0.75:
            alphabet = _LETTERS + _LETTERS.upper() + "0123456789" + rng.choice(("", _SYMBOLS, "  "))
            return "".join(rng.choice(alphabet) for _ in range(rng.randint(3, 50))).strip()
        if kind < 0.85:
            start = rng.choice((0xC0, 0x100, 0x390, 0x410, 0x5D0, 0x627, 0x3041, 0x4E00, 0x1F300))
            return "".join(chr(start + rng.randrange(40)) for _ in range(rng.randint(1, 12)))
        return " ".join(str(rng.randint(0, 9999)) for _ in range(rng.randint(2, 12)))

    def message(self, longest: int) -> str:
        """Any of the kinds; texts have up to `longest` sentences."""
        kind = self.rng.random()
        if kind < 0.62:
            return self.question()
        if kind < 0.74:
            return self.code()
        if kind < 0.86:
            return self.text(self.rng.randint(2, max(2, longest)))
        return self.noise()
