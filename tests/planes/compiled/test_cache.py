"""Where compiled code is kept: what lies there is run, so nobody else may write there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout_sim.planes.compiled import cache


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The home's cache and the shared temporary directory."""
    home, shared = tmp_path / "home", tmp_path / "shared"
    shared.mkdir()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(shared))
    return home, shared


def test_code_is_kept_at_home_for_the_user_alone(places: tuple[Path, Path]) -> None:
    folder = cache.cache_folder((cache,))
    assert folder.parent == places[0] / "rollout_sim"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]


@pytest.mark.parametrize("planted", ["writable", "link", "somebody else's"])
def test_what_somebody_else_may_have_planted_is_not_used(planted: str, places: tuple[Path, Path]) -> None:
    home, shared = places
    home.write_text("no folder")
    kept = shared / f"rollout_sim-{os.getuid()}"
    assert cache.cache_folder((cache,)).parent == kept
    (kept / cache.cache_folder((cache,)).name).rmdir()
    if planted == "writable":
        kept.chmod(0o777)
    elif planted == "link":
        kept.rename(shared / "elsewhere")
        kept.symlink_to(shared / "elsewhere")
    elif os.getuid() == 0:
        os.chown(kept, 12345, 12345)
    else:
        pytest.skip("only root gives folders away")
    assert cache.cache_folder((cache,)) is None


def test_a_user_without_an_account_and_without_home(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(cache.Path, "home", nobody)
    assert cache.cache_folder((cache,)).parent.parent == places[1]


def test_that_nothing_is_compiled_is_known_without_numba(places: tuple[Path, Path]) -> None:
    script = (
        "import sys; from rollout_sim import Scenario; from rollout_sim.planes.compiled import SPEC;"
        "print(SPEC.ready(Scenario.load('scenarios/checkout.yaml')), 'numba' in sys.modules)"
    )
    bare = os.environ | {"TMPDIR": str(places[1])}
    done = subprocess.run([sys.executable, "-c", script], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert cache.is_empty()
    (cache.cache_folder((cache,)) / "kernel.nbc").touch()
    assert not cache.is_empty()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root becomes somebody else")
@pytest.mark.slow
def test_the_kernel_is_found_by_a_user_that_there_is_not() -> None:
    module = "rollout_sim.planes.compiled.cache"
    script = f"import os; os.setuid(54321); from importlib import import_module as i; m = i({module!r}); print(m.cache_folder((m,)))"
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=bare, cwd="/tmp", capture_output=True, text=True, check=False
    )
    if "Permission" in done.stderr or "No module" in done.stderr:
        pytest.skip("the package is not readable for others")
    assert "rollout_sim-54321" in done.stdout, done.stderr
