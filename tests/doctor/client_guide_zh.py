"""The client guide's Chinese texts, by their English ones."""

from typing import Final

CHINESE: Final = {
    "Clients": "客户端",
    "How each client is set up for Jarvis proxy, one by one.": (
        "逐个说明各客户端怎样接到 Jarvis 代理。"
    ),
    "The same, filled with your server's address and the models that your keys reach, is printed"
    " by": "下面这条命令会打印同样的内容，并填好你服务器的地址和密钥能用的模型：",
    "With `--client openclaw` (or another name) it prints one of them only.": (
        "加上 `--client openclaw`（或其他名字）只打印其中一个。"
    ),
    "In all of it `HOST:9000` stands for the address of your server, `YOUR-PROXY-KEY` and"
    " `JARVIS_KEY` for one of `PROXY_API_KEYS`; your OpenAI and Google keys stay on the server.": (
        "文中 `HOST:9000` 代表你服务器的地址，`YOUR-PROXY-KEY` 和 `JARVIS_KEY` 代表 "
        "`PROXY_API_KEYS` 中的一个；OpenAI 和 Google 的密钥只留在服务器上。"
    ),
    "Behind a reverse proxy with TLS the address is `https://YOUR-NAME` without a port.": (
        "如果前面有带 TLS 的反向代理，地址就是 `https://YOUR-NAME`，不带端口。"
    ),
    "`gemini-3-flash` and `gpt-4.1-mini` are examples: `GET /v1/models` lists what your server"
    " has.": (
        "`gemini-3-flash` 和 `gpt-4.1-mini` 只是例子：`GET /v1/models` 列出你的服务器有哪些模型。"
    ),
    "To see that all is well from where a client stands, run"
    " `./start.sh doctor --url https://YOUR-NAME`.": (
        "想从客户端的位置确认一切正常，运行 `./start.sh doctor --url https://YOUR-NAME`。"
    ),
    # Fields.
    "off": "关闭",
    "LLM": "LLM",
    "Chat": "Chat（对话）",
    "OpenAI": "OpenAI",
    "Support": "Support（支持）",
    "Tool Call": "Tool Call（工具调用）",
    "leave empty": "留空",
    "leave empty: the list comes from the proxy": "留空：列表由代理提供",
    "Manage, then choose: gemini-3-flash, gpt-4.1-mini": (
        "点“管理”，再选：gemini-3-flash、gpt-4.1-mini"
    ),
    # OpenClaw.
    "Into `~/.openclaw/openclaw.json`:": "写入 `~/.openclaw/openclaw.json`：",
    "The provider id (`jarvis`) is yours to choose, but not `openai` and not `google`: both switch"
    " on behaviour meant for these vendors.": (
        "提供商 ID（这里是 `jarvis`）可以随意取，但不要用 `openai` 或 `google`：这两个名字会触发为"
        "相应厂商准备的特殊行为。"
    ),
    "`timeoutSeconds` raises OpenClaw's own watchdog, which otherwise gives up after 120 seconds of"
    " silence, asks again, and is billed again.": (
        "`timeoutSeconds` 放宽 OpenClaw 自己的看门狗；否则静默 120 秒后它会放弃、重新请求，并再次"
        "计费。"
    ),
    "`apiKey` takes the key from the environment variable `JARVIS_KEY` of OpenClaw.": (
        "`apiKey` 从 OpenClaw 的环境变量 `JARVIS_KEY` 读取密钥。"
    ),
    "`jarvis-echo` shows nothing in OpenClaw: it repeats the last message, which is OpenClaw's own"
    " context, and OpenClaw hides that.": (
        "`jarvis-echo` 在 OpenClaw 里不显示内容：它复述最后一条消息，而那是 OpenClaw 自己的上下文，"
        "会被它隐藏。"
    ),
    # Open WebUI.
    "Admin Settings → Connections → OpenAI API → Add Connection:": (
        "管理员设置 → 外部连接 → OpenAI API → 添加连接："
    ),
    "Or, before the first start, in its environment:": "或者在第一次启动之前写进它的环境变量：",
    "The environment counts at its very first start only; later the admin settings do.": (
        "环境变量只在它第一次启动时起作用，之后以管理员设置为准。"
    ),
    "Direct connections of users are made by their browsers: CORS_ORIGINS must allow the page, and"
    " a page served by HTTPS needs the proxy on HTTPS.": (
        "用户的“直接连接”由浏览器发出：CORS_ORIGINS 必须允许该页面；HTTPS 页面要求代理也用 HTTPS。"
    ),
    # LobeChat.
    "Settings → AI Service Provider → OpenAI:": "设置 → AI 服务商 → OpenAI：",
    "Or, where you host it yourself, in its environment:": "自行部署时，也可以写进它的环境变量：",
    "The address ends in `/v1`: LobeChat adds none.": "地址以 `/v1` 结尾：LobeChat 不会自己加。",
    "With client-side fetching the browser calls the proxy: a page served by HTTPS then needs the"
    " proxy on HTTPS.": (
        "打开“客户端请求模式”后由浏览器直接访问代理：这时 HTTPS 页面要求代理也用 HTTPS。"
    ),
    # NextChat.
    "Settings → Custom Endpoint:": "设置 → 自定义接口：",
    "The address has no `/v1`: NextChat adds it. With `/v1` it works as well.": (
        "地址不带 `/v1`：NextChat 会自己加。带上 `/v1` 也能用。"
    ),
    "The desktop app and the web page call from the browser: a page served by HTTPS needs the proxy"
    " on HTTPS.": "桌面版和网页版都从浏览器发请求：HTTPS 页面要求代理也用 HTTPS。",
    # Cherry Studio.
    "Settings → Model Provider → Add, with the provider type OpenAI:": (
        "设置 → 模型服务 → 添加，提供商类型选 OpenAI："
    ),
    "Cherry Studio adds `/v1` to an address without it.": (
        "地址不带 `/v1` 时，Cherry Studio 会自己加。"
    ),
    # Home Assistant.
    "The integration has no field for an address. Set it in the environment of the container:": (
        "这个集成没有填地址的地方，要写进容器的环境变量："
    ),
    "Then Settings → Devices & services → Add integration → OpenAI:": (
        "然后：设置 → 设备与服务 → 添加集成 → OpenAI："
    ),
    "It uses the Responses API only, which reaches models of OpenAI and Gemini, and those of"
    " compatible upstreams that have it.": (
        "它只用 Responses API：可以用 OpenAI 和 Gemini 的模型，以及支持该 API 的兼容上游的模型。"
    ),
    "Every other use of OpenAI's SDK in that container goes to the proxy, too.": (
        "该容器里其他用到 OpenAI SDK 的地方也会走代理。"
    ),
    "The custom integration Extended OpenAI Conversation has a field for the address and uses chat"
    " completions, so it reaches every model.": (
        "自定义集成 Extended OpenAI Conversation 可以填地址，用的是 chat completions，所以任何模型"
        "都能用。"
    ),
    # n8n.
    "Credentials → OpenAI:": "Credentials（凭据）→ OpenAI：",
    "In the node OpenAI Chat Model:": "在节点 OpenAI Chat Model 里：",
    "Use Responses API is on by default, which is well for models of OpenAI and Gemini: turn it off"
    " for upstreams that do not have it.": (
        "“Use Responses API” 默认打开，OpenAI 和 Gemini 的模型都能用；上游不支持该 API 时才要关掉。"
    ),
    # Dify.
    "Install the plugin OpenAI-API-compatible, then Settings → Model Provider → Add Model:": (
        "安装插件 OpenAI-API-compatible，然后：设置 → 模型供应商 → 添加模型："
    ),
    "Add each model by its name; Dify tries it with one short question, which is billed.": (
        "每个模型按名字单独添加；Dify 会用一个很短的问题试一次，这次会计费。"
    ),
    "From inside Dify's containers 127.0.0.1 is the container itself: use the address of the"
    " machine.": "在 Dify 的容器里，127.0.0.1 指容器自己：请用机器的地址。",
    # aider.
    "In the shell:": "在终端里：",
    "The prefix `openai/` tells aider which API to speak; the proxy never sees it.": (
        "前缀 `openai/` 告诉 aider 用哪种 API，代理看不到它。"
    ),
    # Continue.
    "Into `~/.continue/config.yaml`:": "写入 `~/.continue/config.yaml`：",
    "Put the key into `~/.continue/.env` as `JARVIS_KEY=…`.": (
        "把密钥写进 `~/.continue/.env`：`JARVIS_KEY=…`。"
    ),
    # OpenAI's SDKs.
    "pip install openai, then:": "先 pip install openai，然后：",
    "npm install openai, then:": "先 npm install openai，然后：",
    # What was run.
    "What was run": "实际运行过的客户端",
    "These clients were run against the proxy in November 2026, on Debian 12.": (
        "以下客户端于 2026 年 11 月在 Debian 12 上实际连接本代理运行过。"
    ),
    "Behind it were programs that answer, call tools, break off and refuse as OpenAI and Google"
    " do; no real service was called.": (
        "代理后面是模拟程序，像 OpenAI 和 Google 那样回答、调用工具、中途断开和拒绝；没有调用真实"
        "服务。"
    ),
    "Each was asked for a relayed model (`gpt-4o`), for a translated one (`gemini-3-flash`), and"
    " for `jarvis-echo`.": (
        "每个客户端都用了一个转发的模型（`gpt-4o`）、一个翻译的模型（`gemini-3-flash`）和 "
        "`jarvis-echo`。"
    ),
    "Client": "客户端",
    "Version": "版本",
    "What": "试了什么",
    "Result": "结果",
    "whole, streamed, tool loops to their end, an answer that breaks off, a wrong key": (
        "完整回答、流式、多轮工具调用、中途断开的回答、错误的密钥"
    ),
    "as it should": "正常",
    "streamed, list of models, refusals, response headers": "流式、模型列表、拒绝、响应头",
    "streamed, an answer that breaks off, a wrong key": "流式、中途断开的回答、错误的密钥",
    "the settings above, two turns, tool loops to their end": (
        "用上面的设置，两轮对话，多轮工具调用"
    ),
    "as it should; `jarvis-echo` shows nothing there": ("正常；`jarvis-echo` 在那里不显示内容"),
    "openai in a web page of another site": "别的网站页面里的 openai",
    "Vercel AI SDK with `openai.chat()`": "Vercel AI SDK，用 `openai.chat()`",
    "Vercel AI SDK with `openai()`, which uses `/v1/responses`": (
        "Vercel AI SDK，用 `openai()`，即 `/v1/responses`"
    ),
    "Gemini: whole, streamed, tool loops to their end, an answer that breaks off, two turns": (
        "Gemini：完整回答、流式、多轮工具调用、中途断开的回答、两轮对话"
    ),
    "as it should with `providerOptions: { openai: { store: false } }`; without it a second"
    " turn is refused, for nothing is stored here": (
        "设置 `providerOptions: { openai: { store: false } }` 时正常；不设置时第二轮会被拒绝，因为"
        "这里什么也不保存"
    ),
    "openai and LangChain over `/v1/responses`": "openai 和 LangChain，用 `/v1/responses`",
    "those above": "同上",
    "Gemini: whole, streamed, tool loops to their end": "Gemini：完整回答、流式、多轮工具调用",
    "An answer that breaks off arrives as an error of the client's own kind, with the code"
    " `upstream_truncated` where the client shows codes; a wrong key as its error for 401.": (
        "中途断开的回答会成为客户端自己的错误，能显示代码的会显示 `upstream_truncated`；错误的密钥"
        "成为它的 401 错误。"
    ),
    "`.venv/bin/python -m tests.clients FOLDER` installs the SDKs among them into a folder and runs"
    " them again.": (
        "`.venv/bin/python -m tests.clients FOLDER` 把其中的 SDK 装进一个文件夹，再运行一遍。"
    ),
    "The other clients on this page were not run; their settings are taken from their"
    " documentation and source.": "本页其余客户端没有运行过；设置取自它们的文档和源代码。",
    # Coding agents.
    "Into `~/.codex/config.toml`:": "写入 `~/.codex/config.toml`：",
    "`env_key` takes the key from the environment variable `JARVIS_KEY` of Codex.": (
        "`env_key` 表示从 Codex 的环境变量 `JARVIS_KEY` 读取密钥。"
    ),
    "Codex warns that it has no metadata for models that are not OpenAI's; it works all the same,"
    " with MCP servers too.": (
        "对不属于 OpenAI 的模型，Codex 会警告没有模型元数据；照样可以使用，MCP 服务器也一样。"
    ),
    "`COPILOT_OFFLINE=true` keeps it from GitHub's own services.": (
        "`COPILOT_OFFLINE=true` 让它不访问 GitHub 自己的服务。"
    ),
    "`COPILOT_PROVIDER_WIRE_API=responses` makes it use the Responses API, for models of OpenAI and"
    " Gemini.": (
        "`COPILOT_PROVIDER_WIRE_API=responses` 让它使用 Responses API，适用于 OpenAI 和 Gemini 的"
        "模型。"
    ),
    "Gemini and OpenAI: the settings above and its built-in provider, one tool after the other,"
    " tools at once, with and without an MCP server, an answer that breaks off, long silence, a"
    " limit, a prompt that is too long": (
        "Gemini 和 OpenAI：上面的设置和它的内置提供商、逐个调用工具、同时调用多个工具、有无 MCP "
        "服务器、中断的回答、长时间静默、限流、过长的提示"
    ),
    "Gemini: the settings above and the Responses API, one tool after the other, tools at once": (
        "Gemini：上面的设置和 Responses API、逐个调用工具、同时调用多个工具"
    ),
}
