"""Ours against torchvision's and timm's networks: the same parameters, multiply-adds and outputs from their weights."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.networks import WeightsWarning, analyze, create, load_weights, networks, on_meta_device
from featherweight.networks._counterparts import COUNTERPARTS, Counterpart

MANY = 20_000_000  # parameters: such a network is one of a family whose smaller ones meet a second size of picture
every_peer = pytest.mark.parametrize("peer", COUNTERPARTS, ids=str)


def sides(peer: Counterpart) -> tuple[int, int]:
    """Sides of the pictures to compare with.

    'Same' padding is symmetric, as ours, where all sides are odd: 65, 33, 17, 9, 5, 3.
    """
    if peer.theirs == "alexnet":
        return 64, 79  # it needs 63
    return (33, 65) if peer.same_padding else (48, 65)


@pytest.mark.parametrize("peer", {peer.ours: peer for peer in COUNTERPARTS}.values(), ids=str)
def test_same_parameters_and_multiply_adds(peer: Counterpart) -> None:
    side = sides(peer)[1]
    theirs = peer.build().eval()
    with FlopCounterMode(display=False) as counter:
        theirs(torch.empty(1, 3, side, side, device="meta"))
    ours = analyze(peer.name, side, **peer.options)
    assert ours.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert 2 * ours.multiply_adds == counter.get_total_flops()


@every_peer
@torch.no_grad()
def test_same_outputs_from_the_same_weights(peer: Counterpart) -> None:
    with on_meta_device():
        ours = create(peer.name, **peer.options)
    theirs, ours = peer.build().to_empty(device="cpu"), ours.to_empty(device="cpu").eval()
    small, large = sides(peer)
    fill_and_calibrate(theirs, torch.randn(4, 3, small, small))
    load_weights(ours, theirs.state_dict(), batch_norm_eps=peer.batch_norm_eps)
    assert {norm.eps for norm in theirs.modules() if isinstance(norm, nn.BatchNorm2d)} <= {peer.batch_norm_eps}
    many = sum(parameter.numel() for parameter in ours.parameters()) > MANY
    for side in (small,) if many else (small, large):
        pixels = torch.randn(2, 3, side, side)
        logits = theirs(pixels)
        assert logits.std(0).mean() > 0.01, "their logits do not depend on the picture: nothing would be shown"
        torch.testing.assert_close(ours(pixels), logits, atol=1e-5 * logits.abs().max().item(), rtol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "eps", "remark"),
    [
        ("torchvision's mobilenet_v3_small", 1e-3, None),
        ("torchvision's efficientnet_b0", 1e-5, None),
        ("timm's tf_efficientnetv2_b0", 1e-3, "SAME"),
        ("timm's efficientnet_b0", 1e-5, "timm's tf_efficientnet_b0 has the same names"),
    ],
)
def test_a_file_that_is_known_by_its_names_brings_its_eps(theirs, eps, remark, tmp_path) -> None:
    peer = next(one for one in COUNTERPARTS if str(one) == theirs)
    torch.save(peer.build().to_empty(device="cpu").state_dict(), tmp_path / "theirs.pth")
    ours = create(peer.name, **peer.options)
    if remark:
        with pytest.warns(WeightsWarning, match=remark):
            load_weights(ours, tmp_path / "theirs.pth")
    else:
        load_weights(ours, tmp_path / "theirs.pth")
    assert {norm.eps for norm in ours.modules() if isinstance(norm, nn.BatchNorm2d)} == {eps}


def test_other_options_are_named(tmp_path) -> None:
    theirs = torchvision.models.shufflenet_v2_x0_5(weights=None).state_dict()
    save_file(theirs, tmp_path / "theirs.safetensors")
    wanted = (
        r"torchvision's shufflenet_v2_x0_5, which is shufflenet_v2\(width=0.5, split='equal', classifier_bias=True\)"
    )
    for source in (theirs, tmp_path / "theirs.safetensors"):
        with pytest.raises(ValueError, match=wanted):
            load_weights(create("shufflenet_v2", width=0.5), source)


def fill_and_calibrate(model: nn.Module, pixels: torch.Tensor) -> None:
    """Draw weights, and set batch-norm statistics and last layer so that the logits depend on the picture."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight)
            last = module
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
    model.train()(pixels)
    nn.init.normal_(last.weight, 0.0, 0.05)
    model.eval()


def test_every_network_of_ours_that_they_have_is_compared() -> None:
    """A new network of ours under a name that one of them has must join the list."""
    theirs = {"torchvision": torchvision.models.list_models(), "timm": timm.list_models()}
    for library, names in theirs.items():
        shared = {entry.name for entry in networks()} & set(names)
        assert shared <= {peer.name for peer in COUNTERPARTS if peer.library == library}


@every_peer
def test_what_is_called_trained_is(peer: Counterpart) -> None:
    if peer.library == "torchvision":
        assert peer.trained == bool(len(torchvision.models.get_model_weights(peer.theirs)))
    else:
        assert peer.trained == bool(timm.get_pretrained_cfg(peer.theirs).has_weights)
