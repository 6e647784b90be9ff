"""The chat page in Chromium, with a server that the test plays in the page itself."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

SERVER = """
const sent = [];
const chunk = (text) => new TextEncoder().encode(
  `data: ${JSON.stringify({choices: [{delta: {content: text}}]})}\\n\\n`);
window.fetch = async (path, options) => {
  if (path === "/v1/models") return {ok: true, json: async () => ({data: [{id: "demo"}]})};
  const request = {messages: JSON.parse(options.body).messages, signal: options.signal};
  sent.push(request);
  const stream = new ReadableStream({start(controller) {
    request.say = (text) => controller.enqueue(chunk(text));
    request.end = () => controller.close();
    options.signal.addEventListener("abort", () =>
      controller.error(new DOMException("aborted", "AbortError")));
  }});
  return {ok: true, body: stream};
};
const later = () => new Promise((done) => setTimeout(done, 20));
const ask = async (text) => { at("text").value = text; at("ask").requestSubmit(); await later(); };
const click = async (id) => { at(id).click(); await later(); };
"""

Play = Callable[[str], object]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs steps in the page; gives what they return."""
    page = files("edge_llama.api.web").joinpath("chat.html").read_text(encoding="utf-8")

    def run(steps: str) -> object:
        script = (
            "<script>(async () => { let told; try { await later(); told = await (async () => {"
            f"{steps}"
            '})(); } catch (error) { told = String(error); } document.body.textContent = "TOLD"'
            ' + JSON.stringify(told) + "DLOT"; })();</script>'
        )
        played = page.replace("<script>", f"<script>{SERVER}</script><script>", 1)
        path = tmp_path / "page.html"
        path.write_text(played.replace("</body>", f"{script}</body>"), encoding="utf-8")
        done = subprocess.run(
            [
                str(CHROMIUM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=20000",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = re.search("TOLD(.*?)DLOT</body>", done.stdout, re.DOTALL)
        assert told, done.stdout[-2000:] + done.stderr[-2000:]
        return json.loads(html.unescape(told[1]))

    return run


def test_a_new_chat_during_an_answer_leaves_the_old_text_in_the_old_chat(play: Play) -> None:
    told = play("""
      await ask("one");
      sent[0].say("old text"); await later();
      await click("fresh");
      await ask("two");
      const during = [at("send").hidden, at("stop").hidden];
      sent[1].say("new text"); await later();
      sent[1].end(); await later();
      await ask("three");
      return {
        aborted: sent[0].signal.aborted, during,
        second: sent[1].messages, third: sent[2].messages, shown: turns.textContent,
      };
    """)
    assert isinstance(told, dict)
    assert told["aborted"] is True
    assert told["during"] == [True, False]
    assert told["second"] == [{"role": "user", "content": "two"}]
    assert told["third"] == [
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "new text"},
        {"role": "user", "content": "three"},
    ]
    assert "old text" not in told["shown"]
    assert "Stopped" not in told["shown"]


def test_a_new_chat_can_be_asked_at_once(play: Play) -> None:
    """Also before the stopped answer of the old chat has noticed."""
    told = play("""
      await ask("one");
      at("fresh").click();
      const draft = at("text").value;
      at("text").value = "two";
      at("ask").requestSubmit();
      await later();
      await click("stop");
      return {draft, messages: sent[1].messages, stopped: sent[1].signal.aborted,
              text: at("text").value, send: at("send").hidden};
    """)
    assert told == {
        "draft": "",
        "messages": [{"role": "user", "content": "two"}],
        "stopped": True,
        "text": "two",
        "send": False,
    }


def test_what_a_stopped_answer_said_stays_in_its_chat(play: Play) -> None:
    told = play("""
      await ask("one");
      sent[0].say("half an"); await later();
      await click("stop");
      await ask("two");
      return sent[1].messages;
    """)
    assert told == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "half an"},
        {"role": "user", "content": "two"},
    ]


def test_the_answer_about_an_older_key_says_nothing_any_more(play: Play) -> None:
    told = play("""
      const replies = [];
      window.fetch = (path, options) => new Promise((reply) => replies.push(reply));
      const change = (key) => {
        at("key").value = key;
        at("key").dispatchEvent(new Event("change"));
      };
      change("wrong"); change("right");
      replies[1]({ok: true, json: async () => ({data: [{id: "m"}]})});
      await later();
      replies[0]({ok: false, status: 401, json: async () => ({error: {message: "no"}})});
      await later();
      return [at("model").value, at("more").hidden, turns.textContent];
    """)
    assert told == ["m", True, ""]
