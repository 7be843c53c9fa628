// Anthropic's and Google's SDKs for Node against the proxy. Usage: node apis.mjs URL KEY SDK MODEL,…
// The outcomes of every scenario with each model are one JSON object on stdout.

import { createRequire } from "node:module";

// The packages are installed where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const [baseURL, apiKey, sdk, models] = process.argv.slice(2);
const QUESTION = "How is the weather?";
const BROKEN = "breaks-in-the-middle";
const SCHEMA = { type: "object", properties: { city: { type: "string" } } };

const anthropic = () => {
  const { default: Anthropic } = require("@anthropic-ai/sdk");
  const client = new Anthropic({ apiKey, baseURL, maxRetries: 0 });
  const asked = (model, content, more) => ({
    model,
    max_tokens: 500,
    messages: [{ role: "user", content }],
    ...more,
  });
  const told = (error) => ({
    error: error.constructor.name,
    isAPIError: error instanceof Anthropic.APIError,
    status: error.status ?? null,
    type: error.type ?? null,
  });

  return {
    told,

    async whole(model) {
      const { content, stop_reason: finish } = await client.messages.create(asked(model, QUESTION));
      return { text: content.map((block) => block.text).join(""), finish };
    },

    async streamed(model) {
      const stream = client.messages.stream(asked(model, QUESTION));
      const { stop_reason: finish } = await stream.finalMessage();
      return { text: await stream.finalText(), finish };
    },

    async tools(model) {
      const tools = [{ name: "get_weather", input_schema: SCHEMA }];
      const messages = [{ role: "user", content: QUESTION }];
      const body = { model, max_tokens: 500, messages, tools };
      const first = await client.messages.stream(body).finalMessage();
      const calls = first.content.filter((block) => block.type === "tool_use");
      const results = calls.map(({ id }) => ({
        type: "tool_result",
        tool_use_id: id,
        content: "sunny",
      }));
      messages.push({ role: "assistant", content: first.content }, { role: "user", content: results });
      const last = await client.messages.stream(body).finalText();
      return { cities: calls.map((call) => call.input.city), text: last };
    },

    async broken(model, seen) {
      const events = await client.messages.create(asked(model, BROKEN, { stream: true }));
      for await (const event of events) seen.text += event.delta?.text ?? "";
    },

    async refused(model) {
      await client.messages.create(asked(model, "is-refused"));
    },
  };
};

const google = () => {
  const { ApiError, GoogleGenAI } = require("@google/genai");
  const httpOptions = { baseUrl: baseURL, retryOptions: { attempts: 1 } };
  const { models, chats } = new GoogleGenAI({ apiKey, vertexai: false, httpOptions });
  const told = (error) => ({
    error: error.constructor.name,
    isAPIError: error instanceof ApiError,
    status: error.status ?? null,
    type: error.message.match(/"status": ?"(\w+)"/)?.[1] ?? null, // its own class says no more
  });

  return {
    told,

    async whole(model) {
      const answer = await models.generateContent({ model, contents: QUESTION });
      return { text: answer.text, finish: answer.candidates[0].finishReason };
    },

    async streamed(model) {
      const seen = { text: "", finish: null };
      for await (const chunk of await models.generateContentStream({ model, contents: QUESTION })) {
        seen.text += chunk.text ?? "";
        seen.finish = chunk.candidates?.[0]?.finishReason ?? seen.finish;
      }
      return seen;
    },

    async tools(model) {
      const declared = { name: "get_weather", parametersJsonSchema: SCHEMA };
      const config = { tools: [{ functionDeclarations: [declared] }] };
      const chat = chats.create({ model, config });
      const calls = [];
      for await (const chunk of await chat.sendMessageStream({ message: QUESTION })) {
        calls.push(...(chunk.functionCalls ?? []));
      }
      const message = calls.map(({ id, name }) => ({
        functionResponse: { id, name, response: { output: "sunny" } },
      }));
      let text = "";
      for await (const chunk of await chat.sendMessageStream({ message })) text += chunk.text ?? "";
      return { cities: calls.map((call) => call.args.city), text };
    },

    async broken(model, seen) {
      for await (const chunk of await models.generateContentStream({ model, contents: BROKEN })) {
        seen.text += chunk.text ?? "";
      }
    },

    async refused(model) {
      await models.generateContent({ model, contents: "is-refused" });
    },
  };
};

const { told, ...scenarios } = { anthropic, google }[sdk]();

async function play(name, model) {
  const seen = { text: "" };
  try {
    return (await scenarios[name](model, seen)) ?? { ...seen, ended: true };
  } catch (error) {
    return { ...seen, ...told(error) };
  }
}

const outcomes = {};
for (const name of Object.keys(scenarios)) {
  outcomes[name] = await Promise.all(models.split(",").map((model) => play(name, model)));
}
console.log(JSON.stringify(outcomes));
