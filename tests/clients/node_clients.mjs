// Clients for Node.js, run with packages of their own: node node_clients.mjs URL KEY, where they are.
// Writes one JSON line for each thing tried: the client, what, whether it went well, and a detail.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Packages are found where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { default: OpenAI } = await load("openai");
const { ChatOpenAI } = await load("@langchain/openai");
const { HumanMessage, ToolMessage } = await load("@langchain/core/messages");
const { tool: langchainTool } = await load("@langchain/core/tools");
const { generateText, streamText, tool: aiTool, stepCountIs } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createOpenAI } = await load("@ai-sdk/openai");
const { z } = await load("zod");

const [url, key] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const RELAYED = "gpt-4o", TRANSLATED = "gemini-3-flash", ECHO = "jarvis-echo";
const QUESTION = "How is the weather?", BROKEN = "breaks-in-the-middle";

globalThis.AI_SDK_LOG_WARNINGS = false; // they go to stdout

async function attempt(client, what, work) {
  let good = false, detail;
  try {
    detail = await work();
    good = Boolean(detail);
  } catch (error) {
    detail = error.stack;
  }
  console.log(JSON.stringify([client, what, good, String(detail).slice(0, 200)]));
}

const user = (content) => [{ role: "user", content }];
const fields = { get_weather: { city: "string" }, get_forecast: { days: "integer" } };
const shapes = { get_weather: z.object({ city: z.string() }), get_forecast: z.object({ days: z.number() }) };

function sdk() {
  const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });
  const create = (model, text, more = {}) =>
    client.chat.completions.create({ model, messages: user(text), ...more });
  const read = async (stream) => {
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    return text;
  };
  return {
    whole: async (model) => (await create(model, QUESTION)).choices[0].message.content,
    streamed: async (model) => read(await create(model, QUESTION, { stream: true })),
    async tools(model) {
      let calls = 0;
      const tools = Object.entries(fields).map(([name, properties]) => {
        const entries = Object.entries(properties).map(([field, type]) => [field, { type }]);
        const parameters = { type: "object", properties: Object.fromEntries(entries) };
        const run = () => {
          calls += 1;
          return "sunny";
        };
        return { type: "function", function: { name, parameters, parse: JSON.parse, function: run } };
      });
      const runner = client.chat.completions.runTools({
        model, messages: user(QUESTION), tools, stream: true,
      });
      return (await runner.finalContent()) && calls;
    },
    async broken(model) {
      try {
        await read(await create(model, BROKEN, { stream: true }));
      } catch (error) {
        return error.code === "upstream_truncated";
      }
    },
    async wrongKey() {
      try {
        await new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list();
      } catch (error) {
        return error.code === "invalid_api_key";
      }
    },
    responses: async (model) =>
      (await client.responses.stream({ model, input: QUESTION }).finalResponse()).output_text,
  };
}

function langchain() {
  const chat = (model, more = {}) =>
    new ChatOpenAI({ model, apiKey: key, maxRetries: 0, configuration: { baseURL }, ...more });
  const gather = async (stream) => {
    let whole = null;
    for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
    return whole;
  };
  const client = {
    whole: async (model) => (await chat(model).invoke(QUESTION)).content,
    streamed: async (model) => (await gather(await chat(model).stream(QUESTION))).content,
    async tools(model, more = {}) {
      const tools = Object.entries(shapes).map(([name, schema]) =>
        langchainTool(async () => "sunny", { name, description: name, schema }));
      const bound = chat(model, more).bindTools(tools);
      const messages = [new HumanMessage(QUESTION)];
      for (let calls = 0; ;) {
        const answer = await gather(await bound.stream(messages));
        messages.push(answer);
        if (!answer.tool_calls?.length) return calls && answer.content;
        for (const call of answer.tool_calls) {
          calls += 1;
          messages.push(new ToolMessage({ tool_call_id: call.id, content: "sunny" }));
        }
      }
    },
    async broken(model) {
      try {
        await gather(await chat(model).stream(BROKEN));
      } catch (error) {
        return /broke off|ended before/.test(error.message);
      }
    },
    async wrongKey() {
      try {
        await chat(RELAYED, { apiKey: "wrong" }).invoke(QUESTION);
      } catch (error) {
        return /401/.test(error.message);
      }
    },
    responses: (model) => client.tools(model, { useResponsesApi: true }),
  };
  return client;
}

function aiSdk(make, options = {}) {
  const asked = (model, prompt) => ({ model: make(model), prompt, maxRetries: 0, ...options });
  const read = async (given) => {
    let failure;
    const result = streamText({ ...given, onError: ({ error }) => { failure = error; } });
    await result.consumeStream();
    if (failure) throw failure;
    return result;
  };
  return {
    whole: async (model) => (await generateText(asked(model, QUESTION))).text,
    streamed: async (model) => (await read(asked(model, QUESTION))).text,
    async tools(model) {
      let calls = 0;
      const execute = async () => {
        calls += 1;
        return "sunny";
      };
      const tools = Object.fromEntries(Object.entries(shapes).map(([name, inputSchema]) =>
        [name, aiTool({ description: name, inputSchema, execute })]));
      const given = { ...asked(model, QUESTION), tools, stopWhen: stepCountIs(6) };
      return (await (await read(given)).text) && calls;
    },
    async broken(model) {
      try {
        await read(asked(model, BROKEN));
      } catch (error) {
        return /broke off|ended before/.test(error.message);
      }
    },
    async twoTurns(model) {
      const messages = user(QUESTION);
      const given = { ...asked(model), prompt: undefined };
      messages.push(...(await generateText({ ...given, messages })).response.messages);
      return (await generateText({ ...given, messages: [...messages, ...user("And now?")] })).text;
    },
  };
}

const compatible = (apiKey) => createOpenAICompatible({ name: "jarvis", baseURL, apiKey });
const openai = createOpenAI({ baseURL, apiKey: key });
const unstored = { providerOptions: { openai: { store: false } } };
const both = [RELAYED, TRANSLATED];
for (const [name, client, models] of [
  ["openai for Node", sdk(), both],
  ["LangChain for JavaScript", langchain(), both],
  ["AI SDK, openai-compatible", aiSdk(compatible(key)), both],
  ["AI SDK, openai.chat()", aiSdk(openai.chat), both],
  ["AI SDK, openai()", aiSdk(openai), [TRANSLATED]],
  ["AI SDK, openai() with store: false", aiSdk(openai, unstored), [TRANSLATED]],
]) {
  for (const model of [...models, ECHO]) {
    await attempt(name, `whole, ${model}`, () => client.whole(model));
    await attempt(name, `streamed, ${model}`, () => client.streamed(model));
  }
  for (const model of models) {
    await attempt(name, `tools, ${model}`, () => client.tools(model));
    await attempt(name, `broken, ${model}`, () => client.broken(model));
  }
  if (client.responses) await attempt(name, "responses", () => client.responses(TRANSLATED));
  if (client.wrongKey) await attempt(name, "wrong key", client.wrongKey);
  // Without store: false it refers to messages that nobody has kept.
  if (client.twoTurns && name !== "AI SDK, openai()") {
    await attempt(name, "two turns", () => client.twoTurns(TRANSLATED));
  }
}
