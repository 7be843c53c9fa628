"""Set-up guides for clients: one Markdown template per client, in English and Chinese.

To add a client, write ``en/ID.md`` and ``zh/ID.md``, add the id here, and run ``python -m
tools.docs``, which writes docs/clients/.
"""

from typing import Final

CLIENTS: Final = (
    *("openclaw", "open-webui", "lobechat", "nextchat", "cherry-studio", "home-assistant"),
    *("n8n", "dify", "aider", "continue", "claude-code", "codex", "copilot"),
    *("gemini-cli", "qwen-code", "opencode", "pi", "cline"),
    *("agent-framework", "openai-python", "openai-node"),
)
"""The ids of the clients, in the order in which the doctor prints them."""
