// OpenAI's SDK for Node on speech, transcripts, pictures and completions.
// Usage: node media.mjs URL KEY. The outcomes of all scenarios are one JSON object on stdout.

import { createRequire } from "node:module";

// The packages are installed where this process runs, which need not be where this file lies.
const require = createRequire(`${process.cwd()}/`);
const { default: OpenAI, toFile } = require("openai");
const [url, apiKey] = process.argv.slice(2);
const client = new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });

const speaker = { model: "gemini-2.5-flash-preview-tts", voice: "alloy" };
const painter = { model: "gemini-2.5-flash-image" };
const writer = { model: "gemini-3.5-flash" };
const file = () => toFile(Buffer.from("OggS"), "speech.ogg");
const picture = () => toFile(Buffer.from("iVBORw0KGgo=", "base64"), "otter.png");

const eventsOf = async (stream) => {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
};
const typesOf = async (stream) => (await eventsOf(stream)).map((event) => event.type);
const speak = (input, more) => client.audio.speech.create({ ...speaker, input, ...more });
const transcribe = async (prompt, more) =>
  client.audio.transcriptions.create({ ...writer, file: await file(), prompt, ...more });
const draw = (prompt, more) => client.images.generate({ ...painter, prompt, ...more });
const edit = async (prompt, more) =>
  client.images.edit({ ...painter, image: [await picture()], prompt, ...more });
const goOn = (prompt, more) => client.completions.create({ ...writer, prompt, ...more });
const sound = async (answer) => (await (await answer).arrayBuffer()).byteLength;

const scenarios = {
  speech: () => sound(speak("Hi", { response_format: "wav" })),
  speechStreamed: () => sound(speak("Hi", { response_format: "pcm", stream_format: "audio" })),
  speechBroken: () => sound(speak("breaks", { response_format: "pcm", stream_format: "audio" })),
  speechRefused: () => sound(speak("is-refused", { response_format: "pcm" })),
  transcript: async () => (await transcribe("Hi")).text,
  transcriptStreamed: async () => typesOf(transcribe("Hi", { stream: true })),
  transcriptBroken: async () => typesOf(transcribe("breaks", { stream: true })),
  transcriptRefused: () => transcribe("is-refused"),
  image: async () => Object.keys((await draw("Hi")).data[0]),
  imageStreamed: async () => typesOf(draw("Hi", { stream: true, partial_images: 1 })),
  imageBroken: async () => typesOf(draw("breaks", { stream: true, partial_images: 1 })),
  imageBlocked: () => draw("is-blocked"),
  edit: async () => (await edit("Hi")).output_format,
  editStreamed: async () => typesOf(edit("Hi", { stream: true })),
  editBlocked: () => edit("is-blocked"),
  completion: async () => (await goOn("Hi")).choices[0].text,
  completionStreamed: async () =>
    (await eventsOf(goOn("Hi", { stream: true }))).map((chunk) => chunk.choices[0].text),
  completionBroken: () => eventsOf(goOn("breaks", { stream: true })),
  completionRefused: () => goOn("is-refused"),
};

const outcomes = {};
for (const [name, play] of Object.entries(scenarios)) {
  try {
    outcomes[name] = await play();
  } catch (error) {
    const { status = null, code = null } = error;
    outcomes[name] = { error: error.constructor.name, status, code };
  }
}
console.log(JSON.stringify(outcomes));
