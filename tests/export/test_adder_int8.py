"""AdderNets in bytes: the runner against its steps in plain PyTorch, against the float network; damaged files."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from featherweight.blocks import AdderConv2d, with_norm
from featherweight.export import adder_int8, load
from featherweight.export.adder_int8 import ModelFileError
from featherweight.networks import create, load_model, load_weights
from featherweight.ops._native import native
from featherweight.ops.adder import reference

pytestmark = pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there is no runner")

layer = with_norm(AdderConv2d)


def calibrated(model, shape):
    """Give batch norms the statistics of noise, so that every layer has values to be wrong about."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.randn(8, *shape))
    return model.eval()


def by_steps(path, x):
    """Go through a file's steps in plain PyTorch."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        steps = json.loads(file.metadata()["steps"])
        tensors = {name: torch.from_numpy(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    values = [x]
    for number, step in enumerate(steps, start=1):
        own = {name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{number}.")}
        values.append(STEPS[step.pop("step")](values, **own, **step))
    return values[-1]


def to_bytes(x):
    return x.round().clamp(0, 255).to(torch.uint8)


def convolution(values, *, weight, shift, stride, padding, dilation, groups):
    return to_bytes(nn.functional.conv2d(values[0], weight, shift, stride, padding, dilation, groups))


def adder(values, *, source, weight, scale, shift, zero, shortcut=-1, shortcut_scale=0.0, **geometry):
    added = None if shortcut < 0 else values[shortcut]
    settings = (geometry[name] for name in ("stride", "padding", "dilation", "groups"))
    return reference.adder2d_int8(values[source], weight, scale, shift, zero, added, shortcut_scale, *settings)


STEPS = {
    "picture": lambda values, scale, shift: to_bytes(values[0] * scale + shift),
    "convolution": convolution,
    "adder": adder,
    "max_pool": lambda values, source, kernel, stride, padding: nn.functional.max_pool2d(
        values[source].float(), kernel, stride, padding
    ).to(torch.uint8),
    "mean": lambda values, source, scale, shift: values[source].float().mean((2, 3)) * scale + shift,
    "unpack": lambda values, source, scale, shift: values[source].float().flatten(1) * scale + shift,
    "linear": lambda values, source, weight, bias: nn.functional.linear(values[source], weight, bias),
    "scores": lambda values, source, weight, scale, shift: (
        -reference.adder2d(values[source].double(), weight.double(), [1, 1], [0, 0], [1, 1], 1).flatten(1).float()
        * scale
        + shift
    ),
}

NETWORKS = [
    ("adder_resnet20", {"width": 0.5}, (3, 20, 17)),
    ("adder_resnet50", {"width": 0.125, "small_input": True}, (3, 32, 32)),
    ("adder_resnet18", {"width": 0.125}, (1, 64, 48)),
    ("adder_vgg_small", {"width": 0.125}, (3, 32, 32)),
    ("adder_lenet5_bn", {}, (1, 32, 32)),
]


@pytest.mark.parametrize(("name", "options", "shape"), NETWORKS, ids=[name for name, *_ in NETWORKS])
def test_the_runner_does_what_the_file_says(tmp_path, name, options, shape):
    model = calibrated(create(name, in_channels=shape[0], num_classes=7, **options), shape)
    x = torch.randn(9, *shape)
    path = adder_int8.export(model, tmp_path / "model.safetensors", x.numpy())
    expected = by_steps(path, x)
    for threads in (1, 2):
        got = torch.from_numpy(adder_int8.load(path, threads)(x.numpy()))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["adder_resnet20", "adder_lenet5_bn"])
def test_bytes_are_near_the_float_network(tmp_path, name):
    model = calibrated(create(name, in_channels=1), (1, 32, 32))
    x = torch.randn(32, 1, 32, 32)
    runner = adder_int8.load(
        adder_int8.export(model, tmp_path / "m.safetensors", x.numpy(), metadata={"labels": [*"0123456789"]})
    )
    with torch.no_grad():
        expected = model(x).numpy()
    assert np.corrcoef(runner(x.numpy()).ravel(), expected.ravel())[0, 1] > 0.99
    assert runner.labels == tuple("0123456789")
    assert runner.input_shape == (1, 32, 32)


def test_one_picture_at_a_time_gives_the_same(tmp_path):
    model = calibrated(create("adder_resnet20", width=0.5), (3, 16, 16))
    x = np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)
    runner = adder_int8.load(adder_int8.export(model, tmp_path / "m.safetensors", x))
    assert np.array_equal(runner(x), np.concatenate([runner(one[None]) for one in x]))
    with pytest.raises(ValueError, match="takes pictures of shape N x 3 x 16 x 16"):
        runner(x[..., :8])


def test_replaced_convolutions_of_any_model_run(tmp_path):
    """A model of ours that no registry knows: a shortcut on either side of a sum, ReLU6, a bias, a linear layer."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU6())
            self.one, self.other = layer(8, 8, kernel_size=3, activation=None), AdderConv2d(8, 8, 1, bias=True)
            self.norm = nn.BatchNorm2d(8)
            self.last = nn.Linear(8, 3)

        def forward(self, x):
            x = self.stem(x)
            x = torch.relu(x + self.one(x))
            x = nn.functional.relu6(self.norm(self.other(x)) + self.one(x))
            return self.last(x.mean((2, 3)))

    model = calibrated(Net(), (2, 12, 12))
    x = torch.randn(16, 2, 12, 12)
    path = adder_int8.export(model, tmp_path / "m.safetensors", x.numpy())
    got = adder_int8.load(path)(x.numpy())
    torch.testing.assert_close(torch.from_numpy(got), by_steps(path, x), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert np.corrcoef(got.ravel(), model(x).numpy().ravel())[0, 1] > 0.99


def test_pictures_that_cannot_calibrate_are_refused(tmp_path):
    model = create("adder_lenet5_bn", in_channels=1)
    for pictures, message in (
        (np.zeros((2, 1, 32, 32)), "got float64"),
        (np.zeros((1, 32, 32), np.float32), r"got float32 \[1, 32, 32\]"),
        (np.full((2, 1, 32, 32), np.nan, np.float32), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            adder_int8.export(model, tmp_path / "m.safetensors", pictures)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    model = calibrated(create("adder_lenet5_bn", in_channels=1), (1, 32, 32))
    path = tmp_path_factory.mktemp("adder") / "m.safetensors"
    return adder_int8.export(model, path, np.random.default_rng(0).normal(size=(4, 1, 32, 32)).astype(np.float32))


def header(path):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return dict(file.metadata())


def change_steps(said, change):
    said["steps"] = json.dumps(change(json.loads(said["steps"])))


def change_adder(said, **settings):
    """Change the second step, an adder layer."""
    change_steps(said, lambda steps: [steps[0], {**steps[1], **settings}, *steps[2:]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, said: said.update(format="other"), "is not an AdderNet in bytes: its format is 'other'"),
        (
            lambda tensors, said: said.update(format_version="9"),
            "has version 9 of its format; this featherweight reads 1",
        ),
        (lambda tensors, said: tensors.pop("2.weight"), "is damaged: KeyError: '2.weight'"),
        (lambda tensors, said: tensors.update({"2.scale": tensors["2.scale"][:-1]}), "scale or shift is not"),
        (lambda tensors, said: tensors.update({"2.scale": tensors["2.scale"] * np.nan}), "not finite"),
        (lambda tensors, said: tensors.update({"2.weight": tensors["2.weight"].astype(np.float32)}), "as uint8 of 4"),
        (lambda tensors, said: tensors.update({"2.weight": tensors["2.weight"][:, :0]}), "not for the channels"),
        (lambda tensors, said: said.update(steps=said["steps"].replace('"source": 1', '"source": 99', 1)), "damaged"),
        (lambda tensors, said: said.update(steps=said["steps"].replace("max_pool", "mean_pool", 1)), "mean_pool"),
        (lambda tensors, said: said.update(steps=said["steps"][:-9]), "damaged"),
        (lambda tensors, said: said.update(input_shape="[1, 9, 9]"), "damaged"),
        (lambda tensors, said: said.update(input_shape="[1, -32, 32]"), "damaged"),
        (lambda tensors, said: said.update(input_shape="[1, 1048576, 1048576]"), "no more than 2147483647 numbers"),
        (lambda tensors, said: said.update(steps="[" * 100_000), "is damaged: RecursionError"),
        (lambda tensors, said: said.update(steps="[]"), "is damaged: ValueError: the last step"),
        (lambda tensors, said: said.update(steps="{}"), "is damaged: ValueError: the last step"),
        (
            lambda tensors, said: change_steps(said, lambda steps: steps[:1]),
            "the last step is not one that gives logits",
        ),
        (lambda tensors, said: said.update(featherweight="null"), "entry featherweight is no object: None"),
        (lambda tensors, said: said.update(featherweight="5"), "entry featherweight is no object: 5"),
        (lambda tensors, said: change_adder(said, shortcut=-5), "wanted 2.shortcut from -1, which stands for none"),
        (lambda tensors, said: change_adder(said, shortcut_scale=1e300), "2.shortcut_scale is not finite in float32"),
        (lambda tensors, said: change_adder(said, stride=[2**62, 2**62]), "wanted 2.stride from -1, .*; got 46116"),
        (lambda tensors, said: change_adder(said, padding=[2**31, 0]), "wanted 2.padding from -1, .*; got 2147483648"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, written, change, message):
    tensors, said = load_file(written), header(written)
    change(tensors, said)
    path = tmp_path / "damaged.safetensors"
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, said)
    with pytest.raises(ModelFileError, match=message):
        adder_int8.load(path)


def test_what_is_no_file_of_ours_is_refused(tmp_path, written):
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        adder_int8.load(tmp_path / "none")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ModelFileError, match="not a file of safetensors"):
        adder_int8.load(tmp_path / "text")
    for threads, message in ((0, "must be 1 or more; got 0"), (10_000, "must be .* or less, 4 for each .*; got 10000")):
        with pytest.raises(ValueError, match=f"threads {message}"):
            adder_int8.load(written, threads=threads)


def test_the_format_is_looked_at_before_the_tensors(tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"a": torch.ones(3, dtype=torch.bfloat16)}, path)
    with pytest.raises(ModelFileError, match="is not an AdderNet in bytes: its format is None"):
        adder_int8.load(path)


def test_the_format_is_told_by_content(tmp_path, written):
    path = tmp_path / "noext"
    path.write_bytes(written.read_bytes())
    assert load(path).steps == load(written).steps


def test_it_is_no_file_of_weights(written):
    """Both formats are of safetensors, and both say featherweight."""
    for read in (load_model, lambda path: load_weights(create("adder_lenet5_bn", in_channels=1), path)):
        with pytest.raises(ValueError, match=r"is an AdderNet in bytes, for `featherweight predict`; give the model"):
            read(written)
