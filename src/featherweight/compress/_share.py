"""Pruned and shared weights: of each layer the largest weights are kept, and each of them is one of a few values."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ._coders import Floats

Progress = Callable[[float], None]

TINY = 1024
"""A tensor of fewer weights is kept as it is: its codebook would be as large as what it saves."""
_ROUNDS = 1000  # of k-means at the most


class PackError(ValueError):
    """A network's weights cannot be shared; the message names them and says why."""


class SharedWeight(nn.Module):
    """A parametrization: the weight is looked up in its codebook, [centroids] -> the weight's shape.

    What is trained is the codebook; the gradient of a centroid is the sum of its weights' gradients (Han et al.,
    2016, equation 3). Which weights are pruned, and which share a centroid, stays.

    Args:
        weight: of few distinct values.
    """

    centroids: Tensor  # at the beginning
    places: Tensor  # of each weight, 0 where it is pruned, else 1 + the index of its centroid

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        values = torch.unique(weight.detach())
        self.centroids = values[values != 0]
        places = torch.searchsorted(self.centroids, weight.detach()) + 1
        self.register_buffer("places", torch.where(weight == 0, 0, places).to(torch.int32))

    def forward(self, codebook: Tensor) -> Tensor:
        weight: Tensor = F.embedding(self.places, F.pad(codebook, (1, 0))[:, None]).squeeze(-1)
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        return self.centroids.to(weight)


def share_weights(
    model: nn.Module, *, density: float = 0.33, bits: int = 6, progress: Progress | None = None
) -> nn.Module:
    """Return a copy whose large weights are pruned and shared, so that training it trains the shared values.

    Each tensor of at least 1024 weights with two dimensions or more (filters and matrices) keeps the largest share
    `density` of its weights, by magnitude; those that are zero already stay so. What is kept is clustered by k-means,
    whose centroids begin in equal steps from the smallest weight to the largest, and each weight becomes its centroid.
    Biases, batch norms and smaller tensors stay as they are.

    It is done layer by layer, since a batch norm takes any factor from a layer's weights: one layer's magnitudes say
    nothing beside another's, and a threshold for all would empty some.

    The copy is trained as any network, by `featherweight.train.train` or a loop; `pack` then writes it.

    Args:
        model: float32; its weights are not changed.
        density: share of the weights to keep, in (0, 1].
        bits: of an index into a codebook, 1 to 8; there are at most 2^bits centroids.
        progress: called with the share that is done, from 0 to 1.
    Raises:
        ValueError: an argument out of its range.
        PackError: large weights that are not finite, not of float32, or one tensor in two layers (tied).

    Source: Han et al., "Deep Compression", ICLR 2016, sections 2 and 3. Differs from the paper: one density for all
    layers, where theirs were chosen for each by trial.

    Example:
        >>> from featherweight.networks import create
        >>> shared = share_weights(create("squeezenet", num_classes=10), density=0.33, bits=4)
        >>> weight = shared.body[2].squeeze.weight
        >>> weight.count_nonzero().item() / weight.numel(), weight.unique().numel() <= 16 + 1
        (0.330..., True)
    """
    check_choices(density, bits)
    copied = plain(model)
    for one, other in tied(copied):
        if is_large(one, copied.get_parameter(one)):
            raise PackError(f"{one} and {other} are one tensor (tied); those that are shared belong to one layer each")
    for name, weight in with_progress(dict(copied.named_parameters()), progress):
        if is_large(name, weight):
            owner, _, tensor = name.rpartition(".")
            module = copied.get_submodule(owner)
            with torch.no_grad():
                weight.copy_(torch.from_numpy(shared(weight.detach().cpu().numpy(), density, bits)))
            parametrize.register_parametrization(module, tensor, SharedWeight(weight))
    return copied


def plain(model: nn.Module) -> nn.Module:
    """Return a copy whose weights are ordinary parameters again, with their values, in the model's mode."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            # not remove_parametrizations: it takes the weight from the class, which a copy has in common with the model
            weights = {name: nn.Parameter(getattr(module, name).detach()) for name in module.parametrizations}  # type: ignore[union-attr]
            module.__class__ = type(module).__bases__[0]
            del module.parametrizations
            module._parameters = {**weights, **module._parameters}  # weights come first, as in PyTorch's layers
    return copied


def tied(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of two parameters that are one tensor; a layer that stands in two places is none of them.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        >>> model[1].weight = model[0].weight
        >>> list(tied(model))
        [('0.weight', '1.weight')]
    """
    names: dict[int, str] = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False, remove_duplicate=False):
            if (first := names.setdefault(id(parameter), name)) != name:
                yield first, name


def is_large(name: str, tensor: Tensor) -> bool:
    """Tell whether a parameter is one to prune and share. Raises: PackError: it is, but that cannot be done."""
    if tensor.ndim < 2 or tensor.numel() < TINY:
        return False
    if tensor.dtype != torch.float32:
        raise PackError(f"{name} is {tensor.dtype}; weights are shared that are float32: model.float()")
    if not tensor.isfinite().all():
        raise PackError(f"{name} has weights that are not finite")
    return True


def shared(weight: Floats, density: float, bits: int) -> Floats:
    """Prune a tensor to a density, and give those that stay one of 2^bits values; one that is so already stays so."""
    pruned = prune(weight, density)
    kept = pruned[pruned != 0]
    result = np.zeros_like(weight)
    result[pruned != 0] = cluster(kept, 1 << bits)
    return result


def prune(weight: Floats, density: float) -> Floats:
    """Set all but the largest magnitudes to zero; of equal ones at the threshold, the first in memory stay.

    Example:
        >>> prune(np.array([[0.5, -0.1], [-0.7, 0.2]], np.float32), 0.5)
        array([[ 0.5,  0. ],
               [-0.7,  0. ]], dtype=float32)
    """
    keep = max(1, round(density * weight.size))
    magnitudes = np.abs(weight).ravel()
    threshold = np.partition(magnitudes, weight.size - keep)[weight.size - keep]
    at_threshold = np.flatnonzero(magnitudes == threshold)
    mask = magnitudes > threshold
    mask[at_threshold[: keep - np.count_nonzero(mask)]] = True
    return np.where(mask.reshape(weight.shape), weight, np.float32(0))


def cluster(values: Floats, clusters: int) -> Floats:
    """Return for each value its centroid by k-means in one dimension, from centroids in equal steps.

    Values of at most so many kinds are their own centroids. Clusters that lose all values are left out.

    Example:
        >>> cluster(np.array([9.0, 0.0, 1.0, 8.0], np.float32), 2)
        array([8.5, 0.5, 0.5, 8.5], dtype=float32)
    """
    kinds = np.unique(values)
    if len(kinds) <= clusters:
        return values
    ordered = np.sort(values).astype(np.float64)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    centroids = np.linspace(ordered[0], ordered[-1], clusters)
    edges = np.empty(0, np.int64)
    for _ in range(_ROUNDS):
        before = edges
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate(([0], inner, [len(ordered)]))
        if np.array_equal(edges, before):
            break
        counts = np.diff(edges)
        np.divide(np.diff(sums[edges]), counts, out=centroids, where=counts > 0)
    borders = (centroids[1:] + centroids[:-1]) / 2
    return centroids.astype(np.float32)[np.searchsorted(borders, values.astype(np.float64), side="right")]


def check_choices(density: float, bits: int) -> None:
    """Raise ValueError where a density or a number of bits is out of its range."""
    if not 0 < density <= 1:
        raise ValueError(f"density is the share of weights to keep, in (0, 1]; got {density}")
    if bits not in range(1, 9):
        raise ValueError(f"bits of an index are 1 to 8; got {bits}")


def with_progress(tensors: dict[str, Tensor], progress: Progress | None) -> Iterator[tuple[str, Tensor]]:
    """Go through tensors, and tell the share that is done, by their sizes."""
    total, done = sum(tensor.numel() for tensor in tensors.values()), 0
    for name, tensor in tensors.items():
        yield name, tensor
        done += tensor.numel()
        if progress:
            progress(done / max(total, 1))
