"""Interruption: a signal ends a command in one line and with its status, whatever the interpreter was doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rollout_sim.cli import console, interruption

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

SWALLOWED = """
import signal, time
from rollout_sim.cli import interruption

class Last:
    def __del__(self): signal.raise_signal(signal.SIGINT)

interruption.listen()
try:
    Last()
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""
LOADING = """
import signal, sys
from rollout_sim.cli.__main__ import main

class Interrupting:
    def find_spec(name, *_):
        if name == "rollout_sim.cli.main": signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
main()
"""
COMMAND = """
import signal, sys
from rollout_sim.cli import main

@main.app.command()
def {name}(): {body}

sys.argv[1:] = [{name!r}]
main.main()
"""


HEARD = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)
"""
"""Signals as a terminal gives them to a command, also where the tests themselves ignore some, as below `nohup`."""


def ended(script: str) -> tuple[int, str]:
    """The exit status of a script of Python, and what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", HEARD + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_the_interpreter_swallows_is_raised_again() -> None:
    assert ended(SWALLOWED) == (0, "heard\n")


def test_it_is_one_line_while_the_commands_are_loaded() -> None:
    assert ended(LOADING) == (130, "interrupted\n")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_status_is_the_signals_also_where_python_would_end_by_another(name: str, status: int) -> None:
    """Python remembers that a KeyboardInterrupt went through an `exec` of text, as of a dataclass, and ends by SIGINT."""
    body = f"exec('signal.raise_signal(signal.{name})')"
    assert ended(COMMAND.format(name="interrupted", body=body)) == (status, "interrupted\n")


def test_who_is_to_ignore_a_hangup_does() -> None:
    body = "signal.raise_signal(signal.SIGHUP); print('whole')"
    script = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" + COMMAND.format(name="nohup", body=body)
    assert ended(script) == (0, "whole\n")


@pytest.mark.slow
def test_what_clears_up_after_the_processes_outlives_a_closed_terminal() -> None:
    """Else another one takes its place, and tells tracebacks of what it does not know."""
    script = """
import os, signal, time
from joblib.externals.loky.backend.resource_tracker import _resource_tracker
from rollout_sim.study import executor

with executor._undisturbed():
    os.kill(_resource_tracker._pid, signal.SIGHUP)
time.sleep(0.3)
print(os.waitpid(_resource_tracker._pid, os.WNOHANG))
"""
    assert ended(script) == (0, "(0, 0)\n")


def test_a_second_signal_does_not_interrupt_the_clearing_up() -> None:
    script = """
import signal, sys
from rollout_sim.cli import main
main.clear_interrupted = lambda: [signal.raise_signal(number) for number in (signal.SIGINT, signal.SIGTERM)]
""" + COMMAND.format(name="twice", body="signal.raise_signal(signal.SIGTERM)")
    assert ended(script) == (143, "interrupted\n")


def test_work_that_goes_on_all_the_same_ends_with_its_next_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    with console.progress("work") as report:
        report(0.5)
        monkeypatch.setattr(interruption, "_HEARD", [signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):
            report(0.6)
