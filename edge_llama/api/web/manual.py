"""GET /docs and /docs/{topic}: the manual, which is the same for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.errors import error_response
from edge_llama.api.web.inline_page import InlinePage
from edge_llama.docs import TOPICS, page, pages

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

SHORT = 32
"""Characters of code that fit into a line of a phone."""

_LINK_TO_PAGE = re.compile(r"([a-z-]+)\.md(#.*)?")
_NO_WORD = re.compile(r"[^\w\- ]")


async def manual_index(request: Request) -> InlinePage:
    return InlinePage(_index())


async def manual_page(request: Request) -> Response:
    topic = request.path_params["topic"]
    if topic not in TOPICS:
        return error_response(HTTPException(404, "There is no such page. GET /docs lists them."))
    return InlinePage(_page(topic))


@cache
def _index() -> str:
    rows = (
        f'<dt><a href="/docs/{each.topic}">{escape(each.title)}</a></dt>'
        f"<dd>{_markdown().renderInline(each.summary)}</dd>"
        for each in pages()
    )
    body = f"<h1>Manual</h1><dl>{''.join(rows)}</dl>"
    return _whole("Manual", body)


@cache
def _page(topic: str) -> str:
    found = page(topic)
    body, sections = render(found.text)
    return _whole(found.title, body, topic, sections)


def render(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Markdown as HTML, and its headings of the second level: their anchors and texts."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    sections = list(_with_anchors(tokens))
    for token in tokens:
        _lead_to_pages(token.children or ())
        _keep_whole(token.children or ())
    return markdown.renderer.render(tokens, markdown.options, {}), sections


def _markdown() -> MarkdownIt:
    """A parser to which HTML is text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def anchor(heading: str) -> str:
    """What addresses call a heading: as on GitHub, so that links work in both places."""
    return _NO_WORD.sub("", heading.lower()).replace(" ", "-")


def _with_anchors(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Give headings their anchors; those of the second level, with their texts."""
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", anchor(text))
            if opening.tag == "h2":
                yield anchor(text), text


def _lead_to_pages(tokens: Sequence[Token]) -> None:
    """Let links to files of the manual lead to their addresses here."""
    for token in tokens:
        if token.type == "link_open" and (
            match := _LINK_TO_PAGE.fullmatch(str(token.attrs["href"]))
        ):
            token.attrSet("href", f"/docs/{match[1]}{match[2] or ''}")


def _keep_whole(tokens: Sequence[Token]) -> None:
    """Mark short code, such as flags: a browser would break its lines at hyphens."""
    for token in tokens:
        if token.type == "code_inline" and len(token.content) <= SHORT:
            token.attrSet("class", "whole")


def _whole(title: str, body: str, topic: str = "", sections: Sequence[tuple[str, str]] = ()) -> str:
    template = Template(files(__package__).joinpath("manual.html").read_text("utf-8"))
    return template.substitute(
        title=escape(title),
        kind="page" if topic else "index",
        navigation="".join(_navigation(topic, sections)),
        body=body,
    )


def _navigation(topic: str, sections: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The list of pages, with the sections of the one that is shown."""
    for each in pages():
        if each.topic != topic:
            yield f'<li><a href="/docs/{each.topic}">{escape(each.title)}</a></li>'
            continue
        inner = "".join(f'<li><a href="#{id}">{escape(text)}</a></li>' for id, text in sections)
        yield f'<li><a href="/docs/{topic}" aria-current="page">{escape(each.title)}</a>'
        yield f"<ul>{inner}</ul></li>"
