"""Training with rounded numbers: straight-through gradients, batch norms folded, and the same numbers in the file."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from featherweight.compress import QuantizationError, fold_batch_norm, quantization_aware, quantize, synthetic_pictures
from featherweight.compress._aware import RoundedInput, RoundedWeight
from featherweight.compress._layers import outputs
from featherweight.export import probe
from featherweight.networks import create


def test_a_weights_gradient_goes_straight_through():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    passed = torch.arange(weight.numel()).reshape(weight.shape).float()
    rounded = RoundedWeight(7)(weight)
    rounded.backward(passed)
    assert torch.equal(weight.grad, passed)
    whole = rounded.detach() / (weight.detach().abs().amax((1, 2, 3), keepdim=True) / 7)
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    assert whole.abs().amax((1, 2, 3)).tolist() == pytest.approx([7, 7, 7, 7])
    assert (whole.round().unique().numel()) <= 15


def test_an_activations_gradient_stops_outside_of_the_range():
    layer = RoundedInput("head").eval()
    layer.lowest.fill_(-1.0)
    layer.highest.fill_(2.0)
    x = torch.tensor([-3.0, -0.5, 0.0, 1.7, 2.5], requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert y.detach().numpy() == pytest.approx([-1, -0.5, 0, 1.7, 2], abs=3 / 255)


def test_ranges_follow_the_batches_in_train_mode_only():
    layer = RoundedInput("head")
    layer(torch.tensor([-1.0, 3.0]))
    assert (float(layer.lowest), float(layer.highest)) == (-1, 3)
    layer(torch.tensor([0.5, 23.0]))
    assert (float(layer.lowest), float(layer.highest)) == pytest.approx((-0.95, 4.0))
    layer.eval()(torch.tensor([100.0]))
    assert float(layer.highest) == pytest.approx(4.0)


def batches(count):
    draw = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.randn(32, 1, 16, 16, generator=draw)
        yield x, (x[:, :, :8].mean((1, 2, 3)) > x[:, :, 8:].mean((1, 2, 3))).long()


@pytest.fixture(scope="module")
def trained(calibrated):
    def part(channels, out, groups, stride):
        conv = nn.Conv2d(channels, out, 3, stride, 1, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(out), nn.ReLU()]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [*part(1, 16, 1, 2), *part(16, 16, 16, 1), *part(16, 32, 1, 2), *part(32, 32, 32, 1)]
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
        return calibrated(model, (1, 16, 16))


def test_training_on_wins_back_what_four_bits_lose(trained, tmp_path):
    reference = fold_batch_norm(trained)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    aware = quantization_aware(trained, bits=4)
    optimizer = torch.optim.Adam(aware.parameters(), lr=1e-3)
    errors = []
    for x, _ in batches(25):
        with torch.no_grad():
            wanted = reference(x)
        error = (aware(x) - wanted).square().mean() / wanted.square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:3])
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in aware.modules())

    plain = aware.converted()
    weight = plain.state_dict()["0.weight"]
    assert {name.rpartition(".")[2] for name in plain.state_dict()} == {"weight", "bias"}
    assert weight.unique().numel() <= 15 * len(weight)
    (tmp_path / "float.onnx").write_bytes(probe(plain, (1, 16, 16), batch=32))
    x = next(iter(batches(1)))[0]
    ranges = aware.ranges()
    path = quantize(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", x.numpy(), bits=4, ranges=ranges, adaround=False,
        keep_names=True,
    )  # fmt: skip
    with torch.no_grad():
        wanted = aware.eval()(x).numpy()
    got = outputs(onnx.load(path), x.numpy())
    assert ((got - wanted) ** 2).mean() < 0.03 * (wanted**2).mean()  # outputs of layers are rounded as well
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    low, high = ranges["0"]
    assert float(constants["input_scale"]) == pytest.approx((high - low) / 255, rel=1e-5)
    stored = constants["0.weight_quantized_int4"].astype(np.int8) * constants["0.weight_scale"].reshape(-1, 1, 1, 1)
    assert np.abs(stored - weight.numpy()).max() < 1e-6


def test_what_cannot_be_trained_so(trained):
    with pytest.raises(QuantizationError, match="wanted 4, 5, 6, 8 bits for a weight; got 2"):
        quantization_aware(trained, bits=2)
    with pytest.raises(QuantizationError, match=r"bits for a weight; got 8\.0"):
        quantization_aware(trained, bits=8.0)
    with pytest.raises(QuantizationError, match="neither Conv2d nor Linear"):
        quantization_aware(nn.Sequential(nn.ReLU()))
    with pytest.raises(QuantizationError, match=r"no batch in train mode has reached the layers 0, 3, 6"):
        quantization_aware(trained).ranges()


def distance(model, x):
    """How far the statistics before each batch norm are from the running ones, in running deviations."""
    found = []
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [
        norm.register_forward_pre_hook(
            lambda norm, inputs: found.append(
                ((inputs[0].mean((0, 2, 3)) - norm.running_mean) / norm.running_var.sqrt()).abs().mean().item()
            )
        )
        for norm in norms
    ]
    with torch.no_grad():
        model(torch.from_numpy(x))
    for hook in hooks:
        hook.remove()
    return np.mean(found)


def test_synthetic_pictures_give_batch_norms_what_they_remember(trained):
    first, again = (synthetic_pictures(trained, (1, 16, 16), count=16, steps=30) for _ in range(2))
    assert np.array_equal(first, again)
    noise = synthetic_pictures(trained, (1, 16, 16), count=16, steps=0)
    shifted = copy.deepcopy(trained).train()
    with torch.no_grad():  # as if the training pictures had been brighter
        for norm in (module for module in shifted.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.reset_running_stats()
        shifted(torch.from_numpy(noise) * 2 + 1.5)
    shifted.eval()
    shifted.train()
    still = next(module for module in shifted.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    made = synthetic_pictures(shifted, (1, 16, 16), count=16, steps=30)
    assert shifted.training and not still.training  # each module in its own mode
    shifted.eval()
    assert distance(shifted, made) < 0.5 * distance(shifted, noise)
    assert all(parameter.grad is None for parameter in shifted.parameters())
    with pytest.raises(QuantizationError, match="no batch norm"):
        synthetic_pictures(fold_batch_norm(trained), (1, 16, 16))


def test_before_a_batch_in_train_mode_it_answers_nothing(trained):
    aware = quantization_aware(trained).eval()
    with pytest.raises(QuantizationError, match="no batch in train mode has reached the layer 0: its range"):
        aware(torch.randn(2, 1, 16, 16))
    aware.train()(torch.randn(2, 1, 16, 16))
    assert aware.eval()(torch.randn(2, 1, 16, 16)).isfinite().all()


def test_an_input_that_was_always_zero_is_converted(trained, tmp_path):
    aware = quantization_aware(trained)
    with torch.no_grad():
        aware.network[0].bias.fill_(-100.0)
    x = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    wanted = aware(x).detach().numpy()
    ranges = aware.ranges()
    assert 0 == ranges["3"][0] < ranges["3"][1] < 1e-20
    (tmp_path / "float.onnx").write_bytes(probe(aware.converted(), (1, 16, 16), 8))
    path = quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", x.numpy(), ranges=ranges)
    got = outputs(onnx.load(path), x.numpy())
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def test_ranges_are_kept_where_the_weights_are(trained):
    aware = quantization_aware(copy.deepcopy(trained).to("meta"))
    assert {buffer.device.type for buffer in aware.buffers()} == {"meta"}


def test_the_error_of_a_rounded_layer_is_not_one_of_the_pictures_size():
    model = create("mobilenet_v2", width=0.35, num_classes=2, in_channels=1)
    with pytest.raises(QuantizationError, match="no batch in train mode has reached the layer stem"):
        quantization_aware(model).eval()(torch.randn(2, 1, 16, 16))


def test_ranges_of_no_layer_are_refused_and_of_some_are_told(trained, tmp_path):
    x, told = np.random.default_rng(0).standard_normal((8, 1, 16, 16), dtype=np.float32), []
    source = tmp_path / "float.onnx"
    source.write_bytes(probe(fold_batch_norm(trained), (1, 16, 16), 8))
    with pytest.raises(QuantizationError, match="none of the ranges is of a layer: they are of stm, head"):
        quantize(source, tmp_path / "int8.onnx", x, ranges={"stm": (0, 1), "head": (0, 1)})
    some = {"0": (-3.0, 3.0), "stm": (0.0, 1.0)}
    quantize(source, tmp_path / "int8.onnx", x, ranges=some, bits=4, keep_float=["3", "3"], report=told.append)
    assert (told[0].unused_ranges, told[0].adaround, told[0].kept_float) == (("stm",), False, ("3",))
