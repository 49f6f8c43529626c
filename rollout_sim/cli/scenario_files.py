"""Scenario files as the command line meets them: which there are, what to say where none is given, completion."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_SHOWN = 12
_SECTIONS = (rb"^function\s*:", rb"^traffic\s*:")
_HEAD = 1 << 16


def scenario_files() -> list[Path]:
    """The scenarios in this folder and in `scenarios`: YAML files with a function and traffic."""
    return [path for folder in (Path(), Path("scenarios")) for path in sorted(folder.glob("*.y*ml")) if _looks(path)]


def _looks(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return all(re.search(section, head, re.MULTILINE) for section in _SECTIONS)


class ScenarioPath(click.Path):
    """The path of a scenario file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """What to do where no file is given."""
        found = scenario_files()
        if not found or ctx is None:
            return "Pass a scenario file; `rollout-sim init` writes one to start from"
        arguments = [one.name for one in ctx.command.params if isinstance(one, click.Argument) and one is not param]
        given = [str(ctx.params[name]) for name in arguments if name is not None and ctx.params.get(name)]
        program = " ".join([ctx.command_path, *given])
        lines = [f"  {program} {shlex.quote(str(path))}" for path in found[:_SHOWN]]
        more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        text = "\n".join(lines)
        return f"Pass a scenario file; `rollout-sim init` writes one to start from. There are:\n{text}{more}\n"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The scenario files that are found, else any file."""
        names = [str(path) for path in scenario_files() if str(path).startswith(incomplete)]
        return [_item(name) for name in names] or [CompletionItem(incomplete, type="file")]


def complete_strategy(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The strategies of the scenario that stands before the option."""
    # An option that still lacks its value keeps click from giving the arguments before it their names.
    given = ctx.params.get("scenario") or next(iter(ctx.args), None)
    return [_item(name) for name in _strategies(given) if name.startswith(incomplete)] if given else []


def _strategies(path: str | Path) -> Iterator[str]:
    from rollout_sim.core.yaml_io import read_yaml
    from rollout_sim.errors import ScenarioError

    try:
        strategies = read_yaml(Path(path)).data.get("strategies")
    except ScenarioError:  # no place to complain: the command will, once it runs
        return
    if isinstance(strategies, dict):
        yield from strategies


def _item(text: str) -> CompletionItem:
    """Bash takes a completion as it is; zsh and fish put it into quotes themselves."""
    bash = any(name.endswith("_COMPLETE") and value == "bash_complete" for name, value in os.environ.items())
    return CompletionItem(shlex.quote(text) if bash else text)
