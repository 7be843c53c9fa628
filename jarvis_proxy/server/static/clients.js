// Ready settings for each client, from the templates of docs/clients. They contain no key.

import { ask } from "./stream.js";
import { make } from "./tables.js";
import { language, words } from "./words.js";

const get = (id) => document.getElementById(id);
let guides = [];

get("client").addEventListener("change", show);

/** Get the settings once, with the admin key. */
export async function load(key) {
  if (guides.length) return;
  try {
    const response = await ask(`dashboard/clients?language=${language}`, key);
    if (!response.ok) return;
    const root = new URL(".", location.href).href.replace(/\/$/, "");
    guides = JSON.parse((await response.text()).replaceAll("{{root}}", root));
  } catch {
    return; // the next connection tries again
  }
  get("client").replaceChildren(...guides.map(({ id, name }) => new Option(name, id)));
  show();
}

function show() {
  const guide = guides.find(({ id }) => id === get("client").value);
  const notes = guide.notes.map((note) => make("li", "", ...marked(note)));
  get("guide").replaceChildren(...guide.steps.map(step), make("ul", "hint", ...notes));
}

function step({ say, fields, text }) {
  const values = Object.entries(fields).map(([name, value]) => `${name}: ${value}`).join("\n");
  const whole = [values, text].filter(Boolean).join("\n\n");
  const sentence = make("p", "", ...marked(say));
  if (!whole) return sentence;
  const block = make("pre", "code", whole), button = make("button", "copy", words.copy);
  button.type = "button";
  button.addEventListener("click", () => copy(block, button));
  return make("div", "step", sentence, block, button);
}

/** The text with what stands between backticks as code. */
function marked(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", "", part) : part));
}

async function copy(block, button) {
  try {
    await navigator.clipboard.writeText(block.textContent);
  } catch {
    // Over plain HTTP there is no clipboard but the older one, of what is selected.
    getSelection().selectAllChildren(block);
    document.execCommand("copy");
  }
  button.textContent = words.copied;
  setTimeout(() => { button.textContent = words.copy; }, 2000);
}
