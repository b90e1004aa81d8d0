"""Hints: the modules of student and teacher whose features are compared, and what these give in a run."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from ._evaluate import in_mode
from ._view import View


def middle_hint(student: nn.Module, teacher: nn.Module, x: Tensor, view: View | None = None) -> tuple[str, str]:
    """Choose a hint: the block in the middle of the student, and the teacher's last one whose features are as large.

    Where none of the teacher's blocks has features of that size, the next in size is taken.

    Args:
        student: from `create`, or any module with its blocks in `body`; `teacher` likewise.
        x: a batch as the student gets it.
    Raises: ValueError: a network without `body`.
    Source: the middle, Romero et al. 2015, https://arxiv.org/abs/1412.6550, Section 3.

    Example:
        >>> from featherweight.networks import create
        >>> student, teacher = create("mobilenet_v1", width=0.25), create("mobilenet_v2", width=0.35)
        >>> middle_hint(student, teacher, torch.zeros(1, 3, 64, 64))
        ('body.6', 'body.12')
    """
    with in_mode(student, training=False), in_mode(teacher, training=False), torch.no_grad():
        mine, theirs = _block_sides(student, x), _block_sides(teacher, view(x) if view else x)
    name = list(mine)[len(mine) // 2]
    nearest = min(abs(side - mine[name]) for side in theirs.values())
    return name, [other for other, side in theirs.items() if abs(side - mine[name]) == nearest][-1]


def _block_sides(network: nn.Module, x: Tensor) -> dict[str, int]:
    """Return the height of each block's features."""
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Sequential) or not len(body):
        raise ValueError(f"{type(network).__name__} has no blocks in `body`: name the modules of its hints")
    names = [f"body.{name}" for name, _ in body.named_children()]
    _, features = run_with_features(network, names, x, type(network).__name__)
    return {name: feature.shape[2] for name, feature in zip(names, features, strict=True)}


def run_with_features(network: nn.Module, names: Sequence[str], x: Tensor, whose: str) -> tuple[Tensor, list[Tensor]]:
    """Run a network, and return with its answers what the modules of these names gave."""
    kept: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in modules_named(network, names, whose).items():
            hooks.callback(module.register_forward_hook(partial(_keep, kept, name)).remove)
        answers = network(x)
    for name in names:
        if not isinstance(kept.get(name), Tensor):
            given = f"gives a {type(kept[name]).__name__}" if name in kept else "is not run when the network is"
            raise ValueError(f"no hints can be taken of the {whose}'s module {name}: it {given}")
    return answers, [kept[name] for name in names]


def check_hint(pair: tuple[str, str], guided: Tensor, hint: Tensor) -> None:
    """Raises: ValueError: the two are not feature maps."""
    if guided.ndim != 4 or hint.ndim != 4:
        shapes = f"{list(guided.shape)} and {list(hint.shape)}"
        raise ValueError(f"hints are features [N, channels, H, W]; {pair[0]} and {pair[1]} give {shapes}")


def check_kinds(modules: Mapping[str, nn.Module], kind: type[nn.Module], whose: str) -> None:
    """Raises: ValueError: kernels are not for one of these modules."""
    for name, module in modules.items():
        if not isinstance(module, kind):
            raise ValueError(
                f"kernels compare an AdderConv2d of the student with a Conv2d of the teacher; the {whose}'s {name} is "
                f"of class {type(module).__name__}"
            )


def modules_named(network: nn.Module, names: Sequence[str], whose: str) -> Mapping[str, nn.Module]:
    """Find modules by name. Raises: ValueError: there is none of a name."""
    modules = dict(network.named_modules())
    if missing := [name for name in names if name not in modules]:
        raise ValueError(f"the {whose} has no module {', '.join(missing)} to take hints of; see its named_modules()")
    return {name: modules[name] for name in names}


def _keep(kept: dict[str, Tensor], name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
    kept[name] = output
