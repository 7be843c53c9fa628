// The official SDK for Node against the proxy: one scenario a run, its outcome as JSON on stdout.
// Usage: node sdk.mjs BASE_URL API_KEY SCENARIO MODEL

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package is installed where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);

const [baseURL, apiKey, scenario, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: scenario === "retries" ? 1 : 0 });
const messages = [{ role: "user", content: "How is the weather?" }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];

const scenarios = {
  async plain() {
    const answer = await client.chat.completions.create({ model, messages });
    return { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason };
  },

  async streamed() {
    let text = "";
    const finish = [];
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      if (chunk.choices[0]?.finish_reason) finish.push(chunk.choices[0].finish_reason);
    }
    return { text, finish };
  },

  async tools() {
    const first = client.chat.completions.stream({ model, messages, tools });
    const { message } = (await first.finalChatCompletion()).choices[0];
    const calls = message.tool_calls.map(({ id, type, function: { name, arguments: args } }) => ({
      id,
      type,
      function: { name, arguments: args },
    }));
    const history = [
      ...messages,
      { role: "assistant", content: null, tool_calls: calls },
      ...calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "sunny" })),
    ];
    const second = client.chat.completions.stream({ model, messages: history, tools });
    const answer = (await second.finalChatCompletion()).choices[0];
    return { arguments: calls.map((call) => call.function.arguments), text: answer.message.content };
  },

  async broken() {
    let text = "";
    try {
      const broken = [{ role: "user", content: "breaks-in-the-middle" }];
      for await (const chunk of await client.chat.completions.create({
        model,
        messages: broken,
        stream: true,
      })) {
        text += chunk.choices[0]?.delta?.content ?? "";
      }
    } catch (error) {
      return { text, ...told(error) };
    }
    return { text };
  },

  async refused() {
    try {
      await client.chat.completions.create({ model, messages });
    } catch (error) {
      return told(error);
    }
    return {};
  },

  async responses() {
    // Items go back as they came, which is how this API is used.
    const flat = tools.map(({ function: { name, parameters } }) => ({
      type: "function",
      name,
      parameters,
      strict: false,
    }));
    const input = [...messages];
    const kinds = new Set();
    for (let turn = 0; turn < 3; turn++) {
      const stream = client.responses.stream({ model, input, tools: flat, store: false });
      for await (const event of stream) kinds.add(event.type);
      const response = await stream.finalResponse();
      const calls = response.output.filter((item) => item.type === "function_call");
      if (calls.length === 0) return { text: response.output_text, turn, kinds: [...kinds].sort() };
      input.push(...response.output);
      for (const { call_id } of calls) {
        input.push({ type: "function_call_output", call_id, output: "sunny" });
      }
    }
    return {};
  },

  async loops() {
    // Tool loops on several models, comma-separated: how many calls each step of each made.
    const steps = {};
    for (const one of model.split(",")) {
      steps[one] = [await chatLoop(one, false), await chatLoop(one, true), await itemLoop(one)];
    }
    return steps;
  },

  async brokenResponse() {
    const kinds = [];
    try {
      const asked = { model, input: "breaks-in-the-middle", stream: true };
      for await (const event of await client.responses.create(asked)) kinds.push(event.type);
    } catch (error) {
      return { last: kinds.at(-1), ...told(error) };
    }
    return { last: kinds.at(-1) };
  },

  async models() {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    return { ids };
  },
};
scenarios.retries = scenarios.refused;

const wanted = ["get_weather", "get_forecast"];

async function chatLoop(model, streamed) {
  const history = [...messages];
  const tools = wanted.map((name) => ({ type: "function", function: { name, parameters: {} } }));
  const steps = [];
  for (let turn = 0; turn < 4; turn++) {
    const body = { model, messages: history, tools };
    const answer = streamed
      ? await client.chat.completions.stream(body).finalChatCompletion()
      : await client.chat.completions.create(body);
    const { message } = answer.choices[0];
    if (!message.tool_calls?.length) break;
    steps.push(message.tool_calls.length);
    history.push(message);
    for (const { id } of message.tool_calls) {
      history.push({ role: "tool", tool_call_id: id, content: "sunny" });
    }
  }
  return steps;
}

async function itemLoop(model) {
  const input = [...messages];
  const tools = wanted.map((name) => ({ type: "function", name, parameters: {}, strict: false }));
  const steps = [];
  for (let turn = 0; turn < 4; turn++) {
    const response = await client.responses.stream({ model, input, tools }).finalResponse();
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) break;
    steps.push(calls.length);
    input.push(...response.output);
    for (const { call_id } of calls) {
      input.push({ type: "function_call_output", call_id, output: "sunny" });
    }
  }
  return steps;
}

function told(error) {
  return {
    error: error.constructor.name,
    isAPIError: error instanceof OpenAI.APIError,
    status: error.status ?? null,
    code: error.code ?? null,
  };
}

console.log(JSON.stringify(await scenarios[scenario]()));
