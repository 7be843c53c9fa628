// Makes the calls that stdin names with OpenAI's SDK, and tells on stdout what each one saw.
import { createRequire } from "node:module";

const [home, baseURL] = process.argv.slice(2);
const OpenAI = createRequire(home)("openai");
const AT_ONCE = 16;

let input = "";
for await (const piece of process.stdin) input += piece;
const calls = JSON.parse(input);
const options = { baseURL, maxRetries: 0, timeout: 25_000 };

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

async function ask({ surface, body, key }) {
  const seen = { text: "", finish: null };
  const client = new OpenAI.OpenAI({ ...options, apiKey: key });
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
    for (let turn = 0; turn < call.times; turn++) seen = await ask(call);
  } catch (error) {
    seen = { trouble: `${error?.constructor?.name}: ${error}` };
  }
  console.log(JSON.stringify({ id: call.id, ...seen }));
}

const queue = calls.filter((call) => !call.alone);
const worker = async () => {
  for (let call; (call = queue.shift()); ) await play(call);
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
for (const call of calls.filter((call) => call.alone)) await play(call);
