// The playground: one message to one model, with a client's key, streamed as any client gets it.

import { APIS, isOrdinary } from "./client_apis.js";
import { ask, errorMessage, isKey, serverEvents } from "./stream.js";
import { duration, number, words } from "./words.js";

const get = (id) => document.getElementById(id);

/** Let the playground's form work. */
export function start() {
  const form = get("ask");
  let running = null;
  get("api").replaceChildren(...Object.entries(APIS).map(([name, { label }]) => (
    new Option(label, name)
  )));
  form.addEventListener("input", showRequest);
  showRequest();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    get("send").disabled = true;
    get("stop").disabled = false;
    try {
      await play(running.signal);
    } finally {
      running = null;
      get("send").disabled = false;
      get("stop").disabled = true;
    }
  });
  get("stop").addEventListener("click", () => running?.abort());
  get("client-key").addEventListener("change", listModels);
  get("message").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

async function listModels() {
  const key = get("client-key").value.trim();
  try {
    const response = await ask("v1/models", key);
    if (!response.ok) return;
    const { data } = await response.json();
    const options = data.map((model) => {
      const option = document.createElement("option");
      option.value = model.id;
      return option;
    });
    get("model-names").replaceChildren(...options);
  } catch {
    // Names can be typed as well; what is wrong with the key shows when it is used.
  }
}

/** What the form asks for: an API, and the request that it gets. */
function wanted() {
  const api = APIS[get("api").value];
  const request = api.request(
    get("model").value.trim(), get("message").value, get("think").checked,
  );
  return { api, ...request };
}

/** Show the request as it goes out, without the key. */
function showRequest() {
  const { path, headers, body } = wanted();
  const lines = Object.entries({
    Authorization: `Bearer ${words.clientKeyShort}`, ...headers, "Content-Type": "application/json",
  }).map(([name, value]) => `${name}: ${value}`);
  get("request-text").textContent = [
    `POST ${new URL(path, location.href)}`, ...lines, "", JSON.stringify(body, null, 2),
  ].join("\n");
}

async function play(signal) {
  const view = new Answer(), key = get("client-key").value.trim();
  if (!isKey(key)) {
    view.fail(`401: ${words.noSuchKey}`);
    return;
  }
  const { api, path, headers, body } = wanted();
  try {
    const response = await ask(path, key, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (!response.ok) {
      view.fail(`${response.status}: ${await errorMessage(response)}`);
      return;
    }
    for await (const { data } of serverEvents(response.body)) view.take(api.read(data));
    view.end();
  } catch (error) {
    if (signal.aborted) view.stop();
    else view.fail(error instanceof TypeError ? words.cut : String(error));
  }
}

class Answer {
  constructor() {
    this.started = performance.now();
    this.firstByte = null;
    this.isWhole = false;
    this.finish = "";
    this.prompt = this.completion = null;
    this.text = get("answer-text");
    this.thoughts = get("thoughts-text");
    this.text.textContent = this.thoughts.textContent = get("answer-error").textContent = "";
    get("thoughts").hidden = true;
    get("answer").hidden = false;
    get("answer-facts").textContent = words.waiting;
  }

  take({ text, thought, prompt, completion, finish, error, isEnd }) {
    if (error) {
      this.fail(error);
      return;
    }
    this.firstByte ??= performance.now() - this.started;
    this.prompt = prompt ?? this.prompt;
    this.completion = completion ?? this.completion;
    this.finish = finish || this.finish;
    this.isWhole ||= isEnd === true;
    if (typeof thought === "string" && thought) {
      get("thoughts").hidden = false;
      this.thoughts.append(thought);
    }
    if (typeof text === "string" && text) this.text.append(text);
    this.tell();
  }

  tell(last = "") {
    const ms = performance.now() - this.started;
    const facts = [words.facts(duration(this.firstByte), duration(ms))];
    if (this.prompt !== null || this.completion !== null) {
      facts.push(words.usageFacts(number(this.prompt), number(this.completion)));
    }
    if (this.finish && !isOrdinary(this.finish)) facts.push(this.finish);
    if (last) facts.push(last);
    get("answer-facts").textContent = facts.join(" · ");
  }

  end() {
    if (!this.isWhole && !get("answer-error").textContent) this.fail(words.cut);
    else this.tell();
  }

  stop() {
    this.tell(words.stopped);
  }

  fail(message) {
    get("answer-error").textContent = message;
    this.tell();
  }
}
