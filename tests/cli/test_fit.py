"""What `featherweight fit` says and how it ends; that it fits is tested in tests/fit."""

import json
from pathlib import Path
from typing import Any

import pytest

import featherweight._fit
from featherweight._fit import FitInterrupted, FitResult, NothingFitsError
from featherweight.cli import main


def result(*, met: bool) -> FitResult:
    rows = [
        {"name": "accuracy", "unit": "fraction", "budget": None, "achieved": 0.9917, "met": None},
        {"name": "size", "unit": "bytes", "budget": 300_000, "achieved": 258_843 if met else 358_843, "met": met},
        {"name": "latency", "unit": "seconds", "budget": 3e-4, "achieved": 1.82e-4, "met": True},
    ]
    verdict = {"met": met, "chosen": "int8", "file": "model-int8.onnx", "reason": "int8 is smaller", "rows": rows}
    return FitResult(Path("out"), {"verdict": verdict, "rescue": []})


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *arguments])
    return ended.value.code  # type: ignore[return-value]


def answer(monkeypatch: pytest.MonkeyPatch, given: FitResult | BaseException) -> dict[str, Any]:
    """Have `fit` give this; return the arguments that it was called with."""
    called: dict[str, Any] = {}

    def fit(data: str, **options: Any) -> FitResult:
        called.update(options, data=data)
        if isinstance(given, BaseException):
            raise given
        return given

    monkeypatch.setattr(featherweight._fit, "fit", fit)
    return called


def test_the_budget_is_printed_with_what_was_achieved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = answer(monkeypatch, result(met=True))
    assert run(["pictures", "--max-latency", "2ms", "--networks", "ghostnet", "--no-flip", "--out", "out"]) == 0
    assert (called["data"], called["max_latency"], called["networks"], called["flip"]) == (
        "pictures", "2ms", "ghostnet", False
    )  # fmt: skip
    printed = capsys.readouterr().out
    for text in (
        "the budget is met",
        "258.8 kB",
        "300 kB",
        "0.182 ms",
        "99.17 %",
        "out/report.html",
        "int8 is smaller",
    ):
        assert text in printed or text.replace("258.8", "259") in printed, text


def test_a_budget_that_is_missed_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, result(met=False))
    assert run([]) == 3
    assert "the budget is NOT met" in capsys.readouterr().out


def test_json_is_the_metrics_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer(monkeypatch, result(met=True))
    assert run(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result(met=True).metrics


def test_nothing_that_fits_is_a_budget_that_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, NothingFitsError("no network is within the budget; the limit that binds is the size"))
    assert run([]) == 3
    assert "limit that binds is the size" in capsys.readouterr().err


def test_ctrl_c_has_the_code_that_shells_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, FitInterrupted("interrupted; to go on: featherweight fit digits --resume"))
    assert run([]) == 130
    assert "to go on: featherweight fit digits --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--max-size", "300"], "not a size: '300' has no unit", 2),
        (["--time", "3s"], "a run needs at least 30 s", 2),
        (["--networks", "mobilnet"], "no network fits 'mobilnet'", 2),
        (["--recipe", "no-such-file.json"], "No such file", 1),
        (["no-such-folder"], "no-such-folder", 1),
    ],
)
def test_wrong_input_is_one_clear_line(
    arguments: list[str], message: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--out", str(tmp_path / "out"), "--quiet"]) == code
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
