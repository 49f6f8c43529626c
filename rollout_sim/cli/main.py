"""The command line: the group of all commands, and how errors become messages and statuses.

Exit status: 0 done, 1 `check` has found something, 2 the input is wrong, 130 interrupted, 143 terminated (SIGTERM). Heavy
imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from rollout_sim.cli import console
from rollout_sim.cli.backtest import backtest
from rollout_sim.cli.check import check
from rollout_sim.cli.compare import compare
from rollout_sim.cli.convert import export, import_
from rollout_sim.cli.init import init
from rollout_sim.cli.options import INTERRUPTED, PROGRAM, TERMINATED
from rollout_sim.cli.recommend import recommend
from rollout_sim.cli.report import report
from rollout_sim.cli.run import run
from rollout_sim.cli.sweep import sweep
from rollout_sim.cli.validate import completion, explain, schema, validate
from rollout_sim.cli.when import when
from rollout_sim.core.files import clear_interrupted
from rollout_sim.core.garbage import look_seldom


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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

    look_seldom()
    interrupted = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = number
        # Whoever ends us sends it once or keeps on; the second one must not interrupt the clearing up after the first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.default_int_handler(signal.SIGINT, frame)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        app(prog_name=PROGRAM, standalone_mode=False)
    except SystemExit as error:
        if error.code == INTERRUPTED and interrupted == signal.SIGTERM:
            raise SystemExit(TERMINATED) from None
        raise
    except ScenarioError as error:
        _fail(str(error))
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        console.tell(shown.getvalue().removesuffix("\n"))
        raise SystemExit(2) from None
    except (click.Abort, KeyboardInterrupt):
        _interrupted(interrupted)
    except BrokenPipeError:
        # The reader of our output went away; nothing is wrong with us, and nothing is left to flush at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if interrupted:  # an extension module may make an error of its own out of the interruption
            _interrupted(interrupted)
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'output'}: {error.strerror or error}")
        raise
    finally:
        clear_interrupted()


def _interrupted(number: int) -> NoReturn:
    console.tell("interrupted")
    raise SystemExit(TERMINATED if number == signal.SIGTERM else INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    console.tell(message)
    raise SystemExit(2)
