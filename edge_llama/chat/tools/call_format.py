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

PYTHON_TAG = "<|python_tag|>"

SEPARATOR = "; "
"""Between the calls of one answer."""

START = '{"name"'
"""What an answer begins with that is a call and nothing else."""

END = "}"
"""After the arguments of a function."""

SEARCH_END = '")'


def openings(name: str) -> list[str]:
    """What a call of a function can begin with, up to its arguments; the usual way first.

    The models write the other ones too, after the definitions that they are shown.
    """
    quoted = json.dumps(name, ensure_ascii=False)
    rest = ', "parameters": '
    return [
        f'{{"name": {quoted}{rest}',
        f'{{"name":{quoted}{rest}',
        f'{{"type": "function", "name": {quoted}{rest}',
    ]


def search_opening(name: str) -> str:
    """What a search begins with, up to its query."""
    return f'{name}.call(query="'
