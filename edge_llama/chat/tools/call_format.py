"""How Llama 3.1 writes calls of tools.

```
{"name": "get_weather", "parameters": {"city": "Paris"}}; {"name": …           functions
<|python_tag|>brave_search.call(query="…")                                     searches
<|python_tag|>print(6 * 7)                                                     the code interpreter
```

Format: https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/prompt_format.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator

PYTHON_TAG = "<|python_tag|>"

SEPARATOR = "; "
"""Between the calls of one answer."""

START = '{"name"'
"""What an answer begins with that is a call and nothing else."""

END = "}"
"""After the arguments of a function."""

SEARCH_END = '")'


FENCES = ("```json\n", "```\n")
"""What the models put before a call that they write as code."""

_SPACES = (
    ("", " ", " "),
    ("", "", " "),
    ("", "", ""),
    ("", " ", ""),
    ("\n  ", " ", "\n  "),
    ("\n    ", " ", "\n    "),
)
"""White space after a brace, after a colon and after a comma; the usual way first."""

BRACE = "{"
"""What arguments begin with; it tells that an opening is whole."""


def opening(name: str) -> str:
    """What a call of a function begins with, up to its arguments."""
    return f'{{"name": {_quoted(name)}, "parameters": '


def openings(name: str) -> list[str]:
    """What a call of a function can begin with, up to the brace of its arguments.

    The models write other ones than the usual too, after the definitions that they are shown.
    """
    return list(_openings(_quoted(name)))


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _openings(quoted: str) -> Iterator[str]:
    for arguments in ("parameters", "arguments"):
        for brace, colon, comma in _SPACES:
            for last in {colon, " "}:
                rest = f'"name":{colon}{quoted},{comma}"{arguments}":{last}{BRACE}'
                yield f"{{{brace}{rest}"
                yield f'{{{brace}"type":{colon}"function",{comma}{rest}'


def search_opening(name: str) -> str:
    """What a search begins with, up to its query."""
    return f'{name}.call(query="'
