"""Single weights set to zero: at once, along a schedule while a network is trained, or some of every few (2:4)."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ._share import TINY, is_large, plain, prune


def sparsify(model: nn.Module, *, density: float | None = None, pattern: str | None = None) -> nn.Module:
    """Return a copy in which each large tensor keeps its largest weights, and the others are zero.

    Large are tensors of 1024 weights or more with two dimensions or more, as for `pack`. Layer by layer, because a
    batch norm takes any factor from a layer's weights. The tensors keep their shapes: a file gets smaller by `pack`.

    Args:
        model: float32; it is left as it was.
        density: share of each tensor's weights that stays, in (0, 1].
        pattern: in its place "2:4" or another N:M: of every M weights that follow one another along the input
            channels, N stay. Tensors whose input channels do not divide by M stay as they are (depthwise filters);
            `Sparsifier(model, pattern=...).left` names them.
    Raises:
        ValueError: not one of the two, or out of its range; or no tensor can be pruned.
        PackError: large weights that are not finite, or not of float32.

    Source: Han et al., "Learning both Weights and Connections", NeurIPS 2015; N:M: Mishra et al., "Accelerating Sparse
    Deep Neural Networks", 2021, https://arxiv.org/abs/2104.08378.

    Example:
        >>> from featherweight.networks import create
        >>> sparse = sparsify(create("squeezenet", num_classes=10), pattern="2:4")
        >>> weight = sparse.body[2].squeeze.weight
        >>> weight.count_nonzero().item() / weight.numel()
        0.5
    """
    sparse = plain(model)
    Sparsifier(sparse, density=density, pattern=pattern).step()
    return sparse


class Sparsifier:
    """Prunes a network's weights while it is trained: call `step` after each step of the optimizer.

    The share of weights that is left falls from 1 to `density` by a cubic, fast at first, over `steps` steps, and is
    lowered every `every` steps; what is zero stays zero, also after the last. A pattern is laid on in the first step.

    Args:
        model: in place; its large tensors, as `sparsify` says.
        density, pattern: as `sparsify`.
        steps: over which the density falls; 0: at once.
        every: steps between two lowerings.
    Attributes:
        weights: tensors that are pruned, by name.
        left: names of large tensors that stay dense, because their input channels do not divide by M.
    Raises: as `sparsify`; ValueError: steps is negative, or every is not positive.

    Source: Zhu and Gupta, "To prune, or not to prune", 2017, https://arxiv.org/abs/1710.01878, equation 1.

    Example:
        >>> model = nn.Linear(64, 64)
        >>> sparsifier = Sparsifier(model, density=0.25, steps=10)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> for _ in range(12):
        ...     model(torch.ones(1, 64)).sum().backward()
        ...     optimizer.step()
        ...     sparsifier.step()
        >>> model.weight.count_nonzero().item() / model.weight.numel()
        0.25
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        density: float | None = None,
        pattern: str | None = None,
        steps: int = 0,
        every: int = 1,
    ) -> None:
        if (density is None) == (pattern is None):
            raise ValueError(f"give density or pattern, one of them; got {density=}, {pattern=}")
        if density is not None and not 0 < density <= 1:
            raise ValueError(f"density is the share of weights to keep, in (0, 1]; got {density}")
        if steps < 0 or every < 1:
            raise ValueError(f"steps is 0 or more, every 1 or more; got {steps=}, {every=}")
        self.density, self.steps, self.every = density, steps, every
        self.pattern = None if pattern is None else _numbers(pattern)
        of = 1 if self.pattern is None else self.pattern[1]
        large = {name: weight for name, weight in model.named_parameters() if is_large(name, weight)}
        if not large:
            raise ValueError(f"nothing to prune: no tensor of two dimensions or more has {TINY} weights")
        self.weights = {name: weight for name, weight in large.items() if weight.shape[1] % of == 0}
        self.left = tuple(name for name in large if name not in self.weights)
        if not self.weights:
            there = ", ".join(map(str, sorted({weight.shape[1] for weight in large.values()})))
            raise ValueError(f"nothing to prune by {pattern}: wanted input channels that divide by {of}; got {there}")
        self.masks: dict[str, Tensor] = {}
        self.done = 0

    def density_at(self, step: int) -> float:
        """Return the share of weights that is left after so many steps (of a pattern, its own)."""
        if self.pattern is not None:
            return self.pattern[0] / self.pattern[1]
        assert self.density is not None
        progress = min(1.0, step / self.steps) if self.steps else 1.0
        return self.density + (1 - self.density) * (1 - progress) ** 3

    @torch.no_grad()
    def step(self) -> None:
        """Set to zero what is pruned so far; lower the density where that is due."""
        self.done += 1
        due = self.done == 1 or (self.done <= self.steps and self.done % self.every == 0) or self.done == self.steps
        for name, weight in self.weights.items():
            if name in self.masks:
                weight.mul_(self.masks[name])
            if due and (self.pattern is None or self.done == 1):
                weight.copy_(self._pruned(weight))
                self.masks[name] = weight != 0

    def _pruned(self, weight: Tensor) -> Tensor:
        if self.pattern is None:
            kept = prune(weight.cpu().numpy(), self.density_at(self.done))
            return torch.from_numpy(kept).to(weight.device)
        return _patterned(weight, *self.pattern)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the weights: the step, and the masks."""
        return {"done": self.done, "masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises: ValueError: masks of another network, or not those of all weights."""
        for name, mask in state["masks"].items():
            if name not in self.weights or self.weights[name].shape != mask.shape:
                raise ValueError(f"these masks are of another network: {name} {tuple(mask.shape)} is none of this one")
        if state["done"] and (lost := [name for name in self.weights if name not in state["masks"]]):
            raise ValueError(f"after {state['done']} steps each weight has a mask; there is none of {', '.join(lost)}")
        self.done = int(state["done"])
        self.masks = {name: mask.to(self.weights[name].device) for name, mask in state["masks"].items()}


def _numbers(pattern: str) -> tuple[int, int]:
    """Read "2:4". Raises: ValueError: not N:M with N below M."""
    match = re.fullmatch(r"(\d+):(\d+)", pattern)
    if not match or not 0 < int(match[1]) < int(match[2]):
        raise ValueError(f"a pattern is N:M, N of every M weights, such as 2:4; got {pattern!r}")
    return int(match[1]), int(match[2])


def _patterned(weight: Tensor, kept: int, of: int) -> Tensor:
    """Keep the largest of every few along dimension 1; of equal ones the first."""
    blocks = weight.transpose(1, -1).reshape(-1, of)
    order = blocks.abs().argsort(dim=1, descending=True, stable=True)
    mask = torch.zeros_like(blocks).scatter_(1, order[:, :kept], 1.0)
    shape = weight.transpose(1, -1).shape
    return (blocks * mask).reshape(shape).transpose(1, -1)
