// The client APIs of the playground: what each is asked, and what its events say.
//
// request(model, message, think) gives the path and the body of a streamed call. read(data) gives
// what one event adds: text, thought, prompt, completion, finish, error, isEnd.

const ORDINARY = new Set(["stop", "completed", "end_turn", "STOP"]);

const chat = {
  label: "Chat Completions",
  request: (model, message, think) => ({
    path: "v1/chat/completions",
    body: {
      model,
      messages: [{ role: "user", content: message }],
      stream: true,
      stream_options: { include_usage: true },
      ...think && { reasoning_effort: "medium" },
    },
  }),
  read(data) {
    if (data === "[DONE]") return { isEnd: true };
    const { error, usage, choices } = JSON.parse(data);
    const { delta, finish_reason: finish } = choices?.[0] ?? {};
    return {
      error: error?.message, finish,
      text: `${textOf(delta?.content)}${textOf(delta?.refusal)}`,
      thought: delta?.reasoning_content ?? delta?.reasoning,
      prompt: usage?.prompt_tokens, completion: usage?.completion_tokens,
    };
  },
};

const RESPONSE_TEXTS = {
  "response.output_text.delta": "text",
  "response.refusal.delta": "text",
  "response.reasoning_text.delta": "thought",
  "response.reasoning_summary_text.delta": "thought",
};
const RESPONSE_ENDS = new Set(["response.completed", "response.incomplete"]);

const responses = {
  label: "Responses",
  request: (model, message, think) => ({
    path: "v1/responses",
    body: {
      model, input: message, stream: true, store: false,
      ...think && { reasoning: { effort: "medium", summary: "auto" } },
    },
  }),
  read(data) {
    const { type, delta, response, ...event } = JSON.parse(data);
    if (type in RESPONSE_TEXTS) return { [RESPONSE_TEXTS[type]]: delta };
    if (type === "error") return { error: event.message ?? event.error?.message ?? type };
    if (type === "response.failed") return { error: response.error?.message ?? type };
    if (!RESPONSE_ENDS.has(type)) return {};
    return {
      isEnd: true, finish: response.incomplete_details?.reason,
      prompt: response.usage?.input_tokens, completion: response.usage?.output_tokens,
    };
  },
};

const messages = {
  label: "Messages",
  request: (model, message, think) => ({
    path: "v1/messages",
    headers: { "anthropic-version": "2023-06-01" },
    body: {
      model, max_tokens: 4096, messages: [{ role: "user", content: message }], stream: true,
      ...think && { thinking: { type: "enabled", budget_tokens: 2048 } },
    },
  }),
  read(data) {
    const { type, error, message, delta, usage } = JSON.parse(data);
    if (type === "error") return { error: error?.message ?? type };
    if (type === "message_stop") return { isEnd: true };
    return {
      text: delta?.text, thought: delta?.thinking, finish: delta?.stop_reason,
      prompt: inputTokens(usage) ?? inputTokens(message?.usage), completion: usage?.output_tokens,
    };
  },
};

/** Anthropic counts what a cache had apart from the rest. */
function inputTokens(usage) {
  if (typeof usage?.input_tokens !== "number") return undefined;
  return usage.input_tokens + (usage.cache_read_input_tokens ?? 0)
    + (usage.cache_creation_input_tokens ?? 0);
}

const generateContent = {
  label: "generateContent",
  request: (model, message, think) => ({
    path: `v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
    body: {
      contents: [{ role: "user", parts: [{ text: message }] }],
      ...think && { generationConfig: { thinkingConfig: { includeThoughts: true } } },
    },
  }),
  read(data) {
    const { error, candidates, promptFeedback, usageMetadata: usage } = JSON.parse(data);
    const candidate = candidates?.[0], parts = candidate?.content?.parts ?? [];
    const joined = (isThought) => parts.filter((part) => Boolean(part.thought) === isThought)
      .map((part) => textOf(part.text)).join("");
    const finish = candidate?.finishReason ?? promptFeedback?.blockReason;
    const completion = usage && (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0);
    return {
      error: error?.message, text: joined(false), thought: joined(true), finish,
      isEnd: Boolean(finish), prompt: usage?.promptTokenCount, completion,
    };
  },
};

function textOf(value) {
  return typeof value === "string" ? value : "";
}

/** The APIs by the name that the form has for them; the first is the usual one. */
export const APIS = { chat, responses, messages, generateContent };

/** Return whether an answer that ended so is complete and needs no remark. */
export function isOrdinary(finish) {
  return ORDINARY.has(finish);
}
