"""The main job on the built-in digits: one real run, whose every figure is measured again from the files it wrote."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from featherweight import fit, load_model
from featherweight._fit import FitInterrupted, FitResult, NothingFitsError, _deadline, _finish
from featherweight._fit._recipe import read_recipe
from featherweight.cost import analyze, measure_latency
from featherweight.data import DataError, Preprocessing, digits, split_pictures
from featherweight.export import compare, load

QUICK: dict[str, Any] = {"networks": "mobilenet_v1", "max_latency": None, "time": "45s", "progress": False}
SHORT = {**QUICK, "time": "15s"}  # less than a user may say, where what is learned does not matter
FILES = {"pytorch": "model.safetensors", "onnx": "model.onnx", "int8": "model-int8.onnx"}
# What a run imports on its way takes long on a machine that is busy, and is not to be of its time.
IMPORTED = ("lightning.pytorch", "onnxruntime.quantization", "onnxscript.rewriter")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    for name in IMPORTED:
        importlib.import_module(name)
    return fit("digits", out=tmp_path_factory.mktemp("fit") / "out", **QUICK)


@pytest.fixture(scope="module")
def metrics(result: FitResult) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((result.folder / "metrics.json").read_text())
    assert loaded == json.loads(json.dumps(result.metrics))
    return loaded


@pytest.fixture(scope="module")
def answers(result: FitResult, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The logits of every file on the test pictures, and the labels, from nothing but the files and the seed."""
    pictures = digits()
    split = split_pictures(pictures, seed=metrics["seed"])
    runners = {name: load(result.folder / FILES[name]) for name in ("onnx", "int8")}
    shape = Preprocessing.from_dict(runners["onnx"].preprocessing)
    inputs = shape.normalize(np.stack([shape.fit(pictures.load(i)) for i in split.test]))
    with torch.inference_mode():
        logits = {"pytorch": load_model(result.folder / FILES["pytorch"])(torch.from_numpy(inputs)).numpy()}
    logits |= {name: runner(inputs) for name, runner in runners.items()}
    return {"inputs": inputs, "labels": pictures.labels[split.test], "logits": logits, "split": split}


def test_all_files_are_there_and_the_work_is_cleared(result: FitResult) -> None:
    assert {path.name for path in result.folder.iterdir()} == {
        *FILES.values(), "labels.json", "metrics.json", "recipe.json", "report.html"
    }  # fmt: skip
    assert json.loads((result.folder / "labels.json").read_text()) == [str(digit) for digit in range(10)]


def test_accuracy_agreement_and_size_are_those_of_the_files(
    result: FitResult, metrics: Mapping[str, Any], answers: Mapping[str, Any]
) -> None:
    for name, file in FILES.items():
        told, logits = metrics["models"][name], answers["logits"][name]
        assert told["file"] == file
        assert told["bytes"] == (result.folder / file).stat().st_size
        assert told["accuracy"] == pytest.approx((logits.argmax(1) == answers["labels"]).mean())
        assert metrics["test"]["predictions"][name] == logits.argmax(1).tolist()
        if name != "pytorch":
            parity = compare(answers["logits"]["pytorch"], logits, answers["labels"])
            assert told["agreement"] == pytest.approx(parity.agreement)
            assert told["max_logit_difference"] == pytest.approx(parity.max_logit_difference, rel=0.2, abs=1e-5)


def test_a_short_run_has_learned(metrics: Mapping[str, Any]) -> None:
    """Five times chance: on a machine that is busy otherwise, a minute is a few epochs."""
    assert metrics["models"]["pytorch"]["accuracy"] > 0.5


def test_latency_is_of_the_right_size(
    result: FitResult, metrics: Mapping[str, Any], answers: Mapping[str, Any]
) -> None:
    picture = answers["inputs"][:1]
    runs = {name: load(result.folder / FILES[name], threads=1) for name in ("onnx", "int8")}
    found = measure_latency({name: lambda run=run: run(picture) for name, run in runs.items()}, rounds=200)
    for name, latency in found.items():
        told = metrics["models"][name]["latency_seconds"]
        assert told["low"] <= told["median"] <= told["high"]
        assert told["threads"] == 1
        assert told["median"] / 5 < latency.median_seconds < told["median"] * 5  # a shared machine


def test_the_verdict_follows_from_the_figures(metrics: Mapping[str, Any]) -> None:
    verdict = metrics["verdict"]
    chosen = metrics["models"]["int8" if verdict["chosen"] == "int8" else "onnx"]
    achieved = {row["name"]: row["achieved"] for row in verdict["rows"]}
    assert verdict["file"] == chosen["file"]
    assert achieved["size"] == chosen["bytes"]
    assert achieved["accuracy"] == chosen["accuracy"]
    assert achieved["latency"] == chosen["latency_seconds"]["median"]
    size = next(row for row in verdict["rows"] if row["name"] == "size")
    assert (size["budget"], size["met"]) == (300_000, chosen["bytes"] <= 300_000)


def test_network_and_cost_are_those_of_the_saved_model(result: FitResult, metrics: Mapping[str, Any]) -> None:
    model = load_model(result.folder / "model.safetensors")
    cost = analyze(model, metrics["network"]["resolution"])
    assert metrics["network"]["params"] == sum(parameter.numel() for parameter in model.parameters())
    assert metrics["network"]["multiply_adds"] == cost.multiply_adds == sum(
        layer["multiply_adds"] for layer in metrics["cost"]["layers"]
    )  # fmt: skip
    assert sum(kind["params"] for kind in metrics["cost"]["by_kind"]) == metrics["network"]["params"]
    assert metrics["network"]["peak_memory_bytes"] == cost.peak_memory_bytes


def test_the_data_section_counts_the_pictures(metrics: Mapping[str, Any], answers: Mapping[str, Any]) -> None:
    split, labels = answers["split"], digits().labels
    assert metrics["data"]["splits"] == {part: len(getattr(split, part)) for part in ("train", "val", "test")}
    assert metrics["data"]["pictures"] == len(labels) == 1797
    for number, counts in enumerate(metrics["data"]["per_class"].values()):
        assert sum(counts.values()) == (labels == number).sum()


def test_the_confusion_matrix_and_the_mistakes_are_the_shipped_file_s(
    metrics: Mapping[str, Any], answers: Mapping[str, Any]
) -> None:
    predicted = answers["logits"]["int8" if metrics["verdict"]["chosen"] == "int8" else "onnx"].argmax(1)
    confusion = np.array(metrics["test"]["confusion"])
    assert confusion.sum() == len(predicted)
    assert np.trace(confusion) == (predicted == answers["labels"]).sum()
    wrong = int((predicted != answers["labels"]).sum())
    assert len(metrics["test"]["mistakes"]) == min(wrong, 24)


def test_the_training_history_ends_at_the_model(metrics: Mapping[str, Any]) -> None:
    last = metrics["training"]["history"][-1]
    assert last["step"] == metrics["training"]["steps"]
    assert 0 < metrics["training"]["seconds"] < 40
    held_out = metrics["models"]["pytorch"]["held_out_accuracy"]
    counts = metrics["data"]["splits"]
    right = held_out * (counts["val"] + counts["test"]) - metrics["models"]["pytorch"]["accuracy"] * counts["test"]
    assert last["val_accuracy"] * counts["val"] == pytest.approx(right, abs=0.01)


def test_one_candidate_won_and_every_trained_one_has_its_scores(metrics: Mapping[str, Any]) -> None:
    winners = [one for one in metrics["candidates"] if one["status"] == "winner"]
    assert len(winners) == 1
    assert winners[0]["name"] == metrics["network"]["name"]
    assert winners[0]["resolution"] == metrics["network"]["resolution"]
    over = [one for one in metrics["candidates"] if one["status"] == "over budget"]
    assert over
    assert all(one["binding"] == "size" and one["size_bytes"] > 300_000 for one in over)


def test_the_size_estimate_of_the_search_is_near_the_file(metrics: Mapping[str, Any]) -> None:
    winner = next(one for one in metrics["candidates"] if one["status"] == "winner")
    assert metrics["models"]["int8"]["bytes"] == pytest.approx(winner["size_bytes"], rel=0.1)


def test_results_are_not_overwritten_unasked(result: FitResult) -> None:
    before = (result.folder / "model.onnx").read_bytes()
    with pytest.raises(FileExistsError, match="--overwrite"):
        fit("digits", out=result.folder, **QUICK)
    assert (result.folder / "model.onnx").read_bytes() == before


def test_a_run_that_is_killed_and_interrupted_goes_on_and_its_recipe_repeats_it_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_deadline, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(_finish, "LATENCY_SECONDS", 0.2)
    monkeypatch.setattr(_finish, "EAGER_SECONDS", 0.1)
    code = (
        "from featherweight._fit import _deadline, fit; _deadline.LEAST_SECONDS = 1.0; "
        f"fit('digits', out={str(tmp_path / 'out')!r}, tell=print, **{SHORT!r})"
    )
    process = subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("training "):
            break
    checkpoint = tmp_path / "out" / "work" / "winner.ckpt"
    deadline = time.monotonic() + 30
    while not checkpoint.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert checkpoint.exists(), "the run was over before it could be killed"

    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith("exporting"):
            raise KeyboardInterrupt

    with pytest.raises(FitInterrupted):
        fit("digits", out=tmp_path / "out", resume=True, tell=interrupt, **SHORT)
    result = fit("digits", out=tmp_path / "out", resume=True, tell=lines.append, **SHORT)
    assert not any(re.match(r"round \d", line) for line in lines), "what was trained before is not trained again"
    recipe = json.loads((result.folder / "recipe.json").read_text())
    seeds = [stage["recipe"]["seed"] for stage in recipe["stages"]]
    assert len(seeds) == len(set(seeds)), "the last training is not done twice"
    again = fit(recipe=result.folder / "recipe.json", out=tmp_path / "again", progress=False)
    first, second = (safetensors.torch.load_file(one.folder / "model.safetensors") for one in (result, again))
    assert first.keys() == second.keys()
    assert again.metrics["test"]["predictions"] == result.metrics["test"]["predictions"]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if "candidates are within" in line:
            raise KeyboardInterrupt

    with pytest.raises(FitInterrupted, match=r"to go on: featherweight fit digits .*--out .* --resume"):
        fit("digits", out=tmp_path / "out", tell=interrupt, **QUICK)


def test_nothing_fits_names_the_limit_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NothingFitsError, match=r"limit that binds is the size\. Nearest: mobilenet_v1 0.25 @16"):
        fit("digits", out=tmp_path / "out", **{**QUICK, "max_size": "20kB"})
    with pytest.raises(NothingFitsError, match=r"limit that binds is the latency\. Nearest: mobilenet_v1"):
        fit("digits", out=tmp_path / "slow", **{**QUICK, "max_latency": "1us"})


def test_a_recipe_is_held_against_its_pictures(result: FitResult, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "pictures" / str(number)).mkdir(parents=True)
        for i in range(6):
            picture = Image.new("L", (8, 8), 40 * i + number)
            picture.save(tmp_path / "pictures" / str(number) / f"{i}.png")
    with pytest.raises(DataError, match="not the recipe's pictures: it was made from 1797, here are 12"):
        fit(tmp_path / "pictures", recipe=result.folder / "recipe.json", out=tmp_path / "out", progress=False)


def test_what_is_no_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match=re.escape("it lacks network, pictures, settings, stages, threads")):
        read_recipe(tmp_path / "recipe.json")


def test_a_recipe_with_a_wrong_part_is_refused(result: FitResult, tmp_path: Path) -> None:
    recipe = json.loads((result.folder / "recipe.json").read_text())
    broken: list[tuple[dict[str, object], str]] = [
        ({"settings": {**recipe["settings"], "budget": {"size": 1}}}, "unexpected keyword argument 'size'"),
        ({"network": {**recipe["network"], "network": "mobilnet"}}, "unknown network 'mobilnet'"),
        ({"network": {**recipe["network"], "resolution": "large"}}, "must be whole numbers above 0"),
        ({"pictures": {"count": 5}}, "KeyError: 'fingerprint'"),
        ({"stages": [{}]}, "KeyError: 'recipe'"),
    ]
    for part, problem in broken:
        (tmp_path / "recipe.json").write_text(json.dumps({**recipe, **part}))
        with pytest.raises(ValueError, match=f"is not a recipe that `fit` wrote: .*{re.escape(problem)}"):
            read_recipe(tmp_path / "recipe.json")
