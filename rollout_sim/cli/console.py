"""The console: progress, tables and notices, for people at terminals and for pipes."""

from __future__ import annotations

import os
import re
import select
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from rollout_sim.cli import interruption
from rollout_sim.core.files import write_file
from rollout_sim.errors import legible

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_sim.planes.selection import EngineChoice
    from rollout_sim.run.simulate import Progress
    from rollout_sim.scenario.scenario import Scenario


PATIENCE = 1.0
"""Seconds until a bar shows."""
WIDE = 200
"""Characters of a line where nothing says how many there are."""
INTERVAL = 60.0
"""Seconds from line to line where nobody watches a terminal."""


def import_pictures() -> None:
    """Imports matplotlib from a folder of our own: a `matplotlibrc` of the working folder is none of its business.

    matplotlib reads that file while it is imported, and ends in a traceback where it cannot.
    """
    import contextlib
    from pathlib import Path

    with contextlib.chdir(Path(__file__).parent):
        import matplotlib as mpl  # noqa: F401


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A bar on standard error for whatever takes longer than `PATIENCE`; off a terminal a line every `INTERVAL`."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task(label, total=1.0)
    began = told = time.monotonic()

    def report(done: float) -> None:
        nonlocal told
        interruption.check()
        now = time.monotonic()
        if not console.is_terminal:
            if now - told >= INTERVAL:
                told = now
                tell(f"{label}: {done:.0%} after {(now - began) / 60:.0f} min")
            return
        if not bar.live.is_started and now - began > PATIENCE:
            bar.start()
        bar.update(task, completed=done)

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def studying(scenario: Scenario, *planes: EngineChoice) -> Iterator[Progress]:
    """A study's bar, after a word about compiling where one of the `planes` needs it."""
    announce_compiling(scenario, *(plane.engine for plane in planes))
    with progress(scenario.name) as report:
        yield report


def announce_compiling(scenario: Scenario, *engines: str) -> None:
    """Says what the wait is where the first use of the compiled plane compiles its kernel."""
    if "compiled" in engines:
        from rollout_sim.planes.compiled.kernel import ready

        if not ready(polled=scenario.polled):
            wait = "about half a minute" if scenario.polled else "about ten seconds"
            tell(f"compiling the kernel of the compiled plane: {wait}, once")


def deliver(write: Callable[[], object], shown: Callable[[], None], where: str | None) -> None:
    """Writes a result and shows it, then says `where` it is; what cannot be written is shown all the same.

    Raises the ScenarioError or OSError of what could not be written, once the result is shown.
    """
    from rollout_sim.errors import ScenarioError

    problem: ScenarioError | OSError | None = None
    try:
        write()
    except (ScenarioError, OSError) as error:
        problem = error
    shown()
    if problem is not None:
        raise problem
    if where is not None:
        show(where)


def put(text: str, file: Path | None) -> None:
    """Writes a text into a `file`, or to standard output where there is none."""
    if file is None:
        echo(text, end="")
    else:
        write_file(file, text)


def echo(text: str, end: str = "\n") -> None:
    """Writes a text to standard output, and after it `end`."""
    with while_read():
        click.echo(f"{text}{end}", nl=False)


@contextmanager
def while_read() -> Iterator[None]:
    """Writes to standard output; where its reader goes away nothing is wrong with us, and what is written is dropped."""
    try:
        yield
    except BrokenPipeError:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            if not poll.poll(0):  # another pipe
                raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at the exit


def echo_json(document: object, indent: int = 1) -> None:
    """Prints one JSON document."""
    import json

    echo(json.dumps(document, indent=indent))


def tell(text: str) -> None:
    """Says something on standard error, `legible` line by line, broken at words where there is a width to keep to.

    What lies in a line without a space, such as a path, stays whole. Where nobody can be told, as on a terminal that is gone,
    that is no error: what the command does and its status say the rest.
    """
    width = width_of(sys.stderr)
    with suppress(OSError):
        for line in map(legible, text.split("\n")):
            click.echo(line if width is None else _wrapped(line, width), err=True)


def tell_interrupted(kept: str = "") -> None:
    """Says that the command was interrupted, and what is `kept`, with what stands between; not behind a terminal's ^C."""
    behind = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""
    tell(f"{behind}interrupted{kept}")


def width_of(stream: TextIO | None) -> int | None:
    """How wide what is printed on a stream may be: as COLUMNS says, or its terminal; None where neither does.

    The stream is None where it was closed before the command began.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    if stream is None or not stream.isatty():
        return None
    return os.get_terminal_size(stream.fileno()).columns or None


def _wrapped(line: str, width: int) -> str:
    """A line broken at words, the rest below its first word, or below the text after an indented first column."""
    begin = re.match(r" +\S.{0,14}? {2,}| *", line)
    indent = " " * (len(begin[0]) if begin is not None else 0)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def show(*parts: Any) -> None:
    """Prints lines and tables, as wide as the terminal, or as COLUMNS says; in a pipe without it tables are wide.

    Lines are broken at words where there is a width to keep to. With `--format markdown` tables are Markdown.
    """
    from rich.console import Console

    from rollout_sim.cli.options import in_markdown
    from rollout_sim.errors import escaped
    from rollout_sim.views.tables import Table

    if in_markdown():
        for part in parts:
            echo(part.markdown() if isinstance(part, Table) else escaped_markdown(part), end="\n\n")
        return

    class Printed(Console):
        def on_broken_pipe(self) -> None:  # rich's own would end the command
            raise BrokenPipeError

    console = Printed()
    narrow = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    wide = console if narrow else Printed(width=WIDE)
    for part in parts:
        for lines in part.for_terminal(wide.width) if isinstance(part, Table) else map(escaped, part.split("\n")):
            if narrow and isinstance(lines, str) and lines.startswith(" "):
                lines = _wrapped(lines, wide.width)  # noqa: PLW2901 - the same line, in several
            with while_read():
                wide.print(lines, highlight=False, markup=False, soft_wrap=isinstance(lines, str) and not narrow)


def escaped_markdown(text: str) -> str:
    """Lines of text as a paragraph of Markdown."""
    from rollout_sim.errors import escaped
    from rollout_sim.views.tables import in_markdown_text

    return "\n".join(in_markdown_text(escaped(line)) for line in text.split("\n"))
