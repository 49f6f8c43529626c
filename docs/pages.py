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
from rollout_sim.core.units import UNITS
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.scenario import reference
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.template import QUESTIONS, ScenarioTemplate
from rollout_sim.study.check.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
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
    objects = [one["properties"] for one in shapes if one.get("type") == "object" and len(one["properties"]) == 1]
    rows = []
    for one in objects:
        ((name, inner),) = one.items()
        rows.append(f"| `{name}` | {', '.join(f'`{field}`' for field in inner['properties'])} |")
    return [
        "## Distributions",
        "",
        "Where a distribution is asked for, a bare quantity is a constant; else it is one of these, such as",
        "`{lognormal: {median: 80 ms, p99: 600 ms}}`. How long a version's invocations run may also be as recorded,",
        '`{minutes: minutes.csv, of: "alias:prod", draw: blocks}`: see [the model](model.md#recorded-minutes-in-a-scenario).',
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
        f"| `{field}` | {cell(shown['description'])}<br>{reference.default(field, shown, schema)} {reference.kind(shown)} |"
        for field, shown in schema["properties"].items()
    ]
    examples = [f"```yaml\n{to_yaml(example)}```\n" for example in schema.get("examples", ())]
    return [f"## {name}", "", text, "", *examples, "| field | meaning, default, type |", "|---|---|", *rows, ""]


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
