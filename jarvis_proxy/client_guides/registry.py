"""Reads the guides, as Markdown or as steps. IO (reads templates)."""

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Final, Literal

from jarvis_proxy.client_guides.context import GuideContext

Language = Literal["en", "zh"]

_EACH_MODEL: Final = re.compile(r"^{{#each model}}\n(.*?)^{{/each}}\n", re.DOTALL | re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"{{(\w+)}}")
_BLOCK: Final = re.compile(
    r"^\|.*\n\|---.*$"  # the head of a table has no values
    r"|^\| (?P<label>.+?) \| (?P<value>.+) \|$"
    r"|^```\w+\n(?P<text>[\s\S]*?)\n```$"
    r"|^# (?P<name>.+)$"
    r"|^- (?P<note>.+)$"
    r"|^(?P<say>.+)$",
    re.MULTILINE,
)


@dataclass(slots=True)
class GuideStep:
    """One step: a sentence, then fields to fill in or text to copy."""

    say: str
    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(slots=True)
class Guide:
    """The set-up of one client: its *id* on the command line, its name, steps and notes."""

    id: str
    name: str = ""
    steps: list[GuideStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def guide_markdown(client: str, context: GuideContext, language: Language = "en") -> str:
    """Return the guide of *client* as Markdown, filled with *context*."""
    text = (resources.files(__package__) / language / f"{client}.md").read_text("utf-8")
    each = [context.model_values(model) for model in context.models]
    text = _EACH_MODEL.sub(lambda part: "".join(_fill(part[1], values) for values in each), text)
    return _fill(text, context.values)


def _fill(template: str, values: dict[str, str]) -> str:
    # Keep unknown names: they may be part of a model's name from the settings.
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def read_guide(client: str, context: GuideContext, language: Language = "en") -> Guide:
    """Return the guide of *client*, filled with *context*."""
    guide = Guide(client)
    for block in _BLOCK.finditer(guide_markdown(client, context, language)):
        if block["name"]:
            guide.name = block["name"]
        elif block["say"]:
            guide.steps.append(GuideStep(block["say"]))
        elif block["label"]:
            guide.steps[-1].fields[block["label"]] = block["value"].strip("`")
        elif block["text"]:
            guide.steps[-1].text = block["text"]
        elif block["note"]:
            guide.notes.append(block["note"])
    return guide
