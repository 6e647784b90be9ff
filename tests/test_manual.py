"""The manual: short pages that name what there is, and links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

import edge_llama
from edge_llama.api.endpoints import ROOT_ENDPOINTS, V1_ENDPOINTS
from edge_llama.api.web.manual import anchor
from edge_llama.bench.scenarios.scenarios import chosen_names
from edge_llama.cli.chat.session import HELP
from edge_llama.cli.terminal.exit_codes import MEANINGS
from edge_llama.docs import TOPICS, page, pages
from edge_llama.errors import SettingsError
from tests.documentation import MANUAL, ROOT, TEXTS

MOST_WORDS = 800


def headings_of(text: str) -> list[str]:
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.findall(r"^#+ (.*)$", without_code, re.M)


def anchors_of(text: str) -> list[str]:
    return [anchor(heading.replace("`", "")) for heading in headings_of(text)]


def test_the_topics_are_the_files() -> None:
    files = {path.stem for path in (ROOT / "edge_llama" / "docs").glob("*.md")}
    assert files == set(TOPICS)


def test_an_unknown_topic_is_told_with_the_topics() -> None:
    with pytest.raises(SettingsError, match="no topic 'cooking'") as caught:
        page("cooking")
    assert all(topic in str(caught.value) for topic in TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_short(topic: str) -> None:
    assert len(page(topic).text.split()) <= MOST_WORDS


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_begins_with_its_title_and_one_sentence(topic: str) -> None:
    found = page(topic)
    assert found.text.startswith(f"# {found.title}\n\n")
    assert found.summary.endswith(".")
    assert "\n" not in found.title + found.summary
    assert len(found.summary) <= 120


@pytest.mark.parametrize("topic", TOPICS)
def test_headings_of_a_page_differ(topic: str) -> None:
    anchors = anchors_of(page(topic).text)
    assert len(set(anchors)) == len(anchors)


def test_titles_differ() -> None:
    assert len({each.title for each in pages()}) == len(TOPICS)


@pytest.mark.parametrize("path", TEXTS)
def test_links_lead_to_pages_and_headings(path: str) -> None:
    links = re.findall(r"\]\(([^)\s]*)\)", TEXTS[path])
    for link in (link for link in links if "://" not in link):
        file, _, heading = link.partition("#")
        target = str(PurePosixPath(path).parent / file) if file else path
        assert (ROOT / target).exists(), link
        assert not heading or heading in anchors_of(TEXTS[target]), link


@pytest.mark.parametrize("path", MANUAL)
def test_a_page_links_to_pages_only(path: str) -> None:
    """Where edge_llama is installed there is nothing else."""
    files = re.findall(r"\]\(([^):#\s]+)(?:#[^)]*)?\)", MANUAL[path])
    assert {file.removesuffix(".md") for file in files} <= set(TOPICS)


def test_every_page_can_be_reached_from_the_readme() -> None:
    assert all(f"({path})" in TEXTS["README.md"] for path in MANUAL)


def test_every_route_is_named() -> None:
    text = page("http-api").text + page("compatibility").text
    for prefix, endpoints in (("", ROOT_ENDPOINTS), ("/v1", V1_ENDPOINTS)):
        for endpoint in endpoints:
            route = f"`{endpoint.method} {prefix}{endpoint.path}`".replace(":path}", "}")
            tokens_too = route.replace("/v1/", "/") in text and "Also below `/v1`" in text
            assert route in text or tokens_too


def test_every_exit_code_is_explained() -> None:
    text = page("command-line").text
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in text


def test_every_command_of_the_chat_is_explained() -> None:
    text = page("command-line").text
    for command in re.findall(r"^(/\w+(?: [A-Z]+)?) ", HELP, re.M):
        assert f"| `{command}` |" in text


def test_every_scenario_of_the_bench_is_explained() -> None:
    text = page("tuning-and-bench").text
    every = ("solo", "overhead", "concurrent", "stall", "prefix", "json", "churn", "startup")
    for name in (*every, "restart", "memory", "defaults", *chosen_names(every)):
        assert f"`{name}`" in text


def test_every_public_name_is_listed() -> None:
    text = page("library").text
    names = set(edge_llama.__all__) - {"__version__"}
    assert {name for name in names if f"`{name}`" not in text} == set()
