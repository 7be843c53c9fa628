// Server-sent events over fetch, which unlike EventSource can send a key in a header.

/** Yield {event, data} for each event of a response's body. */
export async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", name = "", data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      // A CR at the very end may be half of a CRLF: it waits for what follows.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event: name, data: data.join("\n") };
          name = ""; data = [];
          continue;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const content = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "data") data.push(content);
        else if (field === "event") name = content;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Tell whether a text can be a key: what no header can carry, the browser would not send. */
export function isKey(text) {
  return /^[!-~]+$/.test(text);
}

/** Ask this server, with a key in a header and nothing kept anywhere. */
export function ask(path, key, options = {}) {
  return fetch(path, {
    ...options,
    headers: { ...options.headers, Authorization: `Bearer ${key}` },
    cache: "no-store",
    credentials: "omit",
    referrerPolicy: "no-referrer",
    redirect: "error",
  });
}

/** Return the message of an error: OpenAI, Anthropic and Google have it at the same place. */
export async function errorMessage(response) {
  const text = await response.text();
  try {
    const parsed = JSON.parse(text);
    return (Array.isArray(parsed) ? parsed[0] : parsed).error.message;
  } catch {
    return text.slice(0, 500);
  }
}
