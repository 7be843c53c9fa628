// The page's words, English and Chinese, chosen by the browser's language.

const ENGLISH = {
  title: "Jarvis proxy",
  now: "Now", calls: "Calls", usage: "Usage", playground: "Playground", leave: "Log out",
  login: "Live page", adminKey: "Admin key", enter: "Show",
  adminHint: "ADMIN_KEY in the proxy's .env. It stays in this tab and is forgotten when the tab is closed.",
  wrongKey: "This is not the admin key.",
  tooMany: "Too many wrong keys. Try again in a minute.",
  crowded: "As many as may look at this page do. Trying again…",
  unreachable: "The proxy does not answer. Trying again…",
  connecting: "connecting…", live: "live", lost: "reconnecting…",
  rate: "Requests / s", tokens: "Tokens / s", open: "Open calls", failed: "Failed",
  ttfb: "First byte, p50", ms: "Duration, p50",
  rateMore: (calls) => `${calls} in 5 min`,
  tokensMore: (prompt, completion) => `${prompt} in, ${completion} out in 5 min`,
  openMore: (names) => names,
  failedMore: (errors) => `${errors} in 5 min`,
  percentiles: (p90, p99) => `p90 ${p90} · p99 ${p99}`,
  chartCalls: "Requests a second", chartTokens: "Tokens a second",
  requests: "requests", errors: "errors", prompt: "in", completion: "out",
  models: "Models", keys: "Client keys", upstreams: "Upstreams", window: "last 5 minutes",
  causes: "Errors by cause", health: "Health",
  key: "Key", model: "Model", upstream: "Upstream", cause: "Cause", count: "Calls",
  shareFailed: "Failed", openShort: "Open", tokensIn: "In", tokensOut: "Out", cost: "Cost",
  ttfbShort: "First byte", msShort: "Duration", p50: "p50", p90: "p90",
  nothing: "Nothing yet.", nothingLately: "Nothing in the last 5 minutes.", noErrors: "None.", none: "–", other: "other",
  outcomes: {
    ok: "ok", refused: "refused", upstream_error: "upstream", client_closed: "client left",
    internal_error: "proxy",
  },
  errorsPage: "dashboard/errors.html",
  whys: {
    refused: "The proxy refused the request.",
    upstream_error: "The upstream refused the request or failed; the code is its own.",
    client_closed: "The client left before it had the whole answer.",
    internal_error: "The proxy failed; the log has the place.",
  },
  modelsWithOpenCircuit: (count) => `circuit open: ${count} ${count === 1 ? "model" : "models"}`,
  healthy: "works", circuitOpen: "circuit open", noKey: "no key", stale: "models not up to date",
  needsNoKey: "built in",
  keysRest: (resting, all, seconds) => `${resting} of ${all} in quarantine, ${seconds} at most`,
  upstreamKeys: "Keys", state: "State",
  lastCalls: "Last calls", filter: "Filter: model, key, code…", onlyFailed: "failures only",
  hold: "hold still", callsShown: (shown, kept) => `${shown} of ${kept}`,
  time: "Time", status: "Status", attempts: "Tries",
  usageByDay: "Usage by day", utc: "UTC", day: "Day", unpriced: "Without price",
  clients: "Settings for clients", clientsShort: "Clients", client: "Client", copy: "Copy",
  copied: "Copied", used: "Used",
  budget: "Budget", budgetOf: (spent, amount, period) => `${spent} of ${amount} a ${period}`,
  periods: { day: "day", month: "month" }, thisMonth: "Cost this month",
  noCost: "No cost is known yet.",
  noUsage: "Usage is not recorded yet.",
  noSuchKey: "This is no key.", clientKey: "Client key", message: "Message", send: "Send", stop: "Stop", thoughts: "Thoughts",
  api: "API", think: "ask for thoughts", request: "Request that is sent", clientKeyShort: "CLIENT-KEY",
  playgroundHint: "It asks like any client, with one of PROXY_API_KEYS, and the call is billed like any other. The key is not kept.",
  waiting: "waiting…", stopped: "stopped", cut: "The answer broke off.",
  facts: (ttfb, ms) => `first byte ${ttfb}, ${ms} in all`,
  usageFacts: (prompt, completion) => `${prompt} tokens in, ${completion} out`,
  about: (version, since) => `Jarvis proxy ${version}, up since ${since}`,
};

const CHINESE = {
  title: "Jarvis 代理",
  now: "现在", calls: "调用", usage: "用量", playground: "试用", leave: "退出",
  login: "实时页面", adminKey: "管理密钥", enter: "查看",
  adminHint: "即代理 .env 里的 ADMIN_KEY。它只留在这个标签页里，关闭标签页即忘记。",
  wrongKey: "这不是管理密钥。",
  tooMany: "错误的密钥太多，请一分钟后再试。",
  crowded: "同时查看的人已满，正在重试…",
  unreachable: "代理没有回应，正在重试…",
  connecting: "连接中…", live: "实时", lost: "重新连接…",
  rate: "每秒请求", tokens: "每秒 token", open: "进行中", failed: "失败",
  ttfb: "首字节 p50", ms: "总时长 p50",
  rateMore: (calls) => `5 分钟内 ${calls} 次`,
  tokensMore: (prompt, completion) => `5 分钟内 入 ${prompt}，出 ${completion}`,
  openMore: (names) => names,
  failedMore: (errors) => `5 分钟内 ${errors} 次`,
  percentiles: (p90, p99) => `p90 ${p90} · p99 ${p99}`,
  chartCalls: "每秒请求数", chartTokens: "每秒 token 数",
  requests: "请求", errors: "错误", prompt: "入", completion: "出",
  models: "模型", keys: "客户端密钥", upstreams: "上游", window: "最近 5 分钟",
  causes: "错误原因", health: "健康状况",
  key: "密钥", model: "模型", upstream: "上游", cause: "原因", count: "次数",
  shareFailed: "失败", openShort: "进行中", tokensIn: "入", tokensOut: "出", cost: "费用",
  ttfbShort: "首字节", msShort: "总时长", p50: "p50", p90: "p90",
  nothing: "暂无。", nothingLately: "最近 5 分钟没有数据。", noErrors: "没有。", none: "–", other: "其他",
  outcomes: {
    ok: "正常", refused: "被拒", upstream_error: "上游", client_closed: "客户端离开",
    internal_error: "代理",
  },
  errorsPage: "dashboard/errors.zh-CN.html",
  whys: {
    refused: "代理拒绝了这个请求。",
    upstream_error: "上游拒绝了请求或出错了；代码是它自己的。",
    client_closed: "客户端没有等到完整的回答就离开了。",
    internal_error: "代理出错了；日志里有出错的位置。",
  },
  modelsWithOpenCircuit: (count) => `${count} 个模型暂停使用`,
  healthy: "正常", circuitOpen: "暂停使用", noKey: "没有密钥", stale: "模型列表已过时",
  needsNoKey: "内置",
  keysRest: (resting, all, seconds) => `${all} 个中 ${resting} 个隔离中，最长 ${seconds}`,
  upstreamKeys: "密钥", state: "状态",
  lastCalls: "最近的调用", filter: "筛选：模型、密钥、代码…", onlyFailed: "只看失败",
  hold: "暂停滚动", callsShown: (shown, kept) => `${shown} / ${kept}`,
  time: "时间", status: "状态", attempts: "尝试",
  usageByDay: "每日用量", utc: "UTC", day: "日期", unpriced: "无价格",
  clients: "客户端设置", clientsShort: "客户端", client: "客户端", copy: "复制",
  copied: "已复制", used: "已用",
  budget: "预算", budgetOf: (spent, amount, period) => `每${period} ${amount}，已用 ${spent}`,
  periods: { day: "日", month: "月" }, thisMonth: "本月费用",
  noCost: "还没有已知的费用。",
  noUsage: "还没有用量记录。",
  noSuchKey: "这不是密钥。", clientKey: "客户端密钥", message: "消息", send: "发送", stop: "停止", thoughts: "思考",
  api: "API", think: "请求思考过程", request: "将发送的请求", clientKeyShort: "CLIENT-KEY",
  playgroundHint: "与任何客户端一样，用 PROXY_API_KEYS 中的一个密钥调用，照常计费。密钥不会保存。",
  waiting: "等待中…", stopped: "已停止", cut: "回答中断了。",
  facts: (ttfb, ms) => `首字节 ${ttfb}，共 ${ms}`,
  usageFacts: (prompt, completion) => `入 ${prompt} token，出 ${completion}`,
  about: (version, since) => `Jarvis 代理 ${version}，自 ${since} 运行`,
};

export const language = navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
export const words = language === "en" ? ENGLISH : CHINESE;

/** Put the words into the elements that say which of them they show. */
export function translate(root) {
  document.documentElement.lang = language;
  document.title = words.title;
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = words[element.dataset.t];
  }
  for (const element of root.querySelectorAll("[data-t-placeholder]")) {
    element.placeholder = words[element.dataset.tPlaceholder];
    element.ariaLabel = element.placeholder;
  }
}

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(language, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** A count: exact up to 9,999, then short. */
export function number(value) {
  return value === null || value === undefined ? words.none
    : value < 10000 ? whole.format(value) : compact.format(value);
}

/** A rate: one decimal where it says something. */
export function rate(value) {
  return value >= 100 ? number(value) : value.toFixed(1);
}

/** A share of a whole, in per cent. */
export function share(part, all) {
  return all === 0 ? words.none : `${(100 * part / all).toFixed(part === 0 || part === all ? 0 : 1)} %`;
}

/** A duration from milliseconds. */
export function duration(ms) {
  if (ms === null || ms === undefined) return words.none;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** An amount of money from billionths of a dollar. */
export function dollars(nano) {
  if (nano === null || nano === undefined) return words.none;
  const value = nano / 1e9;
  if (value > 0 && value < 0.0001) return "<$0.0001";
  return `$${value.toFixed(value === 0 || value >= 1 ? 2 : 4)}`;
}

/** The time of day of an epoch second. */
export function timeOfDay(seconds) {
  return clock.format(seconds * 1000);
}

/** Day and time of an epoch second. */
export function dayAndTime(seconds) {
  return moment.format(seconds * 1000);
}
