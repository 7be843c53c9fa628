// OpenAI's SDK for Node in sessions of /v1/realtime. Each line of stdin is a session, each line of
// stdout what was seen in it. Usage: node sessions.mjs PACKAGE_JSON
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2]);
const { OpenAI } = require("openai");
const { OpenAIRealtimeWebSocket } = require("openai/realtime/websocket");
const megabytes = "x".repeat(2 ** 16);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

const say = (session, audio = "") => session.send({ type: "input_audio_buffer.append", audio });

async function act(session, { act, code, seconds }) {
  const isOpen = () => session.socket.readyState === WebSocket.OPEN;
  if (act === "closes") session.close({ code, reason: "bye" });
  else if (act === "sends too much") say(session, "x".repeat(2 ** 20));
  else if (act === "floods") for (let n = 0; n < 64 && isOpen(); n += 1) say(session, megabytes);
  else if (act === "is silent") {
    await pause(seconds * 1000);
    say(session);
  } else
    while (isOpen()) {
      say(session);
      await pause(100);
    }
}

async function see(asked) {
  // A handshake that is refused shows no status here.
  const seen = { status: 0, error: null, close: null };
  // The SDK speaks TLS only, unless it is told otherwise.
  const onURL = (url) => {
    url.protocol = "ws";
  };
  const client = new OpenAI({ apiKey: asked.key, baseURL: asked.url, maxRetries: 0 });
  const session = new OpenAIRealtimeWebSocket({ model: asked.model, onURL }, client);
  session.once("session.created", () => {
    seen.status = 101;
    act(session, asked);
  });
  await new Promise((resolve) => {
    session.socket.addEventListener("close", ({ code }) => {
      if (seen.status === 101) seen.close = code === 1006 ? -1 : code;
      resolve();
    });
    session.on("error", ({ error }) => {
      seen.error = error?.code ?? seen.error;
      // A handshake that is refused need not be followed by a close.
      if (seen.status === 0) resolve();
    });
    session.on("response.done", () => {
      if (asked.act === "is silent") resolve();
    });
  });
  session.close();
  return seen;
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  see(asked).then((seen) => process.stdout.write(`${JSON.stringify({ id: asked.id, ...seen })}\n`));
}
