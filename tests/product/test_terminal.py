"""Terminals and pipes: widths, colours, what is said where no file is given, completion in a real shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import yaml
from builders import data
from command import call, shell
from terminal import COLOUR, at_terminal


def test_a_pipe_gets_no_escape_codes_and_whole_lines_or_as_wide_as_columns_says(small) -> None:
    for columns in (None, 40):
        env = {} if columns is None else {"COLUMNS": str(columns), "TERM": "xterm-256color"}
        done = call("run", small, cwd=small.parent, env=env)
        assert "\x1b" not in done.stdout + done.stderr
        assert "…" not in done.stdout
        if columns is None:
            (heading,) = [line for line in done.stdout.splitlines() if "outcome" in line]
            assert heading.split()[-1] == "verdict"
        else:
            assert max(map(len, done.stdout.splitlines())) <= columns


@pytest.mark.parametrize("columns", [60, 110])
def test_a_terminals_width_is_kept_to(small, columns) -> None:
    session = at_terminal("run", small, cwd=small.parent, columns=columns)
    assert session.status == 0, session.raw
    tables = [line for line in session.lines if "─" in line or "canary" in line]
    assert tables
    assert max(len(line.rstrip()) for line in tables) <= columns
    assert "…" not in session.raw


def test_columns_says_the_width_instead_of_the_terminal(small) -> None:
    session = at_terminal("run", small, cwd=small.parent, columns=200, env={"COLUMNS": "60"})
    rules = [len(line.strip()) for line in session.lines if "─" in line]
    assert 0 < max(rules) <= 60
    assert (
        max(len(line.strip()) for line in at_terminal("run", small, cwd=small.parent, columns=200).lines if "─" in line)
        > 60
    )


def test_a_slow_commands_bar_honours_no_color_takes_any_name_and_leaves_pipes_alone(tmp_path) -> None:
    script = (
        "import time\nfrom rollout_sim.cli import console\nconsole.PATIENCE = 0\n"
        "with console.progress('a [/b]') as report:\n    report(0.5)\n    time.sleep(0.3)\n"
    )
    command = [sys.executable, "-c", script]
    silent = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert silent.stdout == silent.stderr == ""
    with_colour = at_terminal(cwd=tmp_path, command=command)
    assert COLOUR.search(with_colour.raw), with_colour.raw
    without = at_terminal(cwd=tmp_path, command=command, env={"NO_COLOR": "1"})
    assert "50%" in without.raw
    assert "a [/b]" in without.raw
    assert not COLOUR.search(without.raw)


@pytest.mark.parametrize("command", ["run", "compare", "sweep", "recommend"])
def test_without_a_file_a_command_says_what_to_do(command, small) -> None:
    (small.parent / "scenarios").mkdir()
    shutil.copy(small, small.parent / "scenarios" / "of mine.yaml")
    (small.parent / "other.yaml").write_text("services: {}\n")
    done = call(command, cwd=small.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`rollout-sim init` writes one" in done.stderr
    assert f"  rollout-sim {command} small.yaml\n  rollout-sim {command} 'scenarios/of mine.yaml'\n" in done.stderr
    assert "other.yaml" not in done.stderr


def test_without_a_file_and_without_scenarios_around_it_says_how_to_get_one(tmp_path) -> None:
    done = call("run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(
        "Error: Missing argument 'SCENARIO'. Pass a scenario file; `rollout-sim init` writes one to start from\n"
    )


@pytest.mark.parametrize(
    ("shell", "needle"),
    [("bash", "complete -o nosort -F"), ("zsh", "#compdef rollout-sim"), ("fish", "complete --no-files")],
)
def test_each_shell_gets_its_script(shell, needle, tmp_path) -> None:
    done = call("completion", shell, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert needle in done.stdout
    assert "_ROLLOUT_SIM_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rollout-sim", "rec"], ["recommend"]),
        (["rollout-sim", "run", "scenarios/"], ["'scenarios/of mine.yaml'"]),
        (["rollout-sim", "run", "sm"], ["small.yaml"]),
        (["rollout-sim", "run", "small.yaml", "--strategy", "can"], ["'canary 10%'"]),
        (["rollout-sim", "run", "small.yaml", "--eng"], ["--engine"]),
    ],
)
def test_bash_completes(words, expected, tmp_path) -> None:
    scenario = data()
    scenario["strategies"]["canary 10%"] = scenario["strategies"].pop("canary")
    (tmp_path / "scenarios").mkdir()
    for path in (tmp_path / "small.yaml", tmp_path / "scenarios" / "of mine.yaml"):
        path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    quoted = " ".join(f'"{word}"' for word in words)
    script = (
        'eval "$(rollout-sim completion bash)"\n'
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_rollout_sim_completion rollout-sim\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = shell(script, tmp_path, tmp_path / "bin")
    assert done.stdout.split("\n")[:-1] == expected, done.stderr
