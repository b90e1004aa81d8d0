"""Ours against torchvision's and timm's networks: the same parameters, multiply-adds and outputs from their weights."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.networks import analyze, create, load_weights, networks, on_meta_device


class Peer(NamedTuple):
    """A network of theirs and what it is here."""

    theirs: Callable[[], nn.Module]
    name: str
    options: Mapping[str, object] = MappingProxyType({})
    # 'Same' padding of the tf_ networks is symmetric, as ours, where all sides are odd: 65, 33, 17, 9, 5, 3.
    resolution: int = 64


def in_torchvision(name: str, **options: object) -> Callable[[], nn.Module]:
    return lambda: torchvision.models.get_model(name, weights=None, **options)


def in_timm(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, pretrained=False)


TORCHVISION = {
    "squeezenet1_0": Peer(in_torchvision("squeezenet1_0"), "squeezenet"),
    "squeezenet1_1": Peer(in_torchvision("squeezenet1_1"), "squeezenet", {"version": "1.1"}),
    "mobilenet_v2": Peer(in_torchvision("mobilenet_v2"), "mobilenet_v2"),
    "mobilenet_v2 x0.35": Peer(in_torchvision("mobilenet_v2", width_mult=0.35), "mobilenet_v2", {"width": 0.35}),
    "mobilenet_v3_large": Peer(in_torchvision("mobilenet_v3_large"), "mobilenet_v3_large"),
    "mobilenet_v3_small": Peer(in_torchvision("mobilenet_v3_small"), "mobilenet_v3_small"),
    **{
        f"shufflenet_v2_x{width:.1f}".replace(".", "_"): Peer(
            in_torchvision(f"shufflenet_v2_x{width:.1f}".replace(".", "_")),
            "shufflenet_v2",
            {"width": width, "split": "equal", "classifier_bias": True},
        )
        for width in (0.5, 1.0, 1.5, 2.0)
    },
    **{f"efficientnet_b{i}": Peer(in_torchvision(f"efficientnet_b{i}"), f"efficientnet_b{i}") for i in range(8)},
}
TIMM = {
    "mobilenetv1_100": Peer(in_timm("mobilenetv1_100"), "mobilenet_v1"),
    **{
        f"mobilenetv2_{percent:03}": Peer(
            in_timm(f"mobilenetv2_{percent:03}"), "mobilenet_v2", {"width": percent / 100}
        )
        for percent in (35, 50, 75, 100, 140)
    },
    **{
        f"mobilenetv3_{size}_{percent:03}": Peer(
            in_timm(f"mobilenetv3_{size}_{percent:03}"), f"mobilenet_v3_{size}", {"width": percent / 100}
        )
        for size in ("large", "small")
        for percent in (75, 100)
    },
    **{
        f"tf_mobilenetv3_{size}_minimal_100": Peer(
            in_timm(f"tf_mobilenetv3_{size}_minimal_100"), f"mobilenet_v3_{size}", {"minimalistic": True}, 65
        )
        for size in ("large", "small")
    },
    **{
        f"ghostnet_{percent:03}": Peer(in_timm(f"ghostnet_{percent:03}"), "ghostnet", {"width": percent / 100})
        for percent in (50, 100, 130)
    },
    **{f"efficientnet_b{i}": Peer(in_timm(f"efficientnet_b{i}"), f"efficientnet_b{i}") for i in range(8)},
    "tf_efficientnet_b0": Peer(in_timm("tf_efficientnet_b0"), "efficientnet_b0", {}, 65),
}
PEERS = {
    **{f"torchvision {name}": peer for name, peer in TORCHVISION.items()},
    **{f"timm {name}": peer for name, peer in TIMM.items()},
}

every_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS.keys())


@every_peer
def test_same_parameters_and_multiply_adds(peer: Peer) -> None:
    with on_meta_device():
        theirs = peer.theirs().eval()
        pixels = torch.empty(1, 3, peer.resolution, peer.resolution)
    with FlopCounterMode(display=False) as counter:
        theirs(pixels)
    ours = analyze(peer.name, peer.resolution, **peer.options)
    assert ours.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert 2 * ours.multiply_adds == counter.get_total_flops()


@every_peer
@torch.no_grad()
def test_same_outputs_from_the_same_weights(peer: Peer) -> None:
    with on_meta_device():
        theirs, ours = peer.theirs(), create(peer.name, **peer.options)
    theirs, ours = theirs.to_empty(device="cpu"), ours.to_empty(device="cpu").eval()
    pixels = torch.randn(4, 3, peer.resolution, peer.resolution)
    fill_and_calibrate(theirs, pixels)
    eps = {norm.eps for norm in theirs.modules() if isinstance(norm, nn.BatchNorm2d)}
    load_weights(ours, theirs.state_dict(), batch_norm_eps=eps.pop() if eps else None)
    assert not eps, "their batch norms differ among themselves"

    pixels = torch.randn(2, 3, peer.resolution, peer.resolution)
    logits = theirs(pixels)
    assert logits.std(0).mean() > 0.01, "their logits do not depend on the picture: nothing would be shown"
    torch.testing.assert_close(ours(pixels), logits, atol=1e-5, rtol=1e-5)


def fill_and_calibrate(model: nn.Module, pixels: torch.Tensor) -> None:
    """Draw weights, and set batch-norm statistics and last layer so that the logits depend on the picture."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            last = module
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
    model.train()
    for _ in range(2):
        model(pixels)
    nn.init.normal_(last.weight, 0.0, 0.05)
    model.eval()


def test_every_family_of_ours_that_they_have_is_compared() -> None:
    """A new network of ours under a name that torchvision has must join the list."""
    shared = {entry.name for entry in networks()} & set(torchvision.models.list_models())
    assert shared <= {peer.name for peer in PEERS.values()}
