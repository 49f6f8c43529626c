"""Pages made while the site is built, by mkdocs-gen-files: nothing on them is written a second time.

The scenario reference comes from the JSON Schema, the commands from click, the codes of `check` from its rules, the Python
reference from `rollout_sim.__all__`, validation, changes and contributing from the files at the root.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
import mkdocs_gen_files

import rollout_sim
from rollout_sim.cli.main import app
from rollout_sim.cli.options import PROGRAM
from rollout_sim.core import units
from rollout_sim.core.units import UNITS
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.template import QUESTIONS, ScenarioTemplate
from rollout_sim.study.check.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "lognormal"
"""What a schema that stands for a distribution has among its shapes."""
ROOT_PAGES = {
    "VALIDATION.md": "validation.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""The files at the root that are pages of the site, and what they are called there."""


def scenario_page() -> str:
    """Every part of a scenario file: its fields with type, default and meaning."""
    schema = json_schema()
    definitions = schema["$defs"]
    lines = [
        "# The scenario file",
        "",
        "One YAML file describes the function, its traffic, its SLOs and alarms, and the rollouts to compare.",
        "`rollout-sim init` writes one with your own figures; this is what it writes when nothing is known:",
        "",
        "```yaml",
        ScenarioTemplate(guessed=frozenset(QUESTIONS)).text().rstrip(),
        "```",
        "",
        "Below is every field. A mistake gives one message with file, line, what is wrong and what would be right;",
        "`rollout-sim schema` prints the same as JSON Schema for an editor.",
        "",
        *quantities(),
        *distributions(definitions),
        *part("Scenario", schema),
    ]
    for name in in_order(schema, definitions):
        lines += part(name, definitions[name])
    return "\n".join(lines) + "\n"


def quantities() -> list[str]:
    """The kinds of quantities and their units."""
    rows = [f"| {kind} | {', '.join(f'`{unit}`' for unit in units)} |" for kind, units in UNITS.items()]
    return [
        "## Quantities",
        "",
        "A quantity is a number and its unit, such as `80 ms`, `50/s` or `4%`. Only 0 may stand alone.",
        "",
        "| kind | units |",
        "|---|---|",
        *rows,
        "",
    ]


def distributions(definitions: dict[str, Any]) -> list[str]:
    """What may stand where a distribution is asked for."""
    shapes = definitions["VersionSpec"]["properties"]["duration"]["anyOf"]
    objects = [one["properties"] for one in shapes if one.get("type") == "object"]
    rows = []
    for one in objects:
        ((name, inner),) = one.items()
        rows.append(f"| `{name}` | {', '.join(f'`{field}`' for field in inner['properties'])} |")
    return [
        "## Distributions",
        "",
        "Where a distribution is asked for, a bare quantity is a constant; else it is one of these, such as",
        "`{lognormal: {median: 80 ms, p99: 600 ms}}`.",
        "",
        "| distribution | takes |",
        "|---|---|",
        *rows,
        "",
    ]


def in_order(schema: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """The parts in the order in which a reader of the file meets them."""
    found: list[str] = []

    def visit(one: Any) -> None:
        if isinstance(one, dict):
            name = str(one.get("$ref", "")).rsplit("/", 1)[-1]
            if name and name not in found:
                found.append(name)
                visit(definitions[name]["properties"])
            for inner in one.values():
                visit(inner)
        elif isinstance(one, list):
            for inner in one:
                visit(inner)

    visit(schema["properties"])
    return found


def part(name: str, schema: dict[str, Any]) -> list[str]:
    """One part: its text and the table of its fields."""
    text = schema["description"].split("\nRaises ")[0]
    rows = [
        f"| `{field}` | {cell(shown['description'])}<br>{default(field, shown, schema)} {kind(shown)} |"
        for field, shown in schema["properties"].items()
    ]
    return [f"## {name}", "", text, "", "| field | meaning, default, type |", "|---|---|", *rows, ""]


def default(field: str, shown: dict[str, Any], schema: dict[str, Any]) -> str:
    """Whether the field must be given, else its default as the file would write it."""
    if field in schema.get("required", []):
        return "**required**:"
    value = shown.get("default")
    if value in (None, "", [], {}):
        return "optional:"
    text = ", ".join(value) if isinstance(value, list) else flow(value)
    return f"default `{text}`:"


def flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind(shown: dict[str, Any]) -> str:
    """The type of a field, for people; links lead to the other parts."""
    if "$ref" in shown:
        name = shown["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in shown:
        return " ".join(f"`{one}`" for one in shown["enum"] if not str(one).startswith("CodeDeployDefault."))
    if "const" in shown:
        return f"`{shown['const']}`" if shown["const"] else ""
    for key in ("anyOf", "oneOf"):
        if key in shown:
            if any(DISTRIBUTION in one.get("properties", {}) for one in shown[key]):
                return "[distribution](#distributions)"
            found = [kind(one) for one in shown[key] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(one for one in found if one))
    return plain_kind(shown)


def plain_kind(shown: dict[str, Any]) -> str:
    """The type of what is no union and no reference."""
    match shown.get("type"):
        case "array":
            return f"list of {kind(shown['items'])}"
        case "object" if isinstance(shown.get("additionalProperties"), dict):
            return f"names, each with {kind(shown['additionalProperties'])}"
        case "object":
            return f"`{flow(dict.fromkeys(shown['properties'], '...'))}`"
        case "string" if "title" in shown and shown["title"] in UNITS:
            _, _, bounds = shown["description"].partition("; ")
            noise = f"at least {units.text(units.TICK, 'duration')}"
            more = f", {bounds}" if bounds and bounds != noise else ""
            return f"[{shown['title']}](#quantities){more}"
        case "string" if "examples" in shown:
            return "such as " + ", ".join(f"`{one}`" for one in shown["examples"])
        case list() as several:
            return " or ".join(plain_kind({"type": one}) for one in several)
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` `false`"}[shown["type"]]


def cell(text: str) -> str:
    """A text inside a table."""
    return text.replace("\n", " ").replace("|", "\\|")


def python_page() -> str:
    """What `from rollout_sim import ...` offers, and the closed forms."""
    names = [f"::: {getattr(rollout_sim, name).__module__}.{name}" for name in rollout_sim.__all__]
    head = (ROOT / "docs" / "python.head.md").read_text(encoding="utf-8")
    return "\n\n".join([head, *names, "::: rollout_sim.extensions", "::: rollout_sim.theory"]) + "\n"


def commands_page() -> str:
    """Every command as its `--help` has it, with the options in a table."""
    context = click.Context(app, info_name=PROGRAM)
    return (
        "\n".join([(ROOT / "docs" / "commands.head.md").read_text(encoding="utf-8"), *command_parts(app, context)])
        + "\n"
    )


def command_parts(group: click.Group, context: click.Context) -> list[str]:
    """The commands of a group in the order in which they were added."""
    lines = []
    for name, command in group.commands.items():
        inner = click.Context(command, info_name=name, parent=context)
        lines += [
            f"## {inner.command_path}",
            "",
            "```text",
            command.get_usage(inner).removeprefix("Usage: "),
            "```",
            "",
        ]
        paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
        for one in paragraphs:
            # A paragraph that starts with \\b keeps its lines.
            lines += ["```text", one.removeprefix("\b\n"), "```", ""] if one.startswith("\b") else [one, ""]
        if isinstance(command, click.Group):
            lines += command_parts(command, inner)
            continue
        records = [
            record
            for one in command.get_params(inner)
            if isinstance(one, click.Option) and (record := one.get_help_record(inner))
        ]
        rows = [f"| `{cell(names)}` | {cell(text)} |" for names, text in records if "--help" not in names]
        lines += ["| option | meaning |", "|---|---|", *rows, ""] if rows else []
    return lines


def check_page() -> str:
    """What `check` looks for: every rule with why, an example and a remedy."""
    head = (ROOT / "docs" / "check.head.md").read_text(encoding="utf-8")
    lines = [head.rstrip(), "", "| code | severity | |", "|---|---|---|"]
    lines += [
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.severity} | {cell(rule.summary)} |"
        for rule in RULES.values()
    ]
    for rule in RULES.values():
        lines += [
            "",
            f"### {rule.code} {rule.name}",
            "",
            f"**{rule.summary}**",
            "",
            rule.why,
            "",
            "Example:",
            "",
            "```yaml",
            rule.example,
            "```",
            "",
            f"Remedy: {rule.mend}",
        ]
    return "\n".join(lines) + "\n"


def root_page(name: str) -> str:
    """A file at the root of the repository, with its links as they are between the pages of the site."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for other, target in ROOT_PAGES.items():
        text = text.replace(f"]({other})", f"]({target})")
    return text


for target, text in {
    "scenario.md": scenario_page(),
    "commands.md": commands_page(),
    "python.md": python_page(),
    "check.md": check_page(),
    **{target: root_page(name) for name, target in ROOT_PAGES.items()},
}.items():
    with mkdocs_gen_files.open(target, "w") as file:
        file.write(text)
