// The AI SDK over @ai-sdk/openai-compatible (chat) and @ai-sdk/openai (Responses by default).
import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.EDGE_LLAMA_URL;
const compatible = createOpenAICompatible({
  name: "edge-llama",
  baseURL,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL, apiKey: "none" });
const GREETING = "Hello! How can I help you today?";
const CAPITAL_ANSWER = "The capital of France is Paris.";
const person = "Extract name and age as JSON: Paula is 34 years old.";

const models = {
  "openai-compatible": compatible.chatModel("demo"),
  "openai, chat": openai.chat("demo"),
  "openai, Responses": openai("demo"),
};

for (const [name, model] of Object.entries(models)) {
  const options = { model, temperature: 0, maxRetries: 0 };

  test(`${name}: generateText`, async () => {
    const { text, finishReason, usage } = await generateText({
      ...options,
      instructions: "You are helpful.",
      prompt: "What is the capital of France?",
    });
    assert.equal(text, CAPITAL_ANSWER);
    assert.equal(finishReason, "stop");
    assert.ok(usage.outputTokens > 3);
  });

  test(`${name}: streamText`, async () => {
    const result = streamText({ ...options, prompt: "Hello!" });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), GREETING);
    assert.equal(await result.finishReason, "stop");
    assert.ok((await result.usage).outputTokens > 3);
  });

  test(`${name}: a tool is called and answered from`, async () => {
    const cities = [];
    const result = streamText({
      ...options,
      prompt: "What is the weather in Paris?",
      stopWhen: isStepCount(2),
      tools: {
        get_weather: tool({
          description: "Get the current weather for a city",
          inputSchema: z.object({ city: z.string() }),
          execute: async ({ city }) => {
            cities.push(city);
            return { temperature: 18 };
          },
        }),
      },
    });
    assert.match(await result.text, /18/);
    assert.deepEqual(cities, ["Paris"]);
  });

  test(`${name}: an object`, async () => {
    const { output } = await generateText({
      ...options,
      prompt: person,
      output: Output.object({ schema: z.object({ name: z.string(), age: z.number().int() }) }),
    });
    assert.deepEqual(output, { name: "Paula", age: 34 });
  });
}

test("embeddings", async () => {
  const { embeddings } = await embedMany({
    model: compatible.embeddingModel("demo"),
    values: ["Hello!", "Paris"],
  });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(embeddings[0].reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
});
