"""Fuzzing: inputs by kind and number, each bounded in time and memory, in processes that may die.

What counts as a finding: an exception that is no ScenarioError, a broken law, a message that is too long or holds control
characters, a warning, more CPU seconds or memory than allowed, a process that hangs or dies.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rollout_sim
from rollout_sim.scenario.scenario import Scenario

from .inputs import KINDS, SHIPPED, Answer

PACKAGE = Path(rollout_sim.__file__).parent
LONGEST = 2000
"""Characters of one message."""
MEMORY = 1500
"""MiB that a process may grow to; numpy, scipy and cfn-lint take some 300 of them."""
ADDRESS_SPACE = 6 << 30
PATIENCE = 60.0
"""Wall-clock seconds beyond which an input that takes no CPU time counts as hanging."""


class TimeIsUpError(BaseException):
    """Raised in the middle of an input; no handler for Exception takes it."""


@dataclass(slots=True)
class Finding:
    """A kind of failure: how it shows, how often, and the first input that shows it."""

    kind: str
    what: str
    detail: str
    number: int
    times: int = 1


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one kind."""

    inputs: int = 0
    refused: int = 0
    worst_seconds: float = 0.0
    worst_number: int = -1
    memory: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        known = self.findings.setdefault(finding.what, finding)
        if known is not finding:
            known.times += 1

    def document(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "refused": self.refused,
            "worst_cpu_s": round(self.worst_seconds, 3),
            "worst_input": self.worst_number,
            "worst_memory_mib": round(self.memory),
            "findings": [asdict(finding) for finding in self.findings.values()],
        }


def attempt(seed: int, kind: str, number: int, tally: Tally) -> None:
    """Tries one input and adds what came of it."""
    rng = random.Random(f"{seed}/{kind}/{number}")
    limit = KINDS[kind].limit
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    previous = signal.signal(signal.SIGPROF, _time_is_up)
    began = time.process_time()
    problem: Finding | None = None
    answer = Answer()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                answer = KINDS[kind].attempt(rng, folder)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        for warning in caught:
            if issubclass(warning.category, RuntimeWarning | UserWarning):
                where = Path(warning.filename).name
                tally.add(
                    Finding(kind, f"warning: {warning.category.__name__} in {where}", str(warning.message), number)
                )
    except TimeIsUpError:
        problem = Finding(kind, f"time: {_place(sys.exc_info()[2])}", f"more than {limit:g} CPU seconds", number)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is, it is what we look for
        if not isinstance(error, AssertionError) and not _ours(error.__traceback__):
            raise  # a mistake of the campaign
        what = f"{type(error).__name__} in {_place(error.__traceback__)}"
        problem = Finding(kind, what, f"{error}"[:300], number)
    finally:
        signal.signal(signal.SIGPROF, previous)
        shutil.rmtree(folder, ignore_errors=True)
    took = time.process_time() - began
    tally.inputs += 1
    tally.refused += answer.refused
    if took > tally.worst_seconds:
        tally.worst_seconds, tally.worst_number = took, number
    if problem is not None:
        tally.add(problem)
    for message in answer.messages:
        if (fault := faulty(message)) is not None:
            tally.add(Finding(kind, f"message: {fault}", repr(message)[:300], number))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if memory > MEMORY >= tally.memory:
        tally.add(Finding(kind, "memory", f"the process has grown to {memory:.0f} MiB", number))
    tally.memory = max(tally.memory, memory)


def faulty(message: str) -> str | None:
    """What is wrong with a message that a user reads, if anything is."""
    if len(message) > LONGEST:
        return f"longer than {LONGEST} characters"
    for character in message:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t":
            return "holds control characters"
    return None


def _time_is_up(_number: int, _frame: Any) -> None:
    raise TimeIsUpError


def _ours(trace: Any) -> list[traceback.FrameSummary]:
    """The frames of a traceback that lie in the package."""
    return [frame for frame in traceback.extract_tb(trace) if Path(frame.filename).is_relative_to(PACKAGE)]


def _place(trace: Any) -> str:
    """The innermost place of the package in a traceback, or the innermost one at all."""
    frame = (_ours(trace) or list(traceback.extract_tb(trace)))[-1]
    return f"{Path(frame.filename).name}, {frame.name}"


def shift(seed: int, kind: str, first: int, seconds: float) -> tuple[int, Tally]:
    """Inputs from `first` on in a process of their own for so long; the number to go on from, and the tally."""
    context = multiprocessing.get_context("fork")
    current = context.Value("q", first)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(seed, kind, first, seconds, current, theirs))
    process.start()
    theirs.close()
    tally = Tally()
    end = time.monotonic() + seconds + PATIENCE + 4 * KINDS[kind].limit
    try:
        while time.monotonic() < end:
            if ours.poll(1.0):
                tally = ours.recv()  # each is the whole tally up to that input
            elif not process.is_alive():
                break
    except EOFError:
        pass
    process.join(1.0)
    number = int(current.value)
    if process.is_alive():
        process.kill()
        process.join()
        tally.add(Finding(kind, "hang", f"no answer within {PATIENCE:g} s after its time", number))
        tally.inputs += 1
    elif process.exitcode:
        tally.add(Finding(kind, f"death of the process ({process.exitcode})", "", number))
        tally.inputs += 1
    return number + 1, tally


def _work(seed: int, kind: str, first: int, seconds: float, current: Any, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for path in SHIPPED[:2]:  # what is loaded and compiled once is no input's fault
        Scenario.load(path)
    tally, number = Tally(), first
    end, told = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        current.value = number
        attempt(seed, kind, number, tally)
        number += 1
        if time.monotonic() - told > 2:
            told = time.monotonic()
            pipe.send(tally)
            gc.collect()
    current.value = number - 1
    pipe.send(tally)
    pipe.close()


def campaign(seed: int, seconds: float, kinds: Iterable[str] = KINDS) -> dict[str, Tally]:
    """All kinds in turns, each for its share of the time."""
    kinds = list(kinds)
    tallies = {kind: Tally() for kind in kinds}
    following = dict.fromkeys(kinds, 0)
    shares = sum(KINDS[kind].share for kind in kinds)
    rounds = max(1, round(seconds / 300))
    for _ in range(rounds):
        for kind in kinds:
            part = seconds * KINDS[kind].share / shares / rounds
            following[kind], more = shift(seed, kind, following[kind], part)
            _merge(tallies[kind], more)
    return tallies


def _merge(tally: Tally, more: Tally) -> None:
    tally.inputs += more.inputs
    tally.refused += more.refused
    tally.memory = max(tally.memory, more.memory)
    if more.worst_seconds > tally.worst_seconds:
        tally.worst_seconds, tally.worst_number = more.worst_seconds, more.worst_number
    for finding in more.findings.values():
        known = tally.findings.setdefault(finding.what, finding)
        if known is not finding:
            known.times += finding.times
