"""Measures the demo model on held-out prompts, through edge_llama's own engine, greedily.

python models/demo/evaluate.py --prompts 200
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

from heldout import BEHAVIOURS, Example, heldout

from edge_llama import (
    AsyncEngine,
    ChatModel,
    ChatRequest,
    EngineSettings,
    GenerationOptions,
    Message,
    Role,
    SamplingParams,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStarted,
)

MODEL = Path(__file__).parent / "edge-llama-demo.gguf"
MAX_TOKENS = 1024


@dataclass
class Score:
    """How one behaviour fared."""

    behaviour: str
    right: int
    total: int
    misses: list[tuple[Example, str]]

    @property
    def row(self) -> str:
        return (
            f"| {self.behaviour} | {self.right} of {self.total} | {self.right / self.total:.1%} |"
        )


async def answer(model: ChatModel, example: Example) -> str:
    request = ChatRequest(
        messages=tuple(Message(Role(m.role), m.content) for m in example.messages),
        tools=tuple(Tool(definition) for definition in example.tools),
        options=GenerationOptions(sampling=SamplingParams(temperature=0), max_tokens=MAX_TOKENS),
    )
    text = calls = ""
    async with await model.start(request) as completion:
        async for event in completion:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, ToolCallStarted):
                calls += f'{{"name": {json.dumps(event.name)}, "parameters": '
            elif isinstance(event, ToolCallDelta):
                calls += event.arguments
    return text + calls + "}" * bool(calls)


async def score(model: ChatModel, behaviour: str, prompts: int, seed: int) -> Score:
    examples = heldout(behaviour, prompts, seed)
    answers = await asyncio.gather(*(answer(model, example) for example in examples))
    misses = [
        (example, text)
        for example, text in zip(examples, answers, strict=True)
        if not example.accepts(text)
    ]
    return Score(behaviour, prompts - len(misses), prompts, misses)


async def evaluate(
    model_path: Path, prompts: int, seed: int, show: int, threads: int | None
) -> None:
    began = time.monotonic()
    async with AsyncEngine(EngineSettings(model=str(model_path), threads=threads)) as engine:
        print(f"loaded in {time.monotonic() - began:.2f} s, the process's start included\n")
        print("| behaviour | right | rate |\n| --- | --- | --- |")
        for behaviour in BEHAVIOURS:
            result = await score(ChatModel(engine), behaviour, prompts, seed)
            print(result.row, flush=True)
            for example, text in result.misses[:show]:
                print(f"    asked  {example.messages[-1].content!r}")
                print(f"    wanted {example.answers[0]!r}")
                print(f"    got    {text!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--prompts", type=int, default=200, help="per behaviour")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="misses to print per behaviour")
    parser.add_argument("--threads", type=int, help="of the engine; all cores without")
    given = parser.parse_args()
    asyncio.run(evaluate(given.model, given.prompts, given.seed, given.show, given.threads))


if __name__ == "__main__":
    main()
