"""Files: what is written is there in whole or not at all, over regular files only; what is read is a regular file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import call

from rollout_sim.core import files
from rollout_sim.core.files import atomic_folder, check_writable, open_regular, read_regular, write_file
from rollout_sim.errors import ScenarioError


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, Path]:
    """What no writer replaces: a FIFO, a symbolic link, one that leads nowhere, a device, a folder."""
    kinds = {name: tmp_path / name for name in ("fifo", "link", "dangling", "folder")}
    os.mkfifo(kinds["fifo"])
    (tmp_path / "target").write_text("kept")
    kinds["link"].symlink_to(tmp_path / "target")
    kinds["dangling"].symlink_to(tmp_path / "nowhere")
    kinds["folder"].mkdir()
    return {**kinds, "device": Path("/dev/null")}


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "folder", "device"])
def test_only_regular_files_are_replaced(odd: dict[str, Path], kind: str) -> None:
    path = odd[kind]
    before = path.lstat().st_mode
    for attempt in (lambda: write_file(path, "text"), lambda: check_writable(path.parent, [path.name])):
        with pytest.raises(ScenarioError, match=f"{path}: cannot be written: is a .*; allowed a regular file"):
            attempt()
    assert path.lstat().st_mode == before
    if kind == "link":
        assert path.read_text() == "kept"


@pytest.mark.parametrize("kind", ["fifo", "link"])
@pytest.mark.slow
def test_no_command_replaces_anything_else(odd: dict[str, Path], kind: str, small: Path) -> None:
    path = odd[kind]
    before = path.lstat().st_mode
    shipped = Path(__file__).parents[2] / "scenarios" / "checkout.yaml"
    (small.parent / "out").mkdir()
    (small.parent / "out" / "summary.csv").symlink_to(path)
    for arguments in (
        ("report", small, "--out", path),
        ("export", "sam", shipped, "--strategy", "canary 10%", "--out", path),
        ("init", path, "--force", "--yes"),
        ("run", small, "--out", "out"),
    ):
        done = call(*arguments, cwd=small.parent)
        assert (done.returncode, done.stderr.count("cannot be written")) == (2, 1), (arguments, done.stderr)
    assert path.lstat().st_mode == before


def test_a_failure_leaves_what_was_there_and_names_no_temporary_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "before")

    def fail() -> None:
        with atomic_folder(tmp_path, ["a"]) as folder:
            (folder / "a").write_text("half")
            raise OSError(28, "No space left on device", str(folder / "a"))

    with pytest.raises(OSError, match="No space") as caught:
        fail()
    assert (caught.value.filename, caught.value.strerror) == (
        str(tmp_path / "a"),
        "cannot be written: No space left on device",
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "before")]


def test_asking_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", ["c"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"cannot be written: Not a directory: .*file/b"):
        check_writable(tmp_path / "file" / "b", [])


def test_what_the_dead_left_goes_away_and_what_the_living_write_stays(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, living = (tmp_path / f"{files._prefix(process)}x" for process in (child.pid, os.getppid()))
    for folder in (dead, living):
        folder.mkdir()
    check_writable(tmp_path, [])
    assert list(tmp_path.iterdir()) == [living]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "none"])
def test_only_regular_files_are_read(odd: dict[str, Path], kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: "):
        open_regular(odd.get(kind, tmp_path / "none"), 9)


def test_large_files_are_refused_with_the_figure(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1025)
    with pytest.raises(ValueError, match=r"large: the file is too large; allowed 0\.000976562 MiB"):
        read_regular(tmp_path / "large", 1024)
    assert len(read_regular(tmp_path / "large", 1025)) == 1025


@pytest.mark.slow
def test_an_unwritable_folder_is_found_before_anything_is_computed(small: Path) -> None:
    (small.parent / "file").write_text("")
    for command in ("run", "compare", "sweep", "recommend"):
        more = ("--percent", "5") if command == "sweep" else ()
        done = call(command, small.name, "--out", "file/out", *more, cwd=small.parent)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "file/out: cannot be written: Not a directory\n"
