"""A machine whose rules are known, and a predictor that has learned from it."""

import math

import pytest
import torch

from featherweight.bench import Calibration, machine, versions
from featherweight.predictor import _learning as learning
from featherweight.predictor import learn
from featherweight.predictor._clock import Measured
from featherweight.predictor._features import bytes_moved, multiply_adds
from featherweight.predictor._predictor import units_of
from featherweight.predictor._units import Unit

RUN_SECONDS = 50e-6


def true_seconds(unit: Unit) -> float:
    """A machine that is slow at depthwise and grouped convolutions, and at small maps."""
    rate = {"depthwise": 4e9, "1x1": 40e9}.get(unit.kind, 15e9 if unit.kind.startswith("grouped") else 55e9)
    pixels = unit.root.outputs[0].numel
    return 2e-6 + multiply_adds(unit) / rate * (1 + 20 / (20 + math.sqrt(pixels))) + bytes_moved(unit) / 9e9


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return Calibration(
        machine=machine(), versions=versions(), date="2026-11-21", threads=1,
        multiply_adds_per_second={"float32": 60e9}, bandwidth_bytes_per_second={2**18: 30e9, 2**28: 10e9},
        call_seconds={"element-wise": 1e-6}, caches=[],
    )  # fmt: skip


def on_this_machine(runtime: str, options: dict[str, int | bool]) -> Measured:
    """What a child process would answer if the machine's rules were those above, with a little noise."""
    noise = torch.Generator().manual_seed(int(options["seed"]))
    units = units_of(runtime, learning._traced(options))
    times = [true_seconds(unit) for unit in units]
    seen = [t * math.exp(0.03 * float(torch.randn((), generator=noise))) for t in times]
    operators = {f"{i} {unit.root.op}": t + 3e-6 for i, (unit, t) in enumerate(zip(units, seen, strict=True))}
    return Measured(options, operators, sum(times) + RUN_SECONDS)


class FakeWorker:
    """Answers as a child process on the machine of known rules would; `before` is called with each request's kind."""

    def __init__(self, runtime: str, threads: int, timeout_seconds: float) -> None:
        self.runtime, self.options = runtime, {}

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @staticmethod
    def before(do: str) -> None:
        pass

    def ask(self, do: str, **request: object) -> dict[str, object]:
        self.before(do)
        if do == "load":
            self.options = request["options"]
            return {}
        found = on_this_machine(self.runtime, self.options)
        return {"operators": found.operators, "whole": found.whole, "reference": 1.0}


@pytest.fixture
def fake_worker(monkeypatch, predictor):
    """A worker on the machine of known rules, in place of a child process; models are not searched for again."""
    monkeypatch.setattr(learning, "Worker", FakeWorker)
    monkeypatch.setattr(learning, "RESOLUTIONS", (32,))  # quickly traced
    monkeypatch.setattr(learning, "models_of", lambda samples, baseline, like=None: predictor.models)
    return FakeWorker


@pytest.fixture
def true_latency():
    """What that machine takes for a traced network."""
    return lambda calls: sum(true_seconds(unit) for unit in units_of("eager", calls)) + RUN_SECONDS


@pytest.fixture(scope="session")
def predictor(calibration):
    every = [{"seed": seed, "resolution": (224, 96, 64)[seed % 3], "adders": False} for seed in range(36)]
    measured = [on_this_machine("eager", options) for options in every]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_measured", lambda *_: measured)
        return learn("eager", calibration)
