// OpenAI's SDK for Node on /v1/realtime. Usage: node realtime.mjs BASE_URL KEY
// What was seen is one JSON object on stdout.

import { createRequire } from "node:module";

// The packages are installed where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const { OpenAI } = require("openai");
const { OpenAIRealtimeWebSocket } = require("openai/realtime/websocket");
const [baseURL, apiKey] = process.argv.slice(2);

// The SDK speaks TLS only, unless it is told otherwise.
const onURL = (url) => {
  url.protocol = "ws";
};

const open = (key) =>
  new OpenAIRealtimeWebSocket(
    { model: "gpt-realtime", onURL },
    new OpenAI({ apiKey: key, baseURL, maxRetries: 0 }),
  );

const next = (session, type) => new Promise((resolve) => session.once(type, resolve));

const turn = async () => {
  const session = open(apiKey);
  const seen = { text: "", sound: 0 };
  session.on("response.output_text.delta", ({ delta }) => {
    seen.text += delta;
  });
  session.on("response.output_audio.delta", ({ delta }) => {
    seen.sound += Buffer.from(delta, "base64").length;
  });
  await next(session, "session.created");
  const content = [{ type: "input_text", text: "Hello" }];
  session.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  for (let piece = 0; piece < 3; piece += 1) {
    const audio = Buffer.alloc(10_000, piece).toString("base64");
    session.send({ type: "input_audio_buffer.append", audio });
  }
  session.send({ type: "response.create" });
  const { response } = await next(session, "response.done");
  const { protocol } = session.socket;
  session.close();
  return { ...seen, tokens: response.usage.input_tokens, protocol };
};

const secret = async () => {
  const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });
  const body = { session: { type: "realtime", model: "gpt-realtime" } };
  const { value } = await client.realtime.clientSecrets.create(body);
  const session = open(value);
  const { type } = await next(session, "session.created");
  session.close();
  return type;
};

const dies = async () => {
  const session = open(apiKey);
  await next(session, "session.created");
  const closed = new Promise((resolve) => session.socket.addEventListener("close", resolve));
  const failed = next(session, "error");
  session.send({ type: "response.create", response: { instructions: "die" } });
  const { error } = await failed;
  const { code } = await closed;
  return { code, error: error.code };
};

const seen = { turn: await turn(), secret: await secret(), dies: await dies() };
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
