"""Channels removed: the network without them is the network with them at zero, for every network of the registry."""

import copy
import json
import random

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from featherweight.blocks import AdderConv2d
from featherweight.blocks._filters import Filters
from featherweight.compress import PruneError, _prune, pack, prune, replace, share_weights, unpack
from featherweight.compress._cut import Anatomy, picture_shape
from featherweight.compress._plan import families
from featherweight.compress._share import plain
from featherweight.networks import create, load_model, network, networks, save_model
from featherweight.networks._saved import build

SMALLEST = {"width": 0.25, "depth": 0.3}
TIED = ("igcv1",)  # whose groups and shuffles tie all of its channels to one another
ONE_OF_A_FAMILY = list({entry.family: entry.name for entry in reversed(list(networks()))}.values())
"""The whole registry, at full width, is walked by `benchmarks/structured_pruning.py --exact`."""


def small(name: str) -> nn.Module:
    entry = network(name)
    scales = {option: value for option, value in SMALLEST.items() if option in entry.options}
    torch.manual_seed(0)
    return create(name, **{**scales, "num_classes": 10})


def awake(model: nn.Module) -> nn.Module:
    """Make all weights count: a fresh network's logits are about 1e-9, and its norms alike. In float64 if it can."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5) if name.endswith("weight") else parameter.normal_(0, 0.3)
            elif "classifier" in name:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    model.eval()
    if not any(isinstance(module, Filters) for module in model.modules()):
        model.double()
    for module in model.modules():  # batch statistics keep signals alive when channels are zero
        if isinstance(module, _BatchNorm):
            module.train()
    return model


def halved(anatomy: Anatomy) -> set[int]:
    """Choose half of the units that can stand for one another, at random."""
    chosen: set[int] = set()
    for family in families(anatomy, np.zeros(len(anatomy.mask(set()))), round_to=1):
        kept = -(-len(family.units) // 2)
        kept = -(-kept // family.step) * family.step
        chosen |= {u.root for u in random.Random(0).sample(family.units, max(0, len(family.units) - kept))}
    return chosen


def zeroed(anatomy: Anatomy, removed: set[int]) -> nn.Module:
    """Set to zero all that writes these channels; of adder layers, for which zeros count, what reads them too."""
    mask, model = anatomy.mask(removed), copy.deepcopy(anatomy.model)
    state = model.state_dict()
    adders = any(isinstance(module, AdderConv2d) for module in model.modules())
    for layer in anatomy.layers.values():
        for name, axes in layer.tensors.items():
            for dim, axis in enumerate(axes):
                if axis is not None and "running" not in name and "mask" not in name and (dim == 0 or adders):
                    state[name].index_fill_(dim, torch.from_numpy(np.flatnonzero(mask[layer.axes[axis]])), 0.0)
    return model


def assert_exact(model: nn.Module, input_size: tuple[int, int, int] | None = None) -> tuple[Anatomy, set[int]]:
    anatomy = Anatomy(awake(model), picture_shape(model, input_size))
    removed = halved(anatomy)
    if removed:
        pruned = anatomy.without(removed)
        channels, side, _ = anatomy.shape
        dtype = next(model.parameters()).dtype
        x = torch.randn(
            4, channels, max(side, 4), max(side, 4), generator=torch.Generator().manual_seed(0), dtype=dtype
        )
        with torch.no_grad():
            wanted, there, full = (net(x) for net in (zeroed(anatomy, removed), pruned, model))
        close = (1e-3 if dtype == torch.float32 else 1e-7) * float(wanted.std(0).max())
        assert close > 0 and (wanted - full).abs().max() > 100 * close
        torch.testing.assert_close(there, wanted, rtol=0, atol=close)
    return anatomy, removed


@pytest.mark.parametrize("name", ONE_OF_A_FAMILY)
def test_a_network_without_half_of_its_channels_is_that_with_them_at_zero(name: str) -> None:
    _, removed = assert_exact(small(name))
    assert bool(removed) == (name not in TIED)


@pytest.mark.parametrize(
    "make",
    [
        lambda: create("condensenet_cifar", depth=0.25, num_classes=10, converted=False),
        lambda: replace(create("resnet20", num_classes=10), nn.Conv2d, "comp_conv", depth=2).model,
        lambda: replace(create("resnet20", num_classes=10), nn.Conv2d, "mitchell").model,
        lambda: replace(create("mobilenet_v1", width=0.25, num_classes=10), nn.Conv2d, "ghost").model,
    ],
)
def test_layers_that_no_network_of_the_registry_has_by_itself(make) -> None:
    torch.manual_seed(0)
    assert assert_exact(make())[1]


def test_a_network_of_torchvision() -> None:
    torch.manual_seed(0)
    assert assert_exact(torchvision.models.shufflenet_v2_x0_5(num_classes=10), (3, 32, 32))[1]


class Odd(nn.Module):
    """Fixes a width in its forward, so that fewer channels would be cut elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)[:, 4:]).mean((2, 3))


class Unknown(nn.Module):
    """Has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale[:, None, None]


def test_what_cannot_be_followed_is_refused_with_its_place() -> None:
    anatomy = Anatomy(Odd(), (3, 4, 4))
    first = [unit.root for unit in anatomy.units if ("second", 1) not in unit.counts]
    with pytest.raises(PruneError, match="without these channels its own forward does not fit"):
        anatomy.without(set(first[:2]))
    with pytest.raises(PruneError, match=r"the model \(Unknown\) has parameters of a kind that pruning does not know"):
        Anatomy(Unknown(), (3, 4, 4))
    tied = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Flatten())
    tied[2].weight = tied[1].weight
    with pytest.raises(PruneError, match=r"1\.weight and 2\.weight are one tensor \(tied\)"):
        Anatomy(tied, (3, 1, 1))
    with pytest.raises(PruneError, match="cannot be followed through aten::cumsum, called in 0"):
        Anatomy(nn.Sequential(Summed(), nn.Flatten()), (3, 4, 4))


class Summed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(1)


@pytest.fixture(scope="module")
def network_of_digits() -> nn.Module:
    torch.manual_seed(0)
    return create("mobilenet_v2", width=0.5, num_classes=10, in_channels=1, small_input=True)


def test_a_budget_is_met_and_widths_are_rounded(network_of_digits: nn.Module) -> None:
    before = copy.deepcopy(network_of_digits.state_dict())
    pruned = prune(network_of_digits, multiply_adds=0.5, params=2e5, keep="stem", input_size=16)
    assert 0.4 < pruned.after.multiply_adds / pruned.before.multiply_adds <= 0.5 and pruned.after.params <= 2e5
    assert all(row.after % 8 == 0 for row in pruned.layers if row.after < row.before)
    assert pruned.model.stem.conv.out_channels == network_of_digits.stem.conv.out_channels
    assert {row.name: row.reason for row in pruned.left}["stem.conv"] == "stem.conv is kept"
    assert all(torch.equal(tensor, before[name]) for name, tensor in network_of_digits.state_dict().items())
    logits = pruned.model.train()(torch.randn(4, 1, 16, 16))
    logits.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in pruned.model.named_parameters() if "classifier" not in name)
    copy.deepcopy(pruned.model).load_state_dict(pruned.model.state_dict())


def test_latency_as_the_caller_measures_it_is_a_budget(network_of_digits: nn.Module) -> None:
    def latency(model: nn.Module) -> float:
        return 1e-9 * sum(parameter.numel() for parameter in model.parameters())

    pruned = prune(network_of_digits, latency=latency, latency_seconds=3e-4, input_size=16)
    assert pruned.latency_after_seconds <= 3e-4 < pruned.latency_before_seconds
    assert pruned.latency_after_seconds > 2e-4 and pruned.fast_enough


def test_the_latency_of_the_result_counts_not_a_lucky_look() -> None:
    model = nn.Sequential(nn.Conv2d(1, 16, 1), nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16, 2))
    model.num_features = 16
    lucky = [5.1e-8]

    def latency(model: nn.Module) -> float:
        seconds = 1e-9 * sum(parameter.numel() for parameter in model.parameters())
        return lucky.pop() if lucky and 6e-8 < seconds < 7e-8 else seconds

    pruned = prune(model, latency=latency, latency_seconds=5.2e-8, input_size=(1, 1, 1), round_to=1)
    assert not lucky and pruned.latency_after_seconds <= 5.2e-8 and pruned.fast_enough


def test_a_pruned_network_comes_back_from_its_file(network_of_digits: nn.Module, tmp_path) -> None:
    once = prune(network_of_digits, multiply_adds=0.7, input_size=16).model
    twice = prune(once, size_bytes=0.6, input_size=16).model.eval()
    for path in (save_model(twice, tmp_path / "a.safetensors"), pack(twice, tmp_path / "a.fwz", density=1).path):
        again = (load_model if path.suffix == ".safetensors" else unpack)(path)
        assert repr(again) == repr(twice) and again.widths == twice.widths
    x = torch.randn(2, 1, 16, 16)
    assert torch.equal(load_model(tmp_path / "a.safetensors").eval()(x), twice(x))
    assert again.get_classifier().in_features == again.num_features


@pytest.mark.parametrize(
    ("widths", "complaint"),
    [
        ({"stem.conv": [8, 1, 1]}, "do not fit one another"),
        ({"stem.conv": [99, 1, 1]}, r"widths \[99, 1, 1\] of stem.conv \(Conv2d\): wanted 1 to 16; got 99"),
        ({"stem.conv": [8]}, "widths .* of stem.conv"),
        ({"stem.conv": "8"}, "wanted whole numbers"),
        ({"stem.conv": [8.0, 1, 1]}, "wanted whole numbers"),
        ({"stem.conv": [0, 1, 1]}, "wanted 1 to 16; got 0"),
        ({"nothing": [8]}, "a width is for 'nothing', but the network has no such layer"),
        ({"body": [8]}, "body is a Sequential, which has no widths"),
        ([8], "the widths of a pruned network are an object by layer"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(network_of_digits: nn.Module, widths: object, complaint: str) -> None:
    name, options = network_of_digits.name, network_of_digits.options
    record = {"name": name, "options": options, "batch_norm_eps": 1e-5, "widths": widths}
    with pytest.raises(ValueError, match=f"^a file: .*{complaint}"):
        build({"featherweight": json.dumps(record)}, "a file")


def test_importance_by_taylor_finds_the_channels_that_matter() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    ).eval()
    model.num_features = 16
    with torch.no_grad():
        model[4].weight[:, 8:] = 0  # these outputs are large, and nobody reads them
        model[1].weight[8:] = 9
    batches = [(torch.randn(64, 1, 1, 1), torch.randint(2, (64,)))]
    by_taylor = prune(model, params=0.8, importance="taylor", batches=batches, input_size=(1, 1, 1), round_to=1)
    by_size = prune(model, params=0.8, input_size=(1, 1, 1), round_to=1)
    assert by_taylor.model[1].weight.max() == 9 and (by_taylor.model[1].weight < 9).sum() == 8
    assert (by_size.model[1].weight < 9).sum() < 8


def test_a_batch_norm_without_scale_says_nothing_of_a_channel() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 1, bias=False), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)
    ).eval()
    model.num_features = 8
    with torch.no_grad():
        model[0].weight[:4] = 1.0  # nobody reads the others
        model[4].weight[:, 4:] = 0
    batches = [(torch.rand(64, 1, 1, 1), torch.randint(2, (64,)))]
    pruned = prune(model, params=0.8, importance="taylor", batches=batches, input_size=(1, 1, 1), round_to=1)
    assert (pruned.model[0].weight == 1).sum() == 4


def test_a_network_of_shared_weights_is_pruned_as_one_with_their_values(network_of_digits: nn.Module) -> None:
    shared = share_weights(network_of_digits, bits=2)
    found, wanted = (prune(model, params=0.7, input_size=16) for model in (shared, plain(shared)))
    assert found.to_dict() == wanted.to_dict()
    assert all(map(torch.equal, found.model.state_dict().values(), wanted.model.state_dict().values()))


def test_wrong_choices_are_named(network_of_digits: nn.Module) -> None:
    unread = (pytest.fail("the pictures were read") for _ in range(1))
    for choices, complaint in (
        ({}, "no budget: give multiply_adds"),
        ({"multiply_adds": -1}, "multiply_adds must be above 0; got -1"),
        ({"multiply_adds": 0, "params": 0.5}, "multiply_adds must be above 0; got 0"),
        ({"params": float("nan")}, "params must be above 0; got nan"),
        ({"latency_seconds": 0, "latency": lambda made: 1.0}, "latency_seconds must be above 0; got 0"),
        ({"multiply_adds": 0.5, "round_to": 0}, "round_to is a number of channels, 1 or more; got 0"),
        ({"multiply_adds": 0.5, "least_left": 0}, "least_left is a share"),
        ({"multiply_adds": 0.5, "keep": "tail"}, "keep: no layer of the network fits 'tail'"),
        ({"params": 0.5, "keep": "tail", "importance": "taylor", "batches": unread}, "keep: no layer"),
        ({"multiply_adds": 0.5, "importance": "age"}, "importance is 'magnitude' or 'taylor'; got 'age'"),
        ({"multiply_adds": 0.5, "importance": "taylor"}, "importance 'taylor' needs batches"),
        ({"latency_seconds": 1.0}, "given together or not at all"),
        ({"params": 10}, "with all removed that can be, it still has params"),
    ):
        with pytest.raises(ValueError, match=complaint):
            prune(network_of_digits, input_size=16, **choices)


def test_of_several_bounds_the_one_that_leaves_least_gives_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, orders = create("mobilenet_v2", width=0.35, num_classes=3, in_channels=1), []
    real = _prune.sizes_of
    monkeypatch.setattr(_prune, "sizes_of", lambda *given: orders.append(given[2]) or real(*given))
    for bounds in ({"multiply_adds": 0.5, "params": 0.9}, {"multiply_adds": 0.9, "params": 0.5}):
        pruned = prune(model, **bounds, input_size=(1, 32, 32))
        assert pruned.after.multiply_adds <= bounds["multiply_adds"] * pruned.before.multiply_adds
    assert orders == ["multiply_adds", "params"]
