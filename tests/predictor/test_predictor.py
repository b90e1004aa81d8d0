"""Learning what machines take whose rules are known, and keeping it."""

import hashlib
import json
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from featherweight.bench import versions
from featherweight.cost import trace
from featherweight.networks import create, on_meta_device, random_network
from featherweight.predictor import PredictorError, learn, load_predictor, predictor_path, save_predictor
from featherweight.predictor import _learning as learning
from featherweight.predictor._clock import Measured
from featherweight.predictor._features import features
from featherweight.predictor._gaussian_process import GaussianProcess, fit
from featherweight.predictor._store import VERSION
from featherweight.predictor._units import merged_units, single_units


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "shufflenet_v2", "efficientnet_b0"])
def test_networks_that_were_not_among_the_samples_are_predicted(predictor, true_latency, name) -> None:
    with on_meta_device():
        calls = trace(create(name))
    truth = true_latency(calls)
    found = predictor.predict(calls)
    assert found.seconds == pytest.approx(truth, rel=0.08)
    assert found.low_seconds < found.seconds < found.high_seconds
    layers = predictor.predict(calls).units
    assert sum(layer.seconds for layer in layers) + predictor.whole.seconds == pytest.approx(found.seconds)


def test_nine_of_ten_networks_lie_in_the_interval(predictor, true_latency) -> None:
    inside = []
    for seed in range(500, 530):
        with on_meta_device():
            calls = trace(random_network(seed, resolution=(224, 96, 64)[seed % 3]))
        found = predictor.predict(calls)
        inside.append(found.low_seconds <= true_latency(calls) <= found.high_seconds)
        assert found.high_seconds < 1.2 * found.low_seconds
    assert sum(inside) >= 0.7 * len(inside)  # 27 are likely


def test_layers_unlike_those_that_were_learned_make_the_interval_wider(predictor) -> None:
    usual, odd = (
        trace(torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Conv2d(16, channels, kernel)), (3, 64, 64))
        for channels, kernel in ((32, 3), (6000, 31))
    )
    usual, odd = (math.log(one.high_seconds / one.low_seconds) for one in map(predictor.predict, (usual, odd)))
    assert odd > 1.5 * usual


def test_what_was_not_seen_is_named(predictor) -> None:
    calls = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.Softmax(1)), (3, 32, 32))
    assert predictor.predict(calls).unseen == ("_softmax",)


def test_what_is_mostly_unseen_is_not_predicted(predictor) -> None:
    """That predictor has learned from networks without adder layers, as those of graph runtimes have."""
    with on_meta_device():
        calls = trace(create("adder_resnet20"))
    with pytest.raises(PredictorError, match=r"9\d% of the operations are adder2d: nothing is known of them in eager"):
        predictor.predict(calls)


def test_features_are_those_of_this_version() -> None:
    """A predictor of other features would be read, and be wrong: when this fails, count VERSION in _store up."""
    described = hashlib.sha256()
    for name in ("mobilenet_v3_small", "shufflenet_v1", "ghostnet", "igcv1_cifar", "adder_resnet20"):
        with on_meta_device():
            calls = trace(create(name))
        for unit in [*single_units(calls), *merged_units(calls)]:
            described.update(f"{unit.kind} {[f'{number:.6g}' for number in features(unit)]}".encode())
    assert (VERSION, described.hexdigest()[:12]) == (2, "0c1fe6c37d42")


def test_a_predictor_is_kept_as_plain_data_and_reads_back_the_same(predictor, tmp_path) -> None:
    path = save_predictor(predictor, tmp_path / "p.safetensors")
    again = load_predictor("eager", 1, path)
    with on_meta_device():
        calls = trace(create("mobilenet_v2", width=0.5))
    assert again.predict(calls) == predictor.predict(calls)
    assert path.stat().st_size < 8_000_000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"machine": "an abacus"}, "is of another machine, an abacus"),
        ({"version": 99}, "has version 99"),
        ({"versions": versions() | {"torch": "1.0"}}, "has learned with torch 1.0"),
        ({"versions": versions() | {"featherweight": "0.0.1"}}, "has learned with featherweight 0.0.1"),
        ({"runtime": "openvino"}, "is for openvino with 1 threads"),
    ],
)
def test_a_predictor_of_something_else_is_refused_and_kept(predictor, tmp_path, change, complaint) -> None:
    path = save_predictor(predictor, tmp_path / "p.safetensors")
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["featherweight predictor"])
    save_file(load_file(path), path, {"featherweight predictor": json.dumps(about | change)})
    with pytest.raises(PredictorError, match=complaint):
        load_predictor("eager", 1, path)
    assert path.is_file()


@pytest.mark.parametrize("content", [b"", b"nonsense", b'\x08\0\0\0\0\0\0\0{"a": 1}'])
def test_a_damaged_predictor_is_set_aside(tmp_path, content) -> None:
    path = tmp_path / "p.safetensors"
    path.write_bytes(content)
    with pytest.raises(PredictorError, match="is damaged"):
        load_predictor("eager", 1, path)
    (aside,) = tmp_path.glob("p.safetensors.damaged-*")
    assert aside.read_bytes() == content


def test_a_missing_predictor_says_what_to_run(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert predictor_path("onnxruntime", 2).parent == tmp_path / "featherweight"
    with pytest.raises(PredictorError, match="featherweight calibrate --runtimes onnxruntime --threads 2"):
        load_predictor("onnxruntime", 2)


def test_a_sum_varies_by_what_its_parts_have_in_common() -> None:
    """In closed form: one sample at 0, a new one there, and one where nothing is known."""
    found = GaussianProcess(
        x=torch.zeros(1, 1).double(), y=torch.zeros(1).double(), spread=torch.zeros(1).double(),
        scales=torch.ones(1).double(), amplitude=2.0, noise=0.5, offset=0.0,
    )  # fmt: skip
    known, unknown = 2 - 2 * 2 / 2.5 + 0.5, 2 + 0.5
    apart = torch.tensor([[0.0], [1e6]]).double()
    assert found(apart[:1])[1] == pytest.approx(known, rel=1e-5)
    assert found(apart[1:])[1] == pytest.approx(unknown, rel=1e-5)
    assert found(apart, torch.tensor([3.0, 2.0]).double())[1] == pytest.approx(9 * known + 4 * unknown, rel=1e-5)
    together = torch.tensor([[1e6], [1e6]]).double()
    assert found(together)[1] == pytest.approx(4 * 2 + 2 * 0.5, rel=1e-5)


def test_runtimes_that_do_not_tell_are_refused(calibration) -> None:
    with pytest.raises(ValueError, match="compile does not tell"):
        learn("compile", calibration)


def test_learning_needs_a_few_networks(calibration, monkeypatch) -> None:
    monkeypatch.setattr(learning, "_measured", lambda *_: [])
    with pytest.raises(ValueError, match="0 networks; 20 are needed"):
        learn("eager", calibration)


def test_a_gaussian_process_knows_where_it_knows_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(60, 2, generator=generator, dtype=torch.float64) * 4
    y = torch.sin(x[:, 0]) + 0.3 * x[:, 1]
    found = fit(x, y)
    mean, near = found(torch.tensor([[2.0, 2.0]], dtype=torch.float64))
    assert float(mean) == pytest.approx(math.sin(2) + 0.6, abs=0.02)
    far_mean, far = found(torch.tensor([[90.0, 90.0]], dtype=torch.float64))
    assert far > 20 * near
    assert float(far_mean) == pytest.approx(float(y.median()), abs=1e-3)


@pytest.mark.parametrize("runtime", ["eager", "onnxruntime", "openvino"])
def test_each_runtime_tells_what_the_operators_of_a_random_network_take(runtime) -> None:
    """In a child process, as `learn` does; every unit finds its nodes."""
    from featherweight.bench import Worker, missing

    if (reason := missing(runtime)) is not None:
        pytest.skip(reason)
    options = {"seed": 4, "resolution": 32, "adders": False}
    with Worker(runtime, 1, 120.0) as worker:
        worker.ask(do="load", network="random_network", options=options, batch=1, shape=None, compare=False)
        answer = worker.ask(do="operators", turns=1, seconds=0.001)
    sample = learning.sample_of(runtime, Measured(options, answer["operators"], answer["whole"]), 0.0)
    assert sum(sample.units.values()) == pytest.approx(sum(answer["operators"].values()))
    convolutions = [seconds for unit, seconds in sample.units.items() if unit.root.op == "convolution"]
    assert min(convolutions) > 0
