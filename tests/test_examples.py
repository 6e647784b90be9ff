"""The examples of README and manual do what the texts say, with the demo model."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.documentation import TEXTS, blocks_of
from tests.serving import serving

ADDRESS = "http://127.0.0.1:8000"
PRINTED = {
    "README.md": r"\w+.*",
    "edge_llama/docs/clients.md": r".+\n.+\d+\n.+\n.+\n",
    "edge_llama/docs/library.md": r".+\n\d+ tokens\n",
    "edge_llama/docs/structured-output.md": r"name='Anna' age=31\n(red|green|blue)\n",
    "edge_llama/docs/tools.md": r"get_weather \{'city': '.+'\}\n.+\n",
}
"""What the Python examples of a text print."""
ANSWERS = {
    "regex": r'"content":"(yes|no)"',
    "json_schema": r'"content":"\{\\"name\\": \\"Anna\\"\}"',
    "stream": r"data: \[DONE\]\n\n$",
    "embeddings": r'"embedding":\[',
    "tokenize": r'"tokens":\[\d',
    "openapi": r'"openapi": "3\.1',
    "messages": r'"content":"\S|tool_calls',
}
"""What curl gets, by a word of the command; the first that is in it counts."""

PYTHON = [path for path, text in TEXTS.items() if blocks_of(text, "python")]
CURLS = [
    pytest.param(block, id=f"{path.rpartition('/')[2]}-{number}")
    for path, text in TEXTS.items()
    for number, block in enumerate(b for b in blocks_of(text, "sh") if b.startswith("curl "))
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as (url, _):
        yield url


@pytest.mark.parametrize("path", PYTHON)
def test_python_examples_run_one_after_the_other(url: str, path: str) -> None:
    code = "\n".join(blocks_of(TEXTS[path], "python")).replace(ADDRESS, url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(PRINTED[path], done.stdout), done.stdout


@pytest.mark.parametrize("block", CURLS)
def test_curl_calls_are_answered(url: str, block: str) -> None:
    reply = curl(block.replace(ADDRESS, url))
    assert reply.status_code == 200, reply.text
    expected = next(pattern for word, pattern in ANSWERS.items() if word in block)
    assert re.search(expected, reply.text), reply.text


def curl(command: str) -> httpx.Response:
    """The answer to a call of curl with `-H`, `-d` and `-N`, as curl would get it."""
    words = iter(shlex.split(command)[1:])
    address, body, headers = "", None, {}
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word != "-N":
            assert not word.startswith("-"), word
            address = word
    method = "GET" if body is None else "POST"
    return httpx.request(method, address, content=body, headers=headers, timeout=60)
