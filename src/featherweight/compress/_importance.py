"""How much a network would miss of what can be removed: by the size of its weights, or by what they do to the loss."""

import copy
from collections.abc import Callable, Iterable

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._channels import PruneError
from ._cut import Anatomy

Batch = tuple[Tensor, Tensor]
Scores = NDArray[np.float64]
Loss = Callable[[Tensor, Tensor], Tensor]


def magnitudes(anatomy: Anatomy) -> Scores:
    """Return for each channel's number the share of the weights that its unit has, summed over its tensors.

    The squares of the weights that a unit has in a tensor are divided by the sum over the tensor, because a batch norm
    takes any factor from a layer's weights: so layers compare, and of a narrow one each channel counts for more.

    Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, extended to what is tied as by Fang et al.,
    "DepGraph", CVPR 2023. Differs from both: squares, as shares of their tensor.
    """
    shares = _zeros(anatomy)
    state = anatomy.model.state_dict()
    for layer in anatomy.layers.values():
        for name, axes in layer.tensors.items():
            for dim, axis in enumerate(axes):
                if name.endswith("weight") and axis is not None and layer.axes[axis].any():
                    squares = _by_place(state[name].detach().double().square(), dim)
                    np.add.at(shares, layer.axes[axis], squares / max(squares.sum(), 1e-30))
    return shares


def taylor(anatomy: Anatomy, batches: Iterable[Batch], loss: Loss = F.cross_entropy) -> Scores:
    """Return for each channel's number what its unit does to the loss, to first order: the squared sum of w * dL/dw.

    It is what a gate behind the unit would see: summed over scale and shift of its batch norms where it has some, over
    its filters where not; for each batch, then averaged. The network runs in evaluation mode.

    Args:
        batches: pictures [N, C, H, W] and labels [N], as the network takes them.
        loss: of logits and labels.
    Raises: PruneError: no batch, or a loss that is not finite.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, equations 8 and 9.
    """
    model = copy.deepcopy(anatomy.model).eval().requires_grad_(True)
    normed = {name for name, module in model.named_modules() if isinstance(module, _BatchNorm) and module.affine}
    has_norm = np.zeros(len(_zeros(anatomy)), bool)
    for name in normed & anatomy.layers.keys():
        has_norm[anatomy.layers[name].axes[0]] = True
    total, count = _zeros(anatomy), 0
    device = next(model.parameters()).device
    for pictures, labels in batches:
        model.zero_grad()
        value = loss(model(pictures.to(device)), labels.to(device))
        if not value.isfinite():
            raise PruneError(f"the loss of batch {count + 1} is {value.item()}: there is no importance in it")
        value.backward()  # type: ignore[no-untyped-call]
        total += np.square(_gates(anatomy, model, normed, has_norm))
        count += 1
    if not count:
        raise PruneError("importance by Taylor needs batches of pictures and labels; there was none")
    return total / count


def _gates(anatomy: Anatomy, model: nn.Module, normed: set[str], has_norm: NDArray[np.bool_]) -> Scores:
    """Sum w * dL/dw over what writes each unit."""
    sums = _zeros(anatomy)
    parameters = dict(model.named_parameters())
    for name, layer in anatomy.layers.items():
        for tensor, axes in layer.tensors.items():
            parameter = parameters.get(tensor)
            if parameter is not None and parameter.grad is not None and axes[0] == 0:
                channels = layer.axes[0]
                products = _by_place((parameter.detach() * parameter.grad).double(), 0)
                wanted = has_norm[channels] == (name in normed)
                np.add.at(sums, channels[wanted], products[wanted])
    return sums


def _by_place(tensor: Tensor, dim: int) -> Scores:
    """Sum over all dimensions but one."""
    others = [other for other in range(tensor.ndim) if other != dim]
    return (tensor.sum(others) if others else tensor).cpu().numpy()


def _zeros(anatomy: Anatomy) -> Scores:
    return np.zeros(len(anatomy.mask(set())))


def scores_of(anatomy: Anatomy, importance: str, batches: Iterable[Batch] | None, loss: Loss) -> Scores:
    """Score by name. Raises: ValueError: an unknown name, or "taylor" without batches."""
    if importance not in ("magnitude", "taylor"):
        raise ValueError(f"importance is 'magnitude' or 'taylor'; got {importance!r}")
    if importance == "magnitude":
        return magnitudes(anatomy)
    if batches is None:
        raise ValueError("importance 'taylor' needs batches, pictures and labels to see the loss with")
    return taylor(anatomy, batches, loss)
