// What the official SDKs read of answers: node readings.mjs URL KEY; calls as a JSON list on stdin.
// A call is {id, api, model, prompt, stream}; the readings are one JSON object on stdout, by id.

import { createRequire } from "node:module";
import { text as textOf } from "node:stream/consumers";

// The packages are installed where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const { OpenAI } = require("openai");
const { Anthropic } = require("@anthropic-ai/sdk");
const { GoogleGenAI } = require("@google/genai");

const [url, apiKey] = process.argv.slice(2);
const AT_ONCE = 8;
const openai = new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey, baseURL: url, maxRetries: 0 });
const httpOptions = { baseUrl: url, retryOptions: { attempts: 1 } };
const google = new GoogleGenAI({ apiKey, vertexai: false, httpOptions });

const joined = (list, key) => list.map((one) => one[key] ?? "").join("");
const object = (json) => JSON.parse(json || "{}");

async function chat({ model, prompt, stream }) {
  const body = { model, messages: [{ role: "user", content: prompt }] };
  if (!stream) return chatReading(await openai.chat.completions.create(body));
  const running = openai.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  let thought = ""; // the SDK knows no thoughts: of their pieces it keeps the last
  running.on("chunk", ({ choices }) => {
    for (const { index, delta } of choices) if (index === 0) thought += delta.reasoning_content ?? "";
  });
  return { ...chatReading(await running.finalChatCompletion()), thought };
}

function chatReading({ choices: [{ message, finish_reason: finish }], usage }) {
  return {
    text: message.content ?? "",
    thought: message.reasoning_content ?? "",
    calls: (message.tool_calls ?? []).map(({ function: made, custom }) =>
      made ? [made.name, object(made.arguments)] : [custom.name, custom.input],
    ),
    usage: [
      usage.prompt_tokens,
      usage.completion_tokens,
      usage.prompt_tokens_details?.cached_tokens ?? 0,
    ],
    finish,
  };
}

async function responses({ model, prompt, stream }) {
  const body = { model, input: prompt, store: false, include: ["reasoning.encrypted_content"] };
  if (!stream) return responseReading(await openai.responses.create(body));
  const running = openai.responses.stream(body);
  const pieces = { text: "", thought: "" };
  for await (const event of running) {
    if (event.type === "response.output_text.delta") pieces.text += event.delta;
    if (event.type === "response.reasoning_summary_text.delta") pieces.thought += event.delta;
  }
  const reading = responseReading(await running.finalResponse());
  for (const [name, said] of Object.entries(pieces)) {
    if (said !== reading[name]) throw new Error(`the pieces of ${name} are not the whole`);
  }
  return reading;
}

function responseReading({ output, output_text: text, status, incomplete_details: cut, usage }) {
  const items = (...types) => output.filter(({ type }) => types.includes(type));
  const calls = items("function_call", "custom_tool_call");
  const summaries = items("reasoning").map(({ summary }) => joined(summary, "text"));
  const end = calls.length > 0 ? "tool_calls" : "stop";
  return {
    text,
    thought: summaries.join(""),
    calls: calls.map(({ name, arguments: args, input }) => [name, input ?? object(args)]),
    usage: [usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens],
    finish: status === "completed" ? end : cut.reason.replace("max_output_tokens", "length"),
  };
}

async function messages({ model, prompt, stream }) {
  const body = {
    model,
    max_tokens: 900,
    messages: [{ role: "user", content: prompt }],
    thinking: { type: "adaptive", display: "summarized" },
  };
  const message = stream
    ? await anthropic.messages.stream(body).finalMessage()
    : await anthropic.messages.create(body);
  const blocks = (kind) => message.content.filter(({ type }) => type === kind);
  const { input_tokens: rest, cache_read_input_tokens: cached, ...usage } = message.usage;
  return {
    text: joined(blocks("text"), "text"),
    thought: joined(blocks("thinking"), "thinking"),
    calls: blocks("tool_use").map(({ name, input }) => [name, input]),
    usage: [rest + cached + usage.cache_creation_input_tokens, usage.output_tokens, cached],
    finish: {
      end_turn: "stop",
      max_tokens: "length",
      tool_use: "tool_calls",
      refusal: "content_filter",
    }[message.stop_reason],
  };
}

async function generateContent({ model, prompt, stream }) {
  const config = { thinkingConfig: { includeThoughts: true } };
  const body = { model, contents: prompt, config };
  const frames = [];
  if (stream) {
    for await (const frame of await google.models.generateContentStream(body)) frames.push(frame);
  } else {
    frames.push(await google.models.generateContent(body));
  }
  const mine = frames.flatMap(({ candidates }) => candidates.filter(({ index }) => !index));
  const parts = mine.flatMap(({ content }) => content.parts);
  const calls = parts.flatMap(({ functionCall }) => functionCall ?? []);
  const usage = frames.findLast(({ usageMetadata }) => usageMetadata)?.usageMetadata ?? {};
  const completion = (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0);
  const finish = { STOP: "stop", MAX_TOKENS: "length", SAFETY: "content_filter" }[
    mine.at(-1).finishReason
  ];
  return {
    text: joined(parts.filter(({ thought }) => !thought), "text"),
    thought: joined(parts.filter(({ thought }) => thought), "text"),
    calls: calls.map(({ name, args }) => [name, args ?? {}]),
    usage: [usage.promptTokenCount ?? 0, completion, usage.cachedContentTokenCount ?? 0],
    finish: finish === "stop" && calls.length > 0 ? "tool_calls" : finish,
  };
}

const apis = { "chat/completions": chat, responses, messages, generateContent };
const calls = JSON.parse(await textOf(process.stdin));
const readings = {};

async function work() {
  for (let call = calls.pop(); call; call = calls.pop()) {
    try {
      readings[call.id] = await apis[call.api](call);
    } catch (error) {
      readings[call.id] = { error: `${error?.constructor?.name}: ${error?.message}` };
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
console.log(JSON.stringify(readings));
