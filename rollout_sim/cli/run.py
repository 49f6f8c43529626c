"""`rollout-sim run`: a scenario once per strategy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console, interruption, options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sim.run.result import RunResult


@click.command()
@options.repeatable
@options.STRATEGIES
@options.SEED
@options.ENGINE
@options.shared_jobs()
@options.results
@click.option(
    "--explain",
    metavar="STRATEGY",
    help="Explain the run of this strategy in ten lines: what happened when, what the alarm saw, and why it ended so.",
    shell_complete=options.complete_strategy,
)
@click.option(
    "--at",
    metavar="MOMENT",
    help='Begin the rollout at this moment of the recorded traffic, such as "2026-11-24 14:00", in UTC unless it names a zone.',
)
@click.option("--events", is_flag=True, help="Also write every invocation that started (events.csv).")
def run(task: options.Task, explain: str | None, at: str | None, events: bool) -> None:
    """Run a scenario once per strategy: a table, plots and CSV files."""
    from rollout_sim.planes.selection import PLANES
    from rollout_sim.run.simulate import choose_for_runs, simulate_each
    from rollout_sim.study.executor import SOME, sharing, worth_sharing
    from rollout_sim.study.replications import nominal_seconds
    from rollout_sim.views.files import RUN_FILES

    if explain is not None:
        options.refuse_given("chooses what to run, and --explain has chosen it", "strategies")
        options.refuse_given("prints a document, and --explain a run in words", "as_json")
    loaded = parsed = task.parse()
    task.check(RUN_FILES)
    strategies = task.strategies if explain is None else (explain,)
    if at is not None:
        loaded = loaded.at(options.moment(at))
    if task.engine is not None:
        loaded = replace(loaded, engine=task.engine)
    choice = choose_for_runs(loaded, strategies, events=events)
    jobs = task.jobs
    if jobs is None:  # invocations one by one take longer to hand over than to simulate
        count = len(strategies or loaded.strategies) + 1
        jobs = 1 if events else worth_sharing(nominal_seconds(loaded, choice, count), SOME)
    console.announce_compiling(loaded, choice.engine)
    results: list[RunResult] = []
    named: Mapping[str, Any] = {}
    interrupted = False
    try:
        compiles = not PLANES[choice.engine].ready(loaded)
        with sharing(jobs, compiles=compiles) as share, console.progress(loaded.name) as progress:
            runs = simulate_each(
                loaded, strategies, seed=task.seed, events=events, progress=progress, choice=choice, share=share
            )
            task.tell_warnings(parsed)  # this and the next while the others begin
            named = task.named_files()
            if jobs != 1:
                options.import_output()
            results.extend(runs)
    except KeyboardInterrupt:
        interrupted = True
    if results:
        task.deliver(results, named, lambda: _shown(results, explain))
    if interrupted:
        count = len(strategies or loaded.strategies) or 1
        console.tell_interrupted(f": {len(results)} of {count} strategies finished")
        raise SystemExit(interruption.status())


def _shown(results: list[RunResult], explain: str | None) -> Iterable[Any]:
    from rollout_sim.views.sentences import verdict
    from rollout_sim.views.story import story
    from rollout_sim.views.tables import record_table, run_table, version_table

    if explain is not None:
        return story(results[0])
    first = results[0]
    head = f"{first.scenario.name}  {first.scenario.description}"
    plane = f"seed {first.seed}, plane {first.engine}: {first.engine_reason}"
    notes = [f"note: {note}" for note in first.approximations]
    tables = [run_table(results), *([record_table(results)] if first.polled else [])]
    return (head, version_table(results), plane, *notes, *tables, *verdict(results))
