import numpy as np
import pytest

from featherweight._fit._finish import Shipped, decide
from featherweight.cost import Latency
from featherweight.search import Budget

MEMORY = {"float32": 64_000, "float16": 32_000, "int8": 16_000}


def shipped(*, size: int = 100_000, accuracy: float = 0.99, held_out: float | None = None, ms: float = 0.2) -> Shipped:
    latency = Latency(median_seconds=ms / 1e3, low_seconds=ms / 1e3, high_seconds=ms / 1e3, confidence=0.95, runs=50)
    return Shipped(
        file="model.onnx", bytes=size, accuracy=accuracy, held_out_accuracy=accuracy if held_out is None else held_out,
        latency=latency, parity=None, logits=np.zeros((1, 2)),
    )  # fmt: skip


def choose(full: Shipped, small: Shipped, budget: Budget | None = None):
    return decide({"onnx": full, "int8": small}, budget or Budget(), memory_bytes=MEMORY, int8_loss=0.005)


def test_int8_ships_when_it_is_smaller_faster_and_as_right() -> None:
    verdict = choose(shipped(size=400_000, ms=0.3), shipped(size=100_000, ms=0.2))
    assert verdict.chosen == "int8"
    assert verdict.met
    assert (
        verdict.reason == "int8 is 4.0 times smaller and 1.50 times as fast as float, and loses 0.00 points of accuracy"
    )


@pytest.mark.parametrize("small", [shipped(accuracy=0.98), shipped(held_out=0.98)])
def test_float_ships_when_int8_loses_too_much_on_test_or_on_all_held_out_pictures(small: Shipped) -> None:
    verdict = choose(shipped(ms=0.3), small)
    assert verdict.chosen == "onnx"
    assert verdict.reason == "int8 loses 1.00 points of accuracy, more than the 0.50 allowed"


def test_float_ships_when_int8_is_slower() -> None:
    verdict = choose(shipped(ms=0.2), shipped(ms=0.3))
    assert verdict.chosen == "onnx"
    assert "1.50 times the time of float" in verdict.reason


def test_a_slower_int8_ships_when_float_is_over_the_budget() -> None:
    verdict = choose(shipped(size=400_000, ms=0.2), shipped(size=100_000, ms=0.3), Budget(size_bytes=300_000))
    assert verdict.chosen == "int8"
    assert verdict.met
    assert "float is over the budget" in verdict.reason


def test_each_limit_is_held_against_what_was_measured() -> None:
    budget = Budget(latency_seconds=0.1e-3, size_bytes=50_000, memory_bytes=16_000, accuracy=0.995)
    verdict = choose(shipped(ms=0.3), shipped(ms=0.2), budget)
    assert {row["name"]: row["met"] for row in verdict.rows} == {
        "accuracy": False, "size": False, "latency": False, "memory": True
    }  # fmt: skip
    assert not verdict.met


def test_a_limit_that_is_not_given_is_neither_met_nor_missed() -> None:
    verdict = choose(shipped(ms=0.3), shipped(ms=0.2), Budget(size_bytes=300_000))
    assert {row["name"]: row["met"] for row in verdict.rows} == {
        "accuracy": None, "size": True, "latency": None, "memory": None
    }  # fmt: skip
