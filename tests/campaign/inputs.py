"""The kinds of inputs that are tried: how the one with a number is made, and what may come of it.

Every input follows from the campaign's seed, its kind and its number, so that each can be made again.
"""

from __future__ import annotations

import copy
import io
import json
import random
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import yaml

from rollout_sim.cli.main import app
from rollout_sim.core.yaml_io import read_yaml
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats import cloudformation, codedeploy, kubernetes, openslo
from rollout_sim.formats.manifests import from_manifests
from rollout_sim.formats.rollouts import subjects_of
from rollout_sim.formats.templates import sam as reader
from rollout_sim.formats.templates.sam import from_sam, stack_of
from rollout_sim.formats.templates.stack import Stack
from rollout_sim.formats.templates.template import read_template
from rollout_sim.formats.templates.terraform import read_terraform
from rollout_sim.planes.selection import check_size, choose_engine
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.check.checking import check
from rollout_sim.study.grid import Axis, chosen_axes, document_at
from rollout_sim.views.findings import FORMATS

from . import mutate
from .documents import ARGO, FLAGGER, OPENSLO, SAM, SAM_PARTS, TERRAFORM
from .laws import check_comparison, check_runs
from .scenarios import scenario as random_scenario

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = tuple(sorted((ROOT / "scenarios").glob("*.yaml")))
BAD = tuple(sorted((ROOT / "tests" / "bad_scenarios").glob("*.yaml")))
TRACES = ROOT / "scenarios" / "traces"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an input came to: whether it was refused, and all that a user would read."""

    refused: bool = False
    messages: tuple[str, ...] = ()


def refused(problems: Iterable[str]) -> Answer:
    return Answer(refused=True, messages=tuple(problems))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of input: what makes and tries one in a folder, and the CPU seconds that it may take."""

    attempt: Callable[[random.Random, Path], Answer]
    limit: float
    share: float
    """Of the time that fuzzing gets."""


@cache
def shipped_data() -> list[Any]:
    return [read_yaml(path).data for path in SHIPPED]


@cache
def shipped_texts() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in (*SHIPPED, *BAD)]


@cache
def schema() -> dict[str, Any]:
    return json_schema()


def written(rng: random.Random, data: Any) -> str:
    """Plain data as YAML or as JSON, which is YAML, too."""
    if rng.random() < 0.5:
        with suppress(yaml.YAMLError, ValueError):
            return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))
    return json.dumps(data, ensure_ascii=rng.random() < 0.5)


def save(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def load(path: Path) -> Answer:
    """Reads a scenario; what is read must be written, read back to the same, and exported or refused in words."""
    try:
        loaded = Scenario.load(path)
    except ScenarioError as error:
        return refused(error.problems)
    again = Scenario.from_dict(loaded.dump(), path=path)
    assert again == loaded, "what `dump` writes is read back to another scenario"
    messages: list[str] = []
    exports: list[Callable[[], Any]] = [lambda: openslo.export(loaded)]
    if loaded.rollout is not None:
        for form in (
            cloudformation.export_sam, cloudformation.export_cloudformation, codedeploy.export, kubernetes.export_argo,
            kubernetes.export_flagger,
        ):  # fmt: skip
            exports += [lambda form=form, name=name: form(loaded, name) for name in list(loaded.strategies)[:2]]
    for export in exports:
        try:
            export()
        except ScenarioError as error:
            messages += error.problems
    return Answer(messages=tuple(messages))


def beside(folder: Path) -> None:
    """The traces that the shipped scenarios name."""
    if not (folder / "traces").exists():
        (folder / "traces").symlink_to(TRACES)


def scenario(rng: random.Random, folder: Path) -> Answer:
    """A valid scenario, changed in its text or in its structure."""
    beside(folder)
    path = folder / "scenario.yaml"
    if rng.random() < 0.4:
        text = rng.choice(shipped_texts())
        return load(save(path, mutate.text(rng, text, shipped_texts())))
    data = rng.choice(shipped_data()) if rng.random() < 0.6 else random_scenario(rng, folder)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
        data = mutate.structure(rng, data, shipped_data())
    return load(save(path, written(rng, data)))


def from_schema(rng: random.Random, folder: Path) -> Answer:
    """A scenario made from the JSON Schema alone."""
    data = mutate.from_schema(rng, schema(), schema()["$defs"])
    if isinstance(data, dict):  # with parts that hold together, so that the others are looked at
        parts = ["name", "horizon", "function", "traffic", "alarms", "slos", "strategies", "rollout"]
        whole = shipped_data()[0]
        data |= {key: copy.deepcopy(whole[key]) for key in rng.sample(parts, rng.choice([4, 6, 7, 8]))}
    return load(save(folder / "scenario.yaml", written(rng, data)))


@cache
def templates() -> tuple[list[str], list[Any]]:
    """Templates as text and as plain data: one of our own, and what the package exports."""
    texts = [SAM]
    for path in SHIPPED:
        loaded = Scenario.load(path)
        for name in list(loaded.strategies)[:1]:
            with suppress(ScenarioError):
                texts.append(cloudformation.export_sam(loaded, name).text)
    return texts, [yaml.safe_load(SAM)]


def sam(rng: random.Random, folder: Path) -> Answer:
    """A SAM template, changed; what is imported must be a scenario."""
    texts, trees = templates()
    if rng.random() < 0.4:
        text = mutate.text(rng, rng.choice(texts), texts)
    else:
        tree = trees[0]
        for _ in range(rng.choice([1, 1, 2, 4])):
            tree = mutate.structure(rng, tree, [*trees, SAM_PARTS])
        text = written(rng, tree)
    path = save(folder / "template.yaml", text)
    function = rng.choice([None, None, None, "Orders", "Check", "é", ""])
    parameters = {"Stage": str(mutate.scalar(rng, "live"))} if rng.random() < 0.2 else {}
    try:
        scenario_text, remarks = from_sam(path, function, parameters)
    except ScenarioError as error:
        return refused(error.problems)
    imported(folder, scenario_text)
    return Answer(messages=tuple(remarks))


@cache
def plain_templates() -> tuple[list[str], list[Any]]:
    """CloudFormation templates as text and as plain data, as CDK and SAM's transform write them: what the package exports."""
    texts = []
    for path in SHIPPED:
        loaded = Scenario.load(path)
        for name in list(loaded.strategies)[:2]:
            with suppress(ScenarioError):
                texts.append(cloudformation.export_cloudformation(loaded, name).text)
    with tempfile.TemporaryDirectory() as folder:
        trees = [read_template(save(Path(folder) / "template.yaml", text)).data for text in texts]
    return texts, trees


def of_stack(rng: random.Random, folder: Path, stack: Callable[[], Stack]) -> Answer:
    """One function of a stack, or each of them: what is imported must be a scenario."""
    messages: list[str] = []
    try:
        if rng.random() < 0.5:
            text, messages = reader.of_stack(stack(), rng.choice([None, None, "Orders", "orders", "é"]))
            imported(folder, text)
        else:
            results = reader.every(stack())
            messages = [message for result in results for message in result.problems]
            for result in results:
                if result.text is not None:
                    imported(folder, result.text)
            if all(result.text is None for result in results):
                return refused(messages)
    except ScenarioError as error:
        return refused(error.problems)
    return Answer(messages=tuple(messages))


def changed(rng: random.Random, texts: list[str], trees: list[Any], parts: list[Any]) -> str:
    """One of the documents, changed in its text or in its structure."""
    if texts and rng.random() < 0.3:
        return mutate.text(rng, rng.choice(texts), texts)
    tree = rng.choice(trees)
    for _ in range(rng.choice([1, 1, 2, 4])):
        tree = mutate.structure(rng, tree, parts)
    return written(rng, tree)


def plain_cloudformation(rng: random.Random, folder: Path) -> Answer:
    """A CloudFormation template without SAM, changed."""
    texts, trees = plain_templates()
    path = save(folder / "template.yaml", changed(rng, texts, trees, [*trees, SAM_PARTS]))
    return of_stack(rng, folder, lambda: stack_of(path, {}))


def terraform(rng: random.Random, folder: Path) -> Answer:
    """What `terraform show -json` prints of a plan or of the state, changed."""
    resources = TERRAFORM["planned_values"]["root_module"]["resources"]
    state = {"format_version": "1.0", "values": {"root_module": {"resources": resources}}}
    tree = rng.choice([TERRAFORM, state])
    for _ in range(rng.choice([1, 1, 2, 4])):
        tree = mutate.structure(rng, tree, [TERRAFORM])
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:
        text = mutate.text(rng, text, [text])
    path = save(folder / "show.json", text)
    return of_stack(rng, folder, lambda: read_terraform(path))


@cache
def manifest_texts() -> list[str]:
    """Manifests of Argo Rollouts and of Flagger: some of our own, and what the package exports."""
    texts = [ARGO, ARGO, FLAGGER, FLAGGER]
    for path in SHIPPED:
        loaded = Scenario.load(path)
        for form in (kubernetes.export_argo, kubernetes.export_flagger):
            for name in list(loaded.strategies)[:2]:
                with suppress(ScenarioError):
                    texts.append(form(loaded, name).text)
    return texts


def manifests(rng: random.Random, folder: Path) -> Answer:
    """Manifests, changed, in one file or in two."""
    texts = manifest_texts()
    text = rng.choice(texts)
    if rng.random() < 0.3:
        parts = [mutate.text(rng, text, texts)]
    else:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
        for _ in range(rng.choice([1, 1, 2, 4])):
            k = rng.randrange(len(documents))
            documents[k] = mutate.structure(rng, documents[k], documents)
        parts = [written(rng, document) for document in documents]
    apart = rng.randrange(1, len(parts)) if len(parts) > 1 and rng.random() < 0.3 else len(parts)
    first = save(folder / "rollout.yaml", "\n---\n".join(parts[:apart]))
    others = [save(folder / "others.yaml", "\n---\n".join(parts[apart:]))] if apart < len(parts) else []
    try:
        text, remarks = from_manifests(first, rng.choice([None, None, None, "shop", "podinfo", "é"]), others)
    except ScenarioError as error:
        return refused(error.problems)
    imported(folder, text)
    return Answer(messages=tuple(remarks))


CHECKED = 50_000.0
"""Invocations of a run up to which a rollout is checked that no counts of whole minutes stand for."""


def checked(rng: random.Random, folder: Path) -> Answer:
    """A scenario, a template or a plan, changed and checked: each finding is in words, and in every format."""
    choice = rng.random()
    if choice < 0.4:
        tree = yaml.safe_load(TINY)
        for _ in range(rng.choice([1, 1, 2])):
            tree = mutate.structure(rng, tree, [tree])
        path = save(folder / "scenario.yaml", written(rng, tree))
    elif choice < 0.7:
        _, trees = templates() if choice < 0.55 else plain_templates()
        path = save(folder / "template.yaml", changed(rng, [], trees, [*trees, SAM_PARTS]))
    else:
        path = save(folder / "plan.json", json.dumps(mutate.structure(rng, TERRAFORM, [TERRAFORM])))
    try:
        subjects = [subject for subject in subjects_of(path, {}) if small(subject.scenario)][:1]
        report = check(subjects)
    except ScenarioError as error:
        return refused(error.problems)
    assert all(finding.place.line >= 1 for finding in report.findings), "a finding is nowhere"
    assert {"text", "json", "sarif", "junit"} <= set(FORMATS)
    for name, form in FORMATS.items():
        text = form(report)
        if name in ("json", "sarif"):
            json.loads(text)
        elif name == "junit":
            ET.fromstring(text)
    return Answer(messages=tuple(finding.message for finding in report.findings))


def small(given: Scenario) -> bool:
    """Whether a rollout is checked within seconds."""
    plane = choose_engine(given)
    return given.horizon <= 7200 and (plane.engine == "aggregate" or check_size(given) <= CHECKED)


def imported(folder: Path, text: str) -> None:
    """What an import prints must be a scenario that is read without a complaint."""
    path = save(folder / "imported.yaml", text)
    Scenario.load(path)


@cache
def openslo_texts() -> list[str]:
    texts = [OPENSLO, OPENSLO]
    for path in SHIPPED:
        with suppress(ScenarioError):
            texts.append(openslo.export(Scenario.load(path)).text)
    return texts


def slos(rng: random.Random, folder: Path) -> Answer:
    """OpenSLO documents, changed; what is imported must fit into a scenario."""
    texts = openslo_texts()
    text = rng.choice(texts)
    if rng.random() < 0.4:
        text = mutate.text(rng, text, texts)
    else:
        documents = list(yaml.safe_load_all(text))
        for _ in range(rng.choice([1, 1, 2, 4])):
            k = rng.randrange(len(documents))
            documents[k] = mutate.structure(rng, documents[k], documents)
        text = "\n---\n".join(written(rng, document) for document in documents)
    try:
        entries, remarks = openslo.read(save(folder / "slos.yaml", text))
    except ScenarioError as error:
        return refused(error.problems)
    data = copy.deepcopy(shipped_data()[0])
    data["slos"] = [{**entry, "name": f"{k}", "alias": "prod"} for k, entry in enumerate(entries)]
    data["function"]["aliases"] = {"prod": data["function"]["aliases"].get("prod", "1")}
    for name in ("rollout", "strategies", "alarms", "risk", "goal", "on_call", "promotions"):
        data.pop(name, None)
    data["traffic"] = [{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}]
    Scenario.from_dict(data, path=folder / "with-slos.yaml")
    return Answer(messages=tuple(remarks))


TRACE_TEXTS = {
    "counts": "minute,count\n0,3\n1,0\n2,17\n3,4\n",
    "timestamps": "time\n2024-05-01T10:00:00\n2024-05-01T10:00:01.5Z\n2024-05-01T10:03:00+02:00\n",
    "azure2019": "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,http,3,0,5\no,a,g,timer,1,1,1\n",
    "azure2021": "app,func,end_timestamp,duration\na,f,1.5,0.2\na,f,77.25,0.1\na,g,300,1\n",
    "empirical": "ms\n12\n80.5\n300\n",
}
CELLS = (
    "", "0", "-1", "1.5", "1e400", "nan", "inf", "9" * 40, "0x1f", "é", '"', "a,b", "\x00", "2024-13-45", "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59", "0001-01-01", "2024-05-01T10:00:00+99:00", "12:00", "100000001", "-0.0", "1_0", "٣", "2024-W01-1",
)  # fmt: skip


def trace(rng: random.Random, folder: Path) -> Answer:
    """A trace or file of samples, changed."""
    layout = rng.choice(list(TRACE_TEXTS))
    text = TRACE_TEXTS[layout]
    if rng.random() < 0.5:
        rows = [line.split(",") for line in text.splitlines()]
        for _ in range(rng.choice([1, 1, 2, 5])):
            row = rng.choice(rows)
            row[rng.randrange(len(row))] = rng.choice(CELLS)
        if rng.random() < 0.2:
            rows = [*rows, *rows[1:] * rng.choice([1, 30, 3000])]
        text = "\n".join(",".join(row) for row in rows) + rng.choice(["", "\n", "\r\n\r\n"])
    else:
        text = mutate.text(rng, text, list(TRACE_TEXTS.values()))
    name = rng.choice(["data.csv"] * 30 + ["missing.csv", ".", "", "a\x00b"])
    if name == "data.csv":
        save(folder / name, text)
    data = copy.deepcopy(shipped_data()[0])
    data.pop("users", None)
    if layout == "empirical":
        shape: dict[str, Any] = {"file": name}
        if rng.random() < 0.4:
            shape |= {"column": rng.choice(["ms", "x", ""]), "unit": rng.choice(["ms", "s", "MB", "é"])}
        for version in data["function"]["versions"].values():
            version["duration"] = {"empirical": shape}
    else:
        source: dict[str, Any] = {
            "file": name,
            "layout": layout if rng.random() < 0.9 else rng.choice(list(TRACE_TEXTS)),
        }
        extra = {
            "function": rng.choice(["f", "a/f", "é"]), "column": rng.choice(["count", "time", "x"]),
            "speed": rng.choice(["2x", "0.1x", "0x", "1e6x", "1e-9x"]), "scale": rng.choice(["0.5x", "0x", "1e6x"]), "repeat": True,
        }  # fmt: skip
        source |= {key: value for key, value in extra.items() if rng.random() < 0.15}
        data["traffic"][0]["arrivals"] = {"trace": source}
    path = save(folder / "scenario.yaml", json.dumps(data))
    try:
        loaded = Scenario.load(path)
        check_size(loaded)
    except ScenarioError as error:
        return refused(error.problems)
    return Answer()


AXES = (
    "horizon=30 min,60 min", "alarms.new-version-errors.lag=0 s,2 min", "function.versions.2.faults[0].errors=1%,5%",
    "function.versions.2.faults.0.onset=0 s,1 min", "strategies.canary 10%.percent=5,10", "traffic[0].arrivals.poisson=1/s,10/s",
    "slos[0].objective=99%,99.9%", "seed=1,2,3", "rollout.start=0 s,1 min", "function.versions.2.faults=5", "name=a,b",
)  # fmt: skip


def axes_of_a_sweep(rng: random.Random, folder: Path) -> Answer:
    """The texts of a sweep's axes, changed."""
    beside(folder)
    document = read_yaml(rng.choice(SHIPPED))
    words: dict[str, Any] = {}
    for name, text in (("percent", "1,2,5%,10"), ("interval", "5m,10 min"), ("severity", "0%,1%,5%")):
        if rng.random() < 0.35:
            words[name] = mutate.text(rng, text, [text, *AXES]) if rng.random() < 0.7 else str(mutate.scalar(rng, "5"))
    texts = []
    for _ in range(rng.choice([0, 1, 1, 2])):
        if rng.random() < 0.5:
            way = ".".join(str(part) for part in rng.choice(mutate.places(document.data)))
            texts.append(f"{way}={mutate.scalar(rng, '5 s')},{mutate.scalar(rng, '5%')}")
        else:
            texts.append(mutate.text(rng, rng.choice(AXES), list(AXES)))
    strategies = [rng.choice(["canary 10%", "instant", "é", ""])] if rng.random() < 0.1 else []
    try:
        document, axes = chosen_axes(document, **words, axes=texts, strategies=strategies)
        for k in range(2):
            fields = [axis for axis in axes if isinstance(axis, Axis) and axis.values]
            values = [axis.values[min(k, len(axis.values) - 1)] for axis in fields]
            Scenario.parse(document_at(document, fields, values))
    except ScenarioError as error:
        return refused(error.problems)
    return Answer()


TINY = """
name: tiny
seed: 3
horizon: 6 min
function:
  name: f
  versions: {1: {duration: 50 ms, error_rate: 1%}, 2: {like: 1, faults: [{errors: 30%}]}}
  aliases: {prod: 1}
traffic: [{source: http, alias: prod, arrivals: {poisson: 12/min}}]
slos: [{name: s, objective: 99%}]
alarms: {e: {metric: errors, of: new_version, threshold: "> 0", missing: not_breaching}}
rollout: {alias: prod, to: 2, start: 1 min, alarms: [e]}
strategies:
  canary: {type: canary, percent: 20, interval: 2 min}
  instant: {type: all_at_once, bake: 2 min}
"""
WORDS = (
    "0", "1", "2", "7", "-1", "-2", "1.5", "1e3", "1e9", "9" * 20, "9" * 70, "nan", "inf", "é", "", " ", "0x10", "canary", "instant",
    "no rollout", "auto", "simpy", "aggregate", "png", "svg", "\x1b[31m", "a\nb", "--", "-", "=", "5%", "10 min", "1,2", "1,2,2,",
)  # fmt: skip
OPTIONS = {
    "run": {"--seed": "5", "--engine": "simpy", "--strategy": "canary"},
    "compare": {"--seed": "5", "--engine": "auto", "--strategy": "canary", "--replications": "4", "--jobs": "1"},
    "sweep": {
        "--seed": "5", "--engine": "auto", "--replications": "3", "--jobs": "1", "--percent": "5,20", "--interval": "1 min,2 min",
        "--severity": "0%,5%", "--axis": "horizon=5 min,6 min",
    },
    "validate": {}, "export": {"--strategy": "canary"},
    "init": {"--rate": "5/s", "--error-rate": "0.1%", "--objective": "99.9%", "--window": "30d", "--duration": "80ms", "--name": "f"},
}  # fmt: skip


def command(rng: random.Random, folder: Path) -> Answer:
    """A command line with numbers and names out of line; no more than a few processes are ever asked for."""
    path = save(folder / "tiny.yaml", TINY)
    name = rng.choice(["run", "compare", "compare", "sweep", "sweep", "validate", "export", "init"])
    line = [name]
    if name == "export":
        line.append(rng.choice(["sam", "openslo", "argo", "é"]))
    line.append(str(folder / "new.yaml") if name == "init" else str(path))
    options = OPTIONS[name]
    for option in rng.sample(list(options), rng.randint(0, len(options))):
        value = options[option]
        if rng.random() < 0.5:
            value = rng.choice(WORDS) if rng.random() < 0.6 else mutate.text(rng, value, list(WORDS[:12]))[:200]
        if option == "--jobs" and value.strip().isdigit() and 1 < int(value) < 10**6:
            value = "1"
        line += [option, value]
    if name == "init":
        line += ["--yes", "--force"]
    elif name in ("run", "compare", "sweep"):
        line += ["--out", str(folder / "out")]
        if name == "compare" and "--replications" not in line:
            line += ["--replications", "3"]
        if name == "sweep" and "--replications" not in line:
            line += ["--replications", "3"]
    if rng.random() < 0.2:
        line = mutated_line(rng, line)
    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            app.main(args=line, prog_name="rollout-sim", standalone_mode=False)
    except ScenarioError as error:
        return refused(error.problems)
    except click.ClickException as error:
        return refused(map(legible, error.format_message().split("\n")))  # as `main` shows it
    except (click.Abort, SystemExit, click.exceptions.Exit):
        return Answer()
    except OSError as error:
        return refused([str(error)])  # `main` makes a message of it
    return Answer()


def mutated_line(rng: random.Random, line: list[str]) -> list[str]:
    line = list(line)
    k = rng.randrange(1, len(line))
    choice = rng.random()
    if choice < 0.4:
        line[k] = rng.choice(["\x00", "é", "", "-", "--nothing", "/nowhere/x.yaml", ".", "--json", "--help"])
    elif choice < 0.7:
        del line[k]
    else:
        line.insert(k, rng.choice(["--json", "--seed", "--out", "x", "--version"]))
    if line[0] in ("compare", "sweep") and "--replications" not in line:
        line[0] = "validate"  # the default takes as long as it likes
    return line


def study(rng: random.Random, folder: Path) -> Answer:
    """A small valid scenario, run and compared: no traceback, and the laws of conservation."""
    data = random_scenario(rng, folder)
    for _ in range(20):
        other = data
        for _ in range(rng.choice([0, 1, 2])):
            other = mutate.structure(rng, other, [data])
        try:
            loaded = Scenario.from_dict(other, path=folder / "random.yaml")
            if loaded.horizon <= 7200 and check_size(loaded) <= 4000:
                break
        except (ScenarioError, ValueError, TypeError):  # `from_dict` takes what a file can hold, and no more
            continue
    else:
        return Answer()
    save(folder / "scenario.json", json.dumps(other))
    try:
        if loaded.engine != "aggregate":
            check_runs(loaded)
        check_comparison(loaded)
    except ScenarioError as error:
        return refused(error.problems)
    return Answer()


KINDS = {
    "scenario": Kind(scenario, 2.0, 0.22),
    "schema": Kind(from_schema, 2.0, 0.1),
    "sam": Kind(sam, 5.0, 0.15),
    "cloudformation": Kind(plain_cloudformation, 5.0, 0.08),
    "terraform": Kind(terraform, 5.0, 0.08),
    "manifest": Kind(manifests, 5.0, 0.08),
    "openslo": Kind(slos, 2.0, 0.1),
    "trace": Kind(trace, 2.0, 0.08),
    "axis": Kind(axes_of_a_sweep, 2.0, 0.07),
    "command": Kind(command, 30.0, 0.13),
    "study": Kind(study, 30.0, 0.15),
    "check": Kind(checked, 60.0, 0.2),
}
"""Every kind, with the CPU seconds that one input may take."""
