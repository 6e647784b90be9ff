from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from edge_llama.cli.completion import complete_topic
from edge_llama.docs import TOPICS, page, pages
from tests.cli.test_program import run


def test_without_a_topic_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "docs")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[: len(TOPICS)]] == list(TOPICS)
    for line, each in zip(lines, pages(), strict=False):
        assert line.endswith(each.summary.replace("`", ""))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_pipe_gets_markdown(capsys: pytest.CaptureFixture[str], topic: str) -> None:
    assert run(capsys, "docs", topic) == (0, page(topic).text, "")


def test_an_unknown_topic_is_told_with_the_topics(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "docs", "cooking")
    assert (code, out) == (2, "")
    assert err.startswith("edge-llama: There is no topic 'cooking'. The topics are: models, serve")
    assert err.count("\n") == 1


def test_topics_are_completed() -> None:
    assert complete_topic("t") == ["tools", "tuning-and-bench", "troubleshooting"]
    assert complete_topic("") == list(TOPICS)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_gets_a_rendered_page_in_the_users_pager() -> None:
    shown = on_terminal("docs", "structured-output", PAGER="sed 's/^/paged: /'", COLUMNS="80")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert plain != shown
    lines = plain.splitlines()
    assert all(line.startswith("paged: ") for line in lines)
    assert "paged: Make answers valid JSON, match a JSON Schema" in plain
    assert "```" not in plain
    assert max(map(len, lines)) <= len("paged: ") + 80


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_links_to_pages_become_commands() -> None:
    shown = on_terminal("docs", "http-api", PAGER="cat", COLUMNS="100")
    assert "edge-llama docs clients" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert ".md" not in shown


def on_terminal(*arguments: str, **environment: str) -> str:
    """What the program writes to a terminal."""
    import pty

    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_llama", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(its)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # how Linux tells the end
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(parts).decode()
