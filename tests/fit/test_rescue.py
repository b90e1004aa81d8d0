"""A budget that is missed: what is tried, what it buys, and that a recipe repeats it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch

from featherweight import fit, load_model
from featherweight._fit import FitInterrupted, SettingsError, _deadline, _finish
from featherweight._fit._finish import Verdict
from featherweight._fit._recipe import read_recipe
from featherweight._fit._rescue import Rescue, could_be_pruned, teacher_of
from featherweight.compress import PruneError
from featherweight.cost import analyze
from featherweight.search import Budget, Candidate

from .test_settings import parse

# No width of this network is so small, not with four bits either, and nothing is right on every picture: all is tried.
# int8 ships whatever it loses: a busy machine trains so little in the time that the loss is left to chance.
MISSED: dict[str, Any] = {
    "networks": "effnet", "max_latency": None, "max_size": "20kB", "min_accuracy": "100%", "time": "10s",
    "rescue": "20s", "max_int8_loss": "100%", "progress": False,
}  # fmt: skip


def test_a_missed_budget_is_mended_also_after_an_interruption_and_again_by_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_deadline, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(Rescue, "_seconds", lambda self, trainings: 2.0)  # also on a machine that is busy otherwise
    monkeypatch.setattr(_finish, "LATENCY_SECONDS", 0.2)
    monkeypatch.setattr(_finish, "EAGER_SECONDS", 0.1)

    def interrupt(line: str) -> None:
        if "training on" in line:
            raise KeyboardInterrupt

    with pytest.raises(FitInterrupted, match=r"--rescue 20s .*--resume"):
        fit("digits", out=tmp_path / "out", tell=interrupt, **MISSED)
    lines: list[str] = []
    result = fit("digits", out=tmp_path / "out", resume=True, tell=lines.append, **MISSED)
    rescue = result.metrics["rescue"]
    assert [row["name"] for row in rescue if row["name"] != "round"] == ["lower bits", "prune", "train on", "distil"]
    pruning = next(row for row in rescue if row["name"] == "prune")
    assert pruning["kept"]
    assert pruning["before"]["size"] > 20_000 > pruning["after"]["size"]
    assert all(sum(row["name"] in line for line in lines) for row in rescue)

    rows = {row["name"]: row for row in result.metrics["verdict"]["rows"]}
    assert rows["size"]["met"]
    assert rows["size"]["achieved"] == result.file.stat().st_size <= 20_000
    last = [row for row in rescue if row["kept"]][-1]["after"]
    assert {name: row["achieved"] for name, row in rows.items()} == {name: last[name] for name in rows}
    model = load_model(result.folder / "model.safetensors")
    assert analyze(model, 16).multiply_adds == result.metrics["network"]["multiply_adds"]
    assert {path.name for path in result.folder.iterdir()} == {
        "model.safetensors", "model.onnx", "model-int8.onnx", "labels.json", "metrics.json", "recipe.json",
        "report.html",
    }  # fmt: skip
    assert "What mended the budget" in (result.folder / "report.html").read_text()

    recipe = read_recipe(result.folder / "recipe.json")
    assert [remedy["name"] for remedy in recipe["rescue"]] == [row["name"] for row in rescue if row["kept"]]
    again = fit(recipe=result.folder / "recipe.json", out=tmp_path / "again", progress=False)
    first, second = (safetensors.torch.load_file(one.folder / "model.safetensors") for one in (result, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert again.metrics["rescue"] == []
    assert json.loads((again.folder / "recipe.json").read_text())["rescue"] == recipe["rescue"]


def candidate(network: str, multiply_adds: int, resolution: int = 16) -> Candidate:
    return Candidate(
        network=network, options={}, resolution=resolution, family=network, params=1, multiply_adds=multiply_adds,
        memory_bytes=1, size_bytes=1,
    )  # fmt: skip


def test_a_teacher_is_several_times_as_large_and_of_the_same_network_if_there_is_one() -> None:
    student = candidate("a", 100)
    others = [candidate("a", 150), candidate("a", 250), candidate("b", 400), candidate("a", 900), candidate("b", 120)]
    assert teacher_of(student, others) is others[1]
    assert teacher_of(student, others[2:]) is others[2]
    assert teacher_of(student, [*others[3:], candidate("a", 400, resolution=32)]) is None


def test_four_times_over_is_the_most_that_is_pruned() -> None:
    assert could_be_pruned({"size": 4.0, "latency": 1.1})
    assert not could_be_pruned({"size": 4.1})


def rescue(**limits: Any) -> Rescue:
    settings = replace(parse(time="30s"), budget=Budget(**limits))
    nothing: Any = None
    return Rescue(
        settings=settings, learner=nothing, candidate=candidate("a", 100), others=[], facts={}, work=nothing,
        left=lambda: 15.0, proof_seconds=1.0, save=lambda: None, tell=lambda line: None,
    )  # fmt: skip


def outcome(*, weighs: int = 100, chosen: str = "int8", too_lossy: bool = False, **limits: Any) -> Any:
    figures = {"accuracy": 0.9, "size": weighs}
    rows = tuple(
        {"name": name, "budget": limit, "achieved": figures[name], "met": name == "size" and figures[name] <= limit}
        for name, limit in limits.items()
    )
    small = SimpleNamespace(bytes=weighs, latency=SimpleNamespace(median_seconds=0.001))
    return SimpleNamespace(
        verdict=Verdict(chosen=chosen, reason="", rows=rows, too_lossy=too_lossy), models={"int8": small},
        cost=SimpleNamespace(peak_memory_bytes={"int8": 1}),
    )  # fmt: skip


def test_each_remedy_is_tried_where_it_may_help() -> None:
    accuracy_missed = outcome(accuracy=0.95)
    assert accuracy_missed.verdict.missed == {"accuracy": pytest.approx(0.95 / 0.9)}
    one = rescue(size_bytes=1_000, accuracy=0.95)
    assert one._prune(accuracy_missed) is one._round(accuracy_missed) is one._lower_bits(accuracy_missed) is None
    assert one._train_on(accuracy_missed) == {"name": "train on", "number": 102, "planned": pytest.approx(6.0)}
    one.learner = SimpleNamespace(pictures=SimpleNamespace(classes="ab", channels=1, native_side=8))  # type: ignore[assignment]
    one.candidate = candidate("lenet5_bn", 100)
    assert one._distil(accuracy_missed) is None, "there is no larger network"
    one.others = [candidate("a", 300)]
    planned = one._distil(accuracy_missed)
    assert planned is not None
    assert planned["planned"] + planned["teacher"]["planned"] == pytest.approx(13.0)
    assert planned["teacher"]["network"] == "a"

    too_large = outcome(weighs=1_500, size=1_000)
    assert too_large.verdict.missed == {"size": 1.5}
    assert one._lower_bits(too_large) == {"name": "lower bits", "quantizing": {"bits": 4}}
    assert one._round(too_large) is one._train_on(too_large) is None
    lossy = outcome(weighs=1_500, chosen="onnx", too_lossy=True, size=1_000)
    assert one._round(lossy) == {"name": "round", "quantizing": {"adaround": True}}
    with pytest.raises(PruneError, match="more than 4 times over"):
        one._prune(outcome(weighs=4_500, size=1_000))
    one.left = lambda: 3.0
    assert one._train_on(accuracy_missed) is None, "no time is left"


def test_how_long_is_half_of_the_time_or_what_is_said() -> None:
    assert [parse(rescue=given).rescue_seconds for given in ("auto", "none", None, "7s")] == [45.0, 0.0, 0.0, 7.0]
    with pytest.raises(SettingsError, match="not a time: 'long'"):
        parse(rescue="long")


def test_an_unknown_remedy_is_refused(tmp_path: Path) -> None:
    stage = {"recipe": {}, "knots": []}
    recipe = {
        "settings": parse().to_dict(), "pictures": {"count": 1, "fingerprint": ""}, "threads": 1, "stages": [],
        "network": {"network": "mobilenet_v1", "options": {}, "resolution": 16}, "rescue": [{"name": "pray", **stage}],
    }  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(SettingsError, match="unknown remedy 'pray'; known: round, lower bits, prune"):
        read_recipe(tmp_path / "recipe.json")
