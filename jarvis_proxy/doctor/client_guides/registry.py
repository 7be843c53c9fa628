"""The guides as Markdown and as steps. Reads templates."""

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Final, Literal

from jarvis_proxy.doctor.client_guides.context import GuideContext

Language = Literal["en", "zh"]

_EACH_MODEL: Final = re.compile(r"^{{#each model}}\n(.*?)^{{/each}}\n", re.DOTALL | re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"{{(\w+)}}")
_BLOCK: Final = re.compile(
    r"^\|.*\n\|---.*$"  # the head of a table says nothing
    r"|^\| (?P<label>.+?) \| (?P<value>.+) \|$"
    r"|^```(?P<language>\w+)\n(?P<text>[\s\S]*?)\n```$"
    r"|^# (?P<name>.+)$"
    r"|^- (?P<note>.+)$"
    r"|^(?P<say>.+)$",
    re.MULTILINE,
)


@dataclass(slots=True)
class GuideStep:
    """One thing to do: a sentence, then fields to fill in, or text to copy in *language*."""

    say: str
    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""
    language: str = ""


@dataclass(slots=True)
class Guide:
    """How to set up one client: its *id* on the command line, its name, steps and notes."""

    id: str
    name: str = ""
    steps: list[GuideStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def guide_markdown(client: str, context: GuideContext, language: Language = "en") -> str:
    """Return the guide of *client* as Markdown, filled with *context*."""
    file = resources.files(__package__) / language / f"{client}.md"

    def repeat(match: re.Match[str]) -> str:
        return "".join(_fill(match[1], context.model_values(model)) for model in context.models)

    return _fill(_EACH_MODEL.sub(repeat, file.read_text("utf-8")), context.values)


def _fill(template: str, values: dict[str, str]) -> str:
    # An unknown name stays: it may be part of a model's name from the settings.
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def read_guide(client: str, context: GuideContext) -> Guide:
    """Return the English guide of *client*, filled with *context*."""
    guide = Guide(client)
    for block in _BLOCK.finditer(guide_markdown(client, context)):
        if block["name"]:
            guide.name = block["name"]
        elif block["say"]:
            guide.steps.append(GuideStep(block["say"]))
        elif block["label"]:
            guide.steps[-1].fields[block["label"]] = block["value"].strip("`")
        elif block["language"]:
            guide.steps[-1].text, guide.steps[-1].language = block["text"], block["language"]
        elif block["note"]:
            guide.notes.append(block["note"])
    return guide
