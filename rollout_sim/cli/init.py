"""`rollout-sim init`: a commented scenario to start from."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import FILE, Quantity, check_alias

if TYPE_CHECKING:
    from rollout_sim.scenario.template import ScenarioTemplate


def _answer(question: str, metavar: str) -> Quantity:
    """A quantity as `template.QUESTIONS` allows it; the question's unit is taken for a bare number."""

    def read(text: str) -> float:
        from rollout_sim.scenario.template import QUESTIONS

        return QUESTIONS[question].read(text)

    return Quantity(metavar, read)


_ASKED = {
    "rate": "How many requests come in a second",
    "swing": "By which share does that swing over the day (0%: it is steady)",
    "error_rate": "Which share of them fails today",
    "objective": "The SLO: which share must be good",
    "window": "The SLO: in every so many days",
    "duration": "How long does a request take, as a median",
    "p99": "How long do 99% of them take at most",
    "timeout": "The function's timeout",
}


@click.command()
@click.argument("file", type=FILE, default="scenario.yaml")
@click.option("--name", help="What the function is called.")
@click.option("--alias", help="The alias that clients call.  [default: prod]")
@click.option("--rate", type=_answer("rate", "RATE"), help="Requests, such as 50/s or 10/min.")
@click.option(
    "--swing",
    type=_answer("swing", "SHARE"),
    help="By how much the rate swings over a day, such as 40%; by default not at all.",
)
@click.option("--error-rate", type=_answer("error_rate", "SHARE"), help="The share that fails today, such as 0.1%.")
@click.option(
    "--objective", type=_answer("objective", "SHARE"), help="The SLO's share of good requests, such as 99.9%."
)
@click.option("--window", type=_answer("window", "TIME"), help="The SLO's window, such as 30d.")
@click.option("--duration", type=_answer("duration", "TIME"), help="The median duration, such as 80ms.")
@click.option("--p99", type=_answer("p99", "TIME"), help="The 99th percentile of the duration, such as 600ms.")
@click.option("--timeout", type=_answer("timeout", "TIME"), help="The function's timeout, such as 10s.")
@click.option("--concurrency", type=click.IntRange(1), help="The function's reserved concurrency, if it has one.")
@click.option("--yes", is_flag=True, help="Ask nothing; guess what is not given, and say so.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it is there.")
def init(
    file: Path,
    yes: bool,
    force: bool,
    **given: Any,
) -> None:
    """Write a commented scenario to start from into FILE (scenario.yaml), asking for what it needs to know.

    Away from a terminal nothing is asked.
    """
    from rollout_sim.core.files import write_file
    from rollout_sim.scenario.template import QUESTIONS, ScenarioTemplate

    _check_free(file, force)
    answers: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    _check(answers)
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        if "name" not in answers:
            answers["name"] = click.prompt("What is the function called", default=ScenarioTemplate().name, err=True)
        for key, question in _ASKED.items():
            if key not in answers:
                answers[key] = _ask(key, question, answers)
        if "concurrency" not in answers:
            reserved: int = click.prompt(
                "Its reserved concurrency (0: it has none)", default=0, type=click.IntRange(0), err=True
            )
            answers |= {"concurrency": reserved} if reserved else {}
        _check(answers)
    starter = _starter(answers)
    _check_free(file, force)  # again: answering takes a while
    write_file(file, starter.text())
    guesses = [
        f"--{key.replace('_', '-')} {QUESTIONS[key].write(getattr(starter, key))}"
        for key in QUESTIONS
        if key in starter.guessed
    ]
    if guesses:
        console.show(f"not given, so guessed: {', '.join(guesses)}")
    console.show(f"wrote {file}, which says what each part means; next: rollout-sim run {shlex.quote(str(file))}")


def _ask(key: str, question: str, answers: dict[str, Any]) -> float:
    """The answer to a question, offering what would be guessed from the `answers` so far."""
    from rollout_sim.scenario.template import QUESTIONS

    guess = QUESTIONS[key].write(getattr(_starter(answers), key))
    answer: float = click.prompt(question, default=guess, type=_answer(key, key), err=True)
    return answer


def _starter(answers: dict[str, Any]) -> ScenarioTemplate:
    """The scenario to start from. Raises click's error for answers that contradict each other."""
    from rollout_sim.scenario.template import QUESTIONS, ScenarioTemplate

    try:
        return ScenarioTemplate(**answers, guessed=frozenset(QUESTIONS) - frozenset(answers))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--p99") from None


def _check(answers: dict[str, Any]) -> None:
    """Raises click's error for a name or alias that no scenario may have."""
    check_alias(answers.get("alias", "prod"))
    name: str = answers.get("name", "-")
    if not name.strip() or not name.isprintable():
        raise click.BadParameter(f"got {name!r}; allowed printable text", param_hint="--name")


def _check_free(file: Path, force: bool) -> None:
    if file.exists() and not force:
        raise click.UsageError(f"{file} is there already; choose another name, or overwrite it with --force")
