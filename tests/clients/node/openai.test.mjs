// The npm `openai` package. Run with EDGE_LLAMA_URL set to an address that ends in /v1.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.EDGE_LLAMA_URL, apiKey: "none", maxRetries: 0 });
const GREETING = "Hello! How can I help you today?";
const CAPITAL_ANSWER = "The capital of France is Paris.";
const asked = (content) => ({ model: "demo", temperature: 0, messages: [{ role: "user", content }] });
const hello = asked("Hello!");
const capital = asked("What is the capital of France?");
const person = "Extract name and age as JSON: Paula is 34 years old.";
const weather = asked("What is the weather in Paris?");
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const description = "Get the current weather for a city";

test("create", async () => {
  const answer = await client.chat.completions.create(hello);
  assert.equal(answer.choices[0].message.content, GREETING);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test("a stream, chunk by chunk", async () => {
  const stream = await client.chat.completions.create({
    ...capital,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  const roles = [];
  let usage = null;
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta;
    text += delta?.content ?? "";
    if (delta?.role) roles.push(delta.role);
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, CAPITAL_ANSWER);
  assert.deepEqual(roles, ["assistant"]);
  assert.ok(usage.completion_tokens > 3);
});

test("the stream helper", async () => {
  const runner = client.chat.completions.stream(hello);
  let heard = "";
  runner.on("content", (delta) => (heard += delta));
  const final = await runner.finalChatCompletion();
  assert.equal(heard, GREETING);
  assert.equal(final.choices[0].message.content, GREETING);
});

test("an aborted stream ends", async () => {
  const stream = await client.chat.completions.create({ ...asked("Count from 1 to 200."), stream: true });
  let chunks = 0;
  for await (const _ of stream) {
    chunks += 1;
    if (chunks === 3) stream.controller.abort();
  }
  assert.ok(chunks < 60);
  assert.equal((await client.chat.completions.create(hello)).choices[0].message.content, GREETING);
});

test("errors are the client's own", async () => {
  await assert.rejects(client.chat.completions.create({ ...hello, model: "gpt-5" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
  await assert.rejects(client.chat.completions.create({ ...hello, temperature: 3 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    return true;
  });
});

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ["demo"]);
  assert.equal((await client.models.retrieve("demo")).object, "model");
});

test("parse", async () => {
  const schema = z.object({ name: z.string(), age: z.number().int() });
  const answer = await client.chat.completions.parse({
    ...asked(person),
    response_format: zodResponseFormat(schema, "person"),
  });
  assert.deepEqual(answer.choices[0].message.parsed, { name: "Paula", age: 34 });
});

test("runTools calls the function and answers from its result", async () => {
  const cities = [];
  const runner = client.chat.completions.runTools({
    ...weather,
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          description,
          parameters,
          parse: JSON.parse,
          function: ({ city }) => {
            cities.push(city);
            return { temperature: 18 };
          },
        },
      },
    ],
  });
  assert.match(await runner.finalContent(), /18/);
  assert.deepEqual(cities, ["Paris"]);
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: "demo", input: ["Hello!", "Paris"] });
  assert.equal(answer.data.length, 2);
  const length = answer.data[0].embedding.reduce((sum, x) => sum + x * x, 0);
  assert.ok(Math.abs(length - 1) < 1e-3);
});

test("completions", async () => {
  const answer = await client.completions.create({
    model: "demo",
    prompt: "1, 2, 3, 4,",
    max_tokens: 4,
    temperature: 0,
  });
  assert.equal(answer.object, "text_completion");
  assert.equal(answer.usage.completion_tokens, 4);
});

test("responses", async () => {
  const question = { model: "demo", input: "What is the capital of France?", temperature: 0 };
  assert.equal((await client.responses.create(question)).output_text, CAPITAL_ANSWER);
  const final = await client.responses.stream(question).finalResponse();
  assert.equal(final.output_text, CAPITAL_ANSWER);
});
