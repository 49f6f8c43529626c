"""What is lost by `recommend`: how much more its winners cost than the best of them, over seeds, and than a wide search's.

The winners of the seeds are set beside one another on fresh replications of a seed of their own, as pairs. `--wide` also
searches about thirty times as many combinations once, which takes some minutes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend import shortlist
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.search import prepare
from rollout_sim.study.recommend.stages import WHOLE_PERIODS, SampleSizes

CHECKOUT = Path(__file__).parent.parent / "scenarios" / "checkout.yaml"
JUDGE = 1_000_000
"""The seed of the replications by which the winners are compared."""
CHOICES = 25
"""Alarms of each strategy in a wide search."""


def widened(sizes: SampleSizes) -> SampleSizes:
    """Of a wide search, by those of a usual one."""
    if sizes is WHOLE_PERIODS:
        return replace(sizes, promising=(1500, 1500), contenders=(60, 60), work=600.0)
    return replace(sizes, promising=(10, 16), contenders=(4, 6), work=600.0)


def winner(given: Scenario, seed: int, *, wide: bool = False) -> Candidate | None:
    """What is recommended with that seed, and what it took."""
    began = time.process_time()
    search = prepare(given, seed=seed)
    if wide:
        search.sizes = widened(search.sizes)
    found = search.recommend()
    label = "nothing" if found.winner is None else found.winner.label
    print(f"seed {seed}: {label}, decided: {found.decided}, {time.process_time() - began:.1f} CPU s", flush=True)
    return found.winner


def main() -> None:
    """Prints what each seed finds, and what that loses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", type=Path, default=CHECKOUT)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--wide", action="store_true", help="search far more combinations, too")
    options = parser.parse_args()
    given = Scenario.load(options.scenario)
    chosen = [winner(given, seed) for seed in range(1, options.seeds + 1)]
    if options.wide:
        with patch.object(shortlist, "CHOICES", CHOICES):
            chosen.append(winner(given, 1, wide=True))
    different = {candidate.label: candidate for candidate in chosen if candidate is not None}
    judge = prepare(given, seed=JUDGE)
    judged = judge.evaluations(list(different.values()), judge.sizes.confirming)
    best = min(evaluation.objective.mean for evaluation in judged)
    for evaluation in judged:
        times = sum(candidate is not None and candidate.label == evaluation.candidate.label for candidate in chosen)
        loss = evaluation.objective.mean / best - 1
        print(
            f"{times} of {len(chosen)}: {evaluation.candidate.label}, {evaluation.objective.mean:.3g}, loss {loss:.1%}"
        )


if __name__ == "__main__":
    main()
