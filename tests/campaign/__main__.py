"""`python -m tests.campaign --minutes 30`: everything for so long, its figures, and exit status 1 where something is wrong."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"fuzz": 0.4, "kill": 0.2, "twin": 0.4}
"""The parts, and their shares of the time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="how long, all parts together (30); 1 is the short form"
    )
    parser.add_argument("--seed", type=int, default=1, help="from which every input follows (1)")
    parser.add_argument("--only", choices=PARTS, help="one part, for all of the time")
    parser.add_argument(
        "--engine", choices=("simpy", "compiled"), default="simpy", help="the plane beside the twin and aggregate"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures as JSON, too")
    parser.add_argument(
        "--replay", metavar="KIND/NUMBER", help="only this input, with its traceback; a scenario for twin/NUMBER"
    )
    options = parser.parse_args()
    if options.replay:
        return replay(options.seed, options.replay)
    parts = [options.only] if options.only else list(PARTS)
    seconds = {part: 60 * options.minutes * PARTS[part] / sum(PARTS[each] for each in parts) for part in parts}
    figures: dict[str, Any] = {"seed": options.seed, "minutes": options.minutes, "commit": commit()}
    figures["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    problems: list[str] = []
    for part in parts:
        say(f"{part}: {seconds[part]:.0f} s")
        if part == "fuzz":
            from .fuzz import campaign as fuzz

            tallies = fuzz(options.seed, seconds[part])
            figures[part] = {kind: tally.document() for kind, tally in tallies.items()}
            problems += told_fuzz(figures[part])
        elif part == "kill":
            from .kill import campaign as kill

            kills = kill(options.seed, seconds[part])
            figures[part] = kills.document()
            problems += kills.problems
        else:
            from .agreement import campaign as twin
            from .agreement import told

            agreement = twin(options.seed, seconds[part], single=options.engine)
            figures[part] = agreement.document()
            problems += [told(check, options.seed) for check in agreement.shown()]
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    say("")
    say(table(figures))
    for problem in problems:
        say(f"- {problem}")
    say(f"{len(problems)} findings" if problems else "nothing was found")
    return 1 if problems else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def commit() -> str:
    """The short name of what is tried, with a plus where files differ from it."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=7", "--exclude=*"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def told_fuzz(tallies: dict[str, Any]) -> list[str]:
    """A line for each kind of failure, with the input that shows it."""
    return [
        f"{kind}/{finding['number']}, {finding['times']} times: {finding['what']}: {finding['detail']}"
        for kind, tally in tallies.items()
        for finding in tally["findings"]
    ]


def table(figures: dict[str, Any]) -> str:
    """The figures as they stand in docs/reliability.md."""
    lines = [
        f"Commit {figures['commit']}, {figures['date']}, seed {figures['seed']}, {figures['minutes']:g} minutes.",
        "",
    ]
    if "fuzz" in figures:
        lines += [
            "| Inputs | tried | refused | tracebacks | other findings | worst CPU time | worst memory |",
            "|---|---|---|---|---|---|---|",
        ]
        for kind, tally in figures["fuzz"].items():
            soft = sum(
                finding["what"].startswith(("message", "warning", "time", "memory")) for finding in tally["findings"]
            )
            lines.append(
                f"| {kind} | {tally['inputs']:,} | {tally['refused']:,} | {len(tally['findings']) - soft} | {soft} "
                f"| {tally['worst_cpu_s']:.2f} s | {tally['worst_memory_mib']:,} MiB |"
            )
        lines.append("")
    if "kill" in figures:
        kill = figures["kill"]
        sent = ", ".join(f"{count} {name}" for name, count in sorted(kill["kills"].items()))
        left = ", ".join(f"{count} after {name}" for name, count in sorted(kill["leftovers"].items())) or "none"
        lines += [
            "| Sweeps | kills | losses | unfinished folders left | slowest end after SIGINT |", "|---|---|---|---|---|",
            f"| {kill['sweeps']} | {sent} | {len(kill['losses'])} | {left} | {kill['worst_stop_s']:.2f} s |", "",
        ]  # fmt: skip
    if "twin" in figures:
        twin = figures["twin"]
        planes = ", ".join(f"{count} {plane}" for plane, count in sorted(twin["planes"].items()))
        first = twin["level"] / max(twin["tests"], 1)
        lines += [
            "| Random scenarios | on planes | runs of the twin | tests | smallest p-value | rejected below | rejected |",
            "|---|---|---|---|---|---|---|",
        ]
        figure = f"{twin['tests']:,} | {twin['smallest_p']:.2g} | {first:.2g} | {len(twin['rejected'])}"
        lines += [f"| {twin['scenarios']} | {planes} | {twin['twin_runs']:,} | {figure} |", ""]
    return "\n".join(lines)


def replay(seed: int, name: str) -> int:
    """One input by its kind and number: what it says, or its traceback."""
    import random
    import tempfile

    kind, _, number = name.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        if kind == "twin":
            from .agreement import case

            say(json.dumps(case(seed, int(number), Path(folder)), indent=1))
            return 0
        from .inputs import KINDS

        try:
            answer = KINDS[kind].attempt(random.Random(f"{seed}/{kind}/{number}"), Path(folder))
            say("refused" if answer.refused else "taken")
            for message in answer.messages:
                say(repr(message))
        finally:
            for path in sorted(Path(folder).iterdir()):
                if path.is_file():
                    say(f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='backslashreplace')[:4000]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
