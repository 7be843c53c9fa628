// Makes calls with official SDKs: each line of stdin names one, each line of stdout tells what it saw.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [home] = process.argv.slice(2);
const require = createRequire(home);
const timeout = 25_000;

function read(seen, item) {
  if (item.type === "response.output_text.delta") seen.text += item.delta;
  else if (item.type === "response.completed") seen.finish = "stop";
  else if (item.type === "response.failed") seen.finish = "failed";
  else
    for (const choice of item.choices ?? []) {
      seen.text += (choice.delta ?? choice.message).content ?? "";
      seen.finish = choice.finish_reason ?? seen.finish;
    }
}

async function askOpenAI(seen, { surface, body, key, url }) {
  const OpenAI = require("openai");
  const client = new OpenAI.OpenAI({ maxRetries: 0, timeout, apiKey: key, baseURL: url });
  try {
    const api = surface === "responses" ? client.responses : client.chat.completions;
    const answer = await api.create(body);
    if (body.stream) for await (const item of answer) read(seen, item);
    else read(seen, answer);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    note(seen, error, error.code);
  }
}

async function askAnthropic(seen, { body, key, url }) {
  const { Anthropic } = require("@anthropic-ai/sdk");
  const client = new Anthropic({ maxRetries: 0, timeout, apiKey: key, baseURL: url });
  try {
    for await (const event of await client.messages.create(body)) {
      seen.text += event.delta?.text ?? "";
      seen.finish = event.delta?.stop_reason ?? seen.finish;
    }
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    note(seen, error, error.type);
  }
}

async function askGoogle(seen, { body, key, url }) {
  const { ApiError, GoogleGenAI } = require("@google/genai");
  const httpOptions = { baseUrl: url, timeout, retryOptions: { attempts: 1 } };
  const client = new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions });
  try {
    for await (const chunk of await client.models.generateContentStream(body)) {
      seen.text += chunk.text ?? "";
      seen.finish = chunk.candidates?.[0]?.finishReason ?? seen.finish;
    }
  } catch (error) {
    // It says no more where it has read the last frame and the error at once.
    const isVague = error.message === "Incomplete JSON segment at the end";
    if (!isVague && !(error instanceof ApiError)) throw error;
    note(seen, error, error.message.match(/"status": ?"(\w+)"/)?.[1]); // its class says no more
  }
}

function note(seen, error, code) {
  seen.error = error.constructor.name;
  seen.code = code == null ? null : String(code);
  seen.status = error.status ?? 200;
  seen.headers = Object.fromEntries(error.headers ?? []);
  seen.words = `${error} ${JSON.stringify(error.error)} ${error.cause ?? ""}`;
}

async function ask(call) {
  const seen = { text: "", finish: null };
  const [api] = call.surface.split("-");
  await ({ messages: askAnthropic, google: askGoogle }[api] ?? askOpenAI)(seen, call);
  return seen;
}

async function play(call) {
  let seen;
  try {
    seen = await ask(call);
  } catch (error) {
    seen = { trouble: `${error?.constructor?.name}: ${error}` };
  }
  console.log(JSON.stringify({ id: call.id, ...seen }));
}

for await (const line of createInterface({ input: process.stdin })) play(JSON.parse(line));
