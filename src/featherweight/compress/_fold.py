"""Batch-norm folding: at inference a batch norm is a scale and a shift, and a convolution can do both itself."""

import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn

from featherweight.blocks import AdderConv2d, ConvNormAct, MitchellConv2d, NormAct

UNSCALED = (AdderConv2d, MitchellConv2d)  # filters times s do not give outputs times s
HOOKED = "it or the convolution before it has forward hooks, which would see other values"


class FoldError(ValueError):
    """A batch norm cannot be folded; the message names it and says why."""


def fold_batch_norm(model: nn.Module, *, strict: bool = True) -> nn.Module:
    """Return a copy in evaluation mode whose batch norms are folded into the convolutions before them.

    conv(x; w, b) then (y - mean) / sqrt(var + eps) * gamma + beta  =  conv(x; w * s, (b - mean) * s + beta),
    with s = gamma / sqrt(var + eps) per output channel, computed in float64.

    Folded are the pairs of `ConvNormAct` and every Conv2d that stands directly before a BatchNorm2d in an
    nn.Sequential: only there is it certain that nothing else reads the convolution's output. In the place of the batch
    norm stays an nn.Identity. The batch norm of a `NormAct`, which has an activation between itself and the convolution
    behind it, becomes a depthwise 1x1 convolution: its scale and shift. So does that behind an adder layer, whose bias
    takes the mean: as a part of the shift it would be a large number, of which float16 loses too much. The copy is for
    export and measuring; its state dict is not that of `model`, which is left as it was.

    Args:
        model: any network; its training mode does not matter.
        strict: raise if a batch norm stays; False leaves it in the copy.
    Raises: FoldError: a batch norm stays (only with `strict`); the message lists each with the reason.

    Example:
        >>> import featherweight
        >>> from torch import nn
        >>> model = featherweight.create("mobilenet_v2", width=0.35)
        >>> folded = fold_batch_norm(model)
        >>> [sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (model, folded)]
        [52, 0]
    """
    folded = copy.deepcopy(model).eval()
    uses = Counter(id(module) for _, module in folded.named_modules(remove_duplicate=False))
    left: dict[str, str] = {}
    for path, owner in folded.named_modules():
        if isinstance(owner, NormAct) and _hooked(owner.norm):
            left[f"{path}.norm".lstrip(".")] = HOOKED
        elif isinstance(owner, NormAct):
            owner.norm = _scale_and_shift(owner.norm)  # type: ignore[assignment]
        for conv_name, norm_name in _pairs(owner):
            conv, norm = getattr(owner, conv_name), getattr(owner, norm_name)
            if reason := _obstacle(conv, norm, uses):
                left[f"{path}.{norm_name}".lstrip(".")] = reason
            elif isinstance(conv, UNSCALED):
                if isinstance(conv, AdderConv2d):
                    _center(conv, norm)
                setattr(owner, norm_name, _scale_and_shift(norm))
            else:
                _absorb(conv, norm)
                setattr(owner, norm_name, nn.Identity())
    if strict:
        _demand_none_left(folded, left)
    return folded


def _pairs(owner: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of the children of `owner` that certainly run one directly after the other, the second a batch norm."""
    if isinstance(owner, ConvNormAct) and type(owner).forward is ConvNormAct.forward:
        names = ["conv", "norm"]
    elif isinstance(owner, nn.Sequential) and type(owner).forward is nn.Sequential.forward:
        names = list(owner._modules)
    else:
        return
    for first, second in pairwise(names):
        if isinstance(getattr(owner, second), nn.BatchNorm1d | nn.BatchNorm2d):
            yield first, second


def _obstacle(conv: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d, uses: Counter[int]) -> str | None:
    """Say why the batch norm cannot be folded, or None. A subclass of Conv2d may compute something else."""
    if type(conv) not in (nn.Conv2d, nn.Linear, *UNSCALED):
        return f"it follows a {type(conv).__name__}, not a Conv2d or Linear"
    if norm.running_mean is None:
        return "it keeps no running statistics (track_running_stats=False)"
    if uses[id(conv)] > 1 or uses[id(norm)] > 1:
        return "it or the convolution before it is used in more than one place"
    if _hooked(conv, norm):
        return HOOKED
    return None


def _hooked(*modules: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def _scale_and_shift(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Make the depthwise 1x1 convolution that does what a batch norm does: one that does nothing takes it in."""
    channels = norm.num_features
    conv = nn.Conv2d(channels, channels, 1, groups=channels, bias=False).to(norm.running_mean)
    nn.init.ones_(conv.weight)
    _absorb(conv, norm)
    return conv


@torch.no_grad()
def _center(conv: AdderConv2d, norm: nn.BatchNorm2d) -> None:
    """Give an adder layer minus the batch norm's mean as bias, and the batch norm what float16 cannot hold of it."""
    assert norm.running_mean is not None
    shift = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    limit = torch.finfo(torch.float16).max
    conv.bias = nn.Parameter(shift.clamp(-limit, limit).half().to(conv.weight.dtype))
    norm.running_mean.copy_(conv.bias.double() - shift)


@torch.no_grad()
def _absorb(conv: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Give the convolution or linear layer the weights and bias with which it does the batch norm's work as well."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter((conv.weight.double() * scale.reshape(-1, *[1] * (conv.weight.ndim - 1))).to(dtype))
    conv.bias = nn.Parameter(bias.to(dtype))


def _demand_none_left(folded: nn.Module, reasons: dict[str, str]) -> None:
    left = [name for name, module in folded.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if left:
        lines = (
            f"  {name}: {reasons.get(name, 'it stands in no ConvNormAct and behind no Conv2d of an nn.Sequential')}"
            for name in left
        )
        raise FoldError(
            f"{len(left)} batch norms cannot be folded into a convolution (strict=False leaves them in):\n"
            + "\n".join(lines)
        )
