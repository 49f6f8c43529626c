"""The command line: the group of all commands, and how errors become messages and statuses.

Exit status: 0 done, 1 `check` has found something, 2 the input is wrong, 130 interrupted, 143 terminated (SIGTERM), 129 hung up
(SIGHUP). Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from rollout_sim.cli import console, interruption
from rollout_sim.cli.backtest import backtest
from rollout_sim.cli.check import check
from rollout_sim.cli.compare import compare
from rollout_sim.cli.convert import export, import_
from rollout_sim.cli.init import init
from rollout_sim.cli.options import PROGRAM
from rollout_sim.cli.recommend import recommend
from rollout_sim.cli.report import report
from rollout_sim.cli.run import run
from rollout_sim.cli.sweep import sweep
from rollout_sim.cli.validate import completion, explain, schema, validate
from rollout_sim.cli.when import when
from rollout_sim.core.files import clear_interrupted
from rollout_sim.core.garbage import look_seldom


class _Commands(click.Group):
    """A group that leaves it to `main` to say that it was interrupted; click's own would print an empty line.

    Help whose reader goes away is no error either, for which click has the status of a `check` that has found something.
    """

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        with _not_as_click():
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _not_as_click():
            return super().invoke(ctx)


@contextmanager
def _not_as_click() -> Iterator[None]:
    try:
        with console.while_read():
            yield
            return
    except KeyboardInterrupt:
        raise click.Abort from None
    raise click.exceptions.Exit(0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rollout-sim")
def app() -> None:
    """Simulate rollouts of serverless functions before you deploy."""


for command in (
    init,
    run,
    compare,
    sweep,
    recommend,
    backtest,
    when,
    report,
    check,
    export,
    import_,
    validate,
    explain,
    schema,
    completion,
):
    app.add_command(command)


def main() -> None:
    """The entry point: every error that a user can cause becomes one message and a status, never a traceback."""
    from rollout_sim.errors import ScenarioError

    interruption.listen()
    look_seldom()
    try:
        app(prog_name=PROGRAM, standalone_mode=False)
    except ScenarioError as error:
        if interruption.heard():  # who ends us may end the processes that share the work as well
            _interrupted()
        _fail(str(error))
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        console.tell(shown.getvalue().removesuffix("\n"))
        raise SystemExit(2) from None
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except Exception as error:
        if interruption.heard():  # an extension module may make an error of its own out of it
            _interrupted()
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'output'}: {error.strerror or error}")
        raise
    finally:
        interruption.ignore()
        clear_interrupted()


def _interrupted() -> NoReturn:
    interruption.ignore()
    console.tell_interrupted()
    raise SystemExit(interruption.status()) from None


def _fail(message: str) -> NoReturn:
    console.tell(message)
    raise SystemExit(2)
