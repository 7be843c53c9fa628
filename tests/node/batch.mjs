// Makes calls with OpenAI's SDK: each line of stdin names one, each line of stdout tells what it saw.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [home] = process.argv.slice(2);
const OpenAI = createRequire(home)("openai");
const options = { maxRetries: 0, timeout: 25_000 };

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

async function ask({ surface, body, key, url }) {
  const seen = { text: "", finish: null };
  const client = new OpenAI.OpenAI({ ...options, apiKey: key, baseURL: url });
  try {
    const api = surface === "responses" ? client.responses : client.chat.completions;
    const answer = await api.create(body);
    if (body.stream) for await (const item of answer) read(seen, item);
    else read(seen, answer);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    seen.error = error.constructor.name;
    seen.code = error.code == null ? null : String(error.code);
    seen.status = error.status ?? 200;
    seen.headers = Object.fromEntries(error.headers ?? []);
    seen.words = `${error} ${JSON.stringify(error.error)} ${error.cause ?? ""}`;
  }
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
