"""The page says what the metrics say, whatever the names in them, and whatever is missing."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featherweight._extras import MissingExtraError
from featherweight.report import write_report
from featherweight.report._page import render
from featherweight.report._verdict import wilson_interval
from featherweight.report._views import DASH


def visible(page: str) -> str:
    """The page's text, with single ordinary spaces."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


def section(page: str, name: str) -> str:
    (found,) = re.findall(rf'<section id="{name}".*?</section>', page, flags=re.DOTALL)
    return visible(found)


def test_write_report_writes_the_file(digits_metrics: dict[str, Any], tmp_path: Path) -> None:
    path = write_report(digits_metrics, tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(digits_metrics)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_each_remedy_bought_is_listed(letters_metrics: dict[str, Any]) -> None:
    assert 'id="rescue"' not in render(letters_metrics)
    before = {"accuracy": 0.9, "size": 412_000, "latency": 0.0021, "memory": 65_536, "met": False, "file": "model.onnx"}
    after = {**before, "accuracy": 0.895, "size": 203_000, "met": True}
    row = {"name": "prune", "missed": "size 1.37 times the limit", "seconds": 21.5, "kept": True, "before": before}
    failed = {**row, "name": "round", "did": "diverged", "kept": False, "after": None}
    page = render({**letters_metrics, "rescue": [failed, {**row, "did": "3M became 1M", "after": after}]})
    said = section(page, "rescue")
    assert "The winner missed the budget: size 1.37 times the limit." in said
    assert "before the winner, trained 90 % 412 kB 2.1 ms 65.5 kB ✕ not met" in said
    assert f"round diverged {DASH} {DASH} {DASH} {DASH} 21.5 s no" in said
    assert "prune 3M became 1M 89.5 % 203 kB 2.1 ms 65.5 kB 21.5 s ✓ met yes" in said
    assert "Training of the winner, the last one" in section(page, "training")


def test_plain_json_is_enough(letters_metrics: dict[str, Any]) -> None:
    assert render(json.loads(json.dumps(letters_metrics))) == render(letters_metrics)


def test_verdict_met(digits_metrics: dict[str, Any]) -> None:
    said = section(render(digits_metrics), "verdict")
    assert "Budget met" in said
    for words in ("model-int8.onnx", "98.92 %", "0.142 ms", "148 kB", "1 thread", "≤ 300 kB", "≥ 98.5 %", "no limit"):
        assert words in said


def test_verdict_missed_names_what_is_missed(letters_metrics: dict[str, Any]) -> None:
    said = section(render(letters_metrics), "verdict")
    assert "Budget not met: size and accuracy" in said
    assert "int8 loses 0.9 points" in said
    assert "≤ 398 kB 398.002 kB" in said, "a miss by two bytes must show in print"


def test_without_any_budget_there_is_nothing_to_meet(digits_metrics: dict[str, Any]) -> None:
    for row in digits_metrics["verdict"]["rows"]:
        row.update(budget=None, met=None)
    page = render(digits_metrics)
    assert "Model ready" in section(page, "verdict")
    assert "limit" not in re.findall(r'class="(\w+)"', page)


def test_a_value_that_was_not_measured(digits_metrics: dict[str, Any]) -> None:
    digits_metrics["verdict"]["rows"][2]["achieved"] = None
    assert "not measured" in section(render(digits_metrics), "verdict")


def test_candidates_are_all_there_the_winner_first(digits_metrics: dict[str, Any]) -> None:
    page = render(digits_metrics)
    rows = [row for row in re.findall(r'<th scope="row">(.*?)</th>', page) if " @" in row]
    assert rows[0] == digits_metrics["candidates"][0]["id"]
    assert sorted(rows) == sorted(one["id"] for one in digits_metrics["candidates"])
    said = section(page, "candidates")
    assert "over budget: size" in said
    assert "limit 300 kB" in said
    assert "32 not trained" in said


def test_without_competition(digits_metrics: dict[str, Any]) -> None:
    digits_metrics["candidates"] = [
        {**digits_metrics["candidates"][0], "rungs": [], "latency_seconds": None, "val_accuracy": None}
    ]
    said = section(render(digits_metrics), "candidates")
    assert "None was trained for comparison" in said
    assert "No latency is known" in said


def test_a_diverged_candidate_has_no_accuracy(digits_metrics: dict[str, Any]) -> None:
    digits_metrics["candidates"][1]["rungs"][-1]["val_accuracy"] = None
    assert f"→ {DASH}" in section(render(digits_metrics), "candidates")


def test_training_of_one_epoch_and_missing_values(digits_metrics: dict[str, Any]) -> None:
    history = digits_metrics["training"]["history"]
    del history[1:]
    history[0].update(val_loss=None, val_accuracy=None)
    assert "1 epoch, 1,170 steps in 41.7 s: 911 pictures a second" in section(render(digits_metrics), "training")


def test_mistakes_in_pictures(letters_metrics: dict[str, Any]) -> None:
    page = render(letters_metrics)
    for one in letters_metrics["test"]["mistakes"]:
        assert html.escape(one["picture"]) in page or one["picture"] in page
    said = section(page, "mistakes")
    assert "model.onnx is wrong on 165 of 2,356 test pictures" in said
    assert "97 % sure" in said
    assert "The other 38 classes" in said


def test_no_mistakes_at_all(digits_metrics: dict[str, Any]) -> None:
    digits_metrics["test"]["mistakes"] = []
    digits_metrics["test"]["confusion"] = [[36 * (row == column) for column in range(10)] for row in range(10)]
    assert "None: every test picture is told right" in section(render(digits_metrics), "mistakes")


def test_a_class_without_test_pictures(digits_metrics: dict[str, Any]) -> None:
    digits_metrics["test"]["confusion"][3] = [0] * 10
    assert f" 3 {DASH} " in section(render(digits_metrics), "mistakes")


def test_only_the_most_confused_of_very_many_classes_are_drawn(digits_metrics: dict[str, Any]) -> None:
    count = 300
    digits_metrics["data"]["classes"] = [f"class {index}" for index in range(count)]
    confusion = [[2 * (row == column) for column in range(count)] for row in range(count)]
    confusion[250][251] = 1
    digits_metrics["test"]["confusion"] = confusion
    page = render(digits_metrics)
    assert "The 220 classes with the fewest mistakes are left out" in section(page, "mistakes")
    assert "class 250 answered as class 251: 1 of 3" in page


def test_proof_sets_the_models_side_by_side(digits_metrics: dict[str, Any]) -> None:
    said = section(render(digits_metrics), "proof")
    assert re.search(r"PyTorch ONNX, float32 ONNX, int8 ships", said)
    for words in (
        "402,688 bytes",
        "\N{MINUS SIGN}0.28 points",
        "±0 points",
        "99.44 %",
        "3.1e-06",
        "0.138 ms to 0.151 ms",
        "400, 1",
    ):
        assert words in said


def test_without_int8(letters_metrics: dict[str, Any]) -> None:
    letters_metrics["models"]["int8"] = None
    assert "int8" not in section(render(letters_metrics), "proof")


def test_cost_by_kind_and_layer(digits_metrics: dict[str, Any]) -> None:
    said = section(render(digits_metrics), "cost")
    assert said.index(" 1x1 ") < said.index(" depthwise ") < said.index(" pooling ")
    assert "All 70 layers" in said
    assert "65.5 kB as float32, 32.8 kB as float16, 16.4 kB as int8" in said


def test_data_with_and_without_bad_files(digits_metrics: dict[str, Any], letters_metrics: dict[str, Any]) -> None:
    clean, messy = section(render(digits_metrics), "data"), section(render(letters_metrics), "data")
    assert "Empty: every file could be read" in clean
    assert "None stand in two of the splits" in clean
    assert "2 files could not be used" in messy
    assert "truncated: 10 of 2048 bytes" in messy
    assert "a/1.png, a/2.png train, test" in messy
    assert "12,028 pictures in 62 classes, colour" in messy


def test_run_says_where_and_with_what(digits_metrics: dict[str, Any]) -> None:
    said = section(render(digits_metrics), "run")
    for words in ("Invented CPU @ 2.50GHz", "avx512_vnni", "8 GB", "torch 2.15.0", "in all 83.2 s", "Seed 1"):
        assert words in said
    assert digits_metrics["command"] in said


def test_names_are_only_text(letters_metrics: dict[str, Any]) -> None:
    letters_metrics["command"] = 'featherweight fit "</pre><script>alert(2)</script>"'
    letters_metrics["data"]["name"] = "</title><script>alert(3)</script>"
    letters_metrics["test"]["mistakes"][0]["picture"] = '" onerror="alert(4)'
    page = render(letters_metrics)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert '" onerror=' not in page
    assert "<script>alert(1)</script>" in visible(page).replace("< ", "<")


def test_nothing_is_loaded(letters_metrics: dict[str, Any]) -> None:
    page = render(letters_metrics)
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link rel=\"stylesheet\"|iframe|object)", page)
    assert all(url.startswith(("data:", "#")) for url in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "url(" not in page


def test_missing_jinja_says_what_to_install(
    digits_metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featherweight\[report\]'"):
        write_report(digits_metrics, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("share", "count"), [(1.0, 360), (0.0, 10), (0.5, 1), (0.3, 0)])
def test_wilson_interval_holds_the_share_and_stays_in_range(share: float, count: int) -> None:
    low, high = wilson_interval(share, count)
    assert 0 <= low <= share <= high <= 1


def test_the_python_code_of_the_page_runs(
    digits_metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a model that averages the picture: a bright one is 'bright'."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (code,) = re.findall(r"<pre>\s*(import json.*?)</pre>", render(digits_metrics), flags=re.DOTALL)
    helper = onnx.helper
    shape = ["N", 1, 16, 16]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["bright"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Neg", ["bright"], ["dark"]),
            helper.make_node("Unsqueeze", ["bright", "axis"], ["b"]),
            helper.make_node("Unsqueeze", ["dark", "axis"], ["d"]),
            helper.make_node("Concat", ["d", "b"], ["scores"], axis=1),
        ],
        "mean",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["N", 2])],
        [onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    constants = {"resolution": 16, "channels": 1, "mean": [0.5], "std": [0.25], "resize": "squash"}
    facts = {"labels": ["dark", "bright"], "preprocessing": constants}
    helper.set_model_props(model, {"featherweight": json.dumps(facts)})
    onnx.save(model, tmp_path / "model-int8.onnx")
    monkeypatch.chdir(tmp_path)
    for value, answer in ((200, "bright"), (20, "dark")):
        Image.new("RGB", (40, 30), (value, value, value)).save("picture.png")
        exec(html.unescape(code), {})
        assert capsys.readouterr().out.strip() == answer
