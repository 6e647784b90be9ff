"""A long conversation against a real server with a small context."""

from __future__ import annotations

from typing import Any

import httpx

from tests.serving import serving

TURNS = [
    {"role": role, "content": f"{number}: the quick brown fox jumps over the lazy dog. " * 2}
    for number in range(30)
    for role in ("user", "assistant")
]
SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello!"}
BODY: dict[str, Any] = {"model": "demo", "messages": [SYSTEM, *TURNS, HELLO], "max_tokens": 40}


def test_whole_turns_are_dropped_until_it_fits() -> None:
    with serving("demo", "--ctx-size", "400", "--context-overflow", "truncate_oldest") as (url, _):
        path = f"{url}/v1/chat/completions"
        answer = httpx.post(path, json=BODY, timeout=60)
        assert answer.status_code == 200
        usage, told = answer.json()["usage"], answer.json()["context_overflow"]
        dropped = int(answer.headers["X-Edge-Llama-Dropped-Messages"])
        assert dropped == told["dropped_messages"] > 0
        assert dropped % 2 == 0
        assert usage["prompt_tokens"] <= 400 - 40

        refused = httpx.post(path, json=BODY | {"context_overflow": "refuse"}, timeout=60)
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        whole = usage["prompt_tokens"] + told["dropped_tokens"]
        assert f"your prompt has {whole} tokens" in refused.json()["error"]["message"]

        # One exchange fewer dropped would have been too long.
        kept = [SYSTEM, *TURNS[dropped - 2 :], HELLO]
        longer = httpx.post(f"{url}/tokenize", json={"messages": kept}, timeout=60)
        assert longer.json()["count"] > 400 - 40
