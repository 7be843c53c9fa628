// The playground: one message to one model, with a client's key, streamed as any client gets it.

import { ask, errorMessage, isKey, serverEvents } from "./stream.js";
import { duration, number, words } from "./words.js";

const get = (id) => document.getElementById(id);

/** Let the playground's form work. */
export function start() {
  const form = get("ask");
  let running = null;
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

async function play(signal) {
  const view = new Answer(), key = get("client-key").value.trim();
  if (!isKey(key)) {
    view.fail(`401: ${words.noSuchKey}`);
    return;
  }
  try {
    const response = await ask("v1/chat/completions", key, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        model: get("model").value.trim(),
        messages: [{ role: "user", content: get("message").value }],
        stream: true,
        stream_options: { include_usage: true },
      }),
      signal,
    });
    if (!response.ok) {
      view.fail(`${response.status}: ${await errorMessage(response)}`);
      return;
    }
    for await (const { data } of serverEvents(response.body)) {
      if (data === "[DONE]") view.isWhole = true;
      else view.take(JSON.parse(data));
    }
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
    this.usage = null;
    this.text = get("answer-text");
    this.thoughts = get("thoughts-text");
    this.text.textContent = this.thoughts.textContent = get("answer-error").textContent = "";
    get("thoughts").hidden = true;
    get("answer").hidden = false;
    get("answer-facts").textContent = words.waiting;
  }

  take(chunk) {
    if (chunk.error) {
      this.fail(chunk.error.message);
      return;
    }
    this.firstByte ??= performance.now() - this.started;
    this.usage = chunk.usage ?? this.usage;
    for (const { delta, finish_reason: finish } of chunk.choices ?? []) {
      const thought = delta?.reasoning_content ?? delta?.reasoning;
      if (typeof thought === "string" && thought) {
        get("thoughts").hidden = false;
        this.thoughts.append(thought);
      }
      if (typeof delta?.content === "string") this.text.append(delta.content);
      if (typeof delta?.refusal === "string") this.text.append(delta.refusal);
      if (finish) this.finish = finish;
    }
    this.tell();
  }

  tell(last = "") {
    const ms = performance.now() - this.started;
    const facts = [words.facts(duration(this.firstByte), duration(ms))];
    if (this.usage) {
      facts.push(words.usageFacts(
        number(this.usage.prompt_tokens), number(this.usage.completion_tokens),
      ));
    }
    if (this.finish && this.finish !== "stop") facts.push(this.finish);
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
