"""Replacement: another layer in the place of each ordinary convolution of a network, and what that does to its cost."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from featherweight.blocks import ImageClassifier
from featherweight.cost import OpCall, analyze, meta_twin, trace

from ._replaced import Changed, Left, Replaced
from ._replacements import Make, maker

InputSize = int | tuple[int, int] | tuple[int, int, int]
Shapes = list[tuple[tuple[int, ...], tuple[int, ...]]]


class ReplaceError(ValueError):
    """A replacement does not fit; the message names the layer."""


def replace(
    model: nn.Module,
    kind: type[nn.Conv2d],
    replacement: str | type[nn.Module] | Make,
    *,
    keep: str | Sequence[str] = ("stem", "head"),
    where: Callable[[str, nn.Conv2d], bool] | None = None,
    input_size: InputSize | None = None,
    **options: object,
) -> Replaced:
    """Put another layer in the place of a network's ordinary convolutions, in a copy; say what was changed and why not.

    Ordinary are convolutions of exactly the class `kind` with one group, an odd square kernel, the same stride
    both ways, zeros for padding that keep the size, and no dilation. All others are left, each with its reason; so is
    one that does not run in evaluation mode (its shapes are unknown), one with a 1x1 kernel on a map of one pixel (a
    fully connected layer in effect), one with hooks, and one that shares its weight with another layer.

    A replacement by name is a convolution and no more: no batch norm, no activation at its end, and a bias where the
    convolution had one. The batch norm and activation that followed the convolution follow it too, as in the authors'
    Ghost-ResNet. New weights are freshly drawn (only "mitchell" takes the old ones over): train the network, then look
    at its accuracy. Blocks with an activation of their own in front or inside, such as `LearnedGroupConv`, have no name
    here, because the places of convolutions in a network are not theirs.

    Args:
        model: any network, of this library, of torchvision, of your own; it is left as it was.
        kind: the class that is replaced, nn.Conv2d or a class derived from it.
        replacement: a name of `REPLACEMENTS` or its block (GhostModule); any class that takes (in_channels,
            out_channels, kernel_size=, stride=); or a function of the convolution that returns its replacement, or
            raises ValueError with the reason for which there is none.
        keep: layers to leave: a module's dotted name, which stands for all below it, or a pattern ("layer4.*.conv1").
            In a model that has no module `stem`, that word stands for the first convolution to run; in one that has no
            `head`, that word stands for the classifier, the last convolution or linear layer to run.
        where: called with the name and the layer; False leaves it.
        input_size: side of a square picture, (H, W) or (C, H, W), in pixels; default: the model's own `resolution` and
            `in_channels`, which only networks of this library tell.
        options: of the replacement: `ratio=4` for ghost, `depth=3` for comp_conv.
    Returns: the copy, what was changed, what was left and why, and the cost before and after.
    Raises:
        ValueError: unknown name of a replacement, a `keep` that names no module, an input size that cannot be meant.
        TypeError: unknown option of the replacement, or a class that does not take a convolution's arguments.
        ReplaceError: a replacement does not give the shapes of the convolution; the message names the layer.

    Example:
        >>> import torchvision
        >>> from featherweight.blocks import GhostModule
        >>> report = replace(torchvision.models.resnet18(), nn.Conv2d, GhostModule, input_size=(3, 224, 224))
        >>> print(report)
        19 of 20 convolutions replaced
        <BLANKLINE>
        quantity                         before    after     left
        parameters                       11.69 M   6.132 M   52.5 %
        multiply-adds                    1.814 G   973.9 M   53.7 %
        ...
        >>> report.left
        (Left(name='conv1', reason='kept as the stem: the first convolution to run'),)
    """
    make = maker(replacement)
    if not (isinstance(kind, type) and issubclass(kind, nn.Conv2d)):
        raise ValueError(
            f"only nn.Conv2d and classes derived from it can be replaced; got {getattr(kind, '__name__', kind)}"
        )
    _check_options(make, options)
    rules = _Rules(model, kind, (keep,) if isinstance(keep, str) else keep, where, trace(model, input_size))
    replaced = copy.deepcopy(model)
    changed: list[Changed] = []
    left: list[Left] = []
    for names, layer in _convolutions(replaced):
        new = rules.reason_to_stay(names, layer) or _made(make, layer, options)
        if isinstance(new, str):
            left.append(Left(name=names[0], reason=new))
            continue
        _check_shapes(names[0], new, rules.shapes[names[0]])
        for name in names:
            replaced = _put(replaced, name, new)
        changed.append(_change(names[0], layer, new))
    if changed and isinstance(replaced, ImageClassifier):
        replaced.name = None  # it is no longer what `create` builds under that name
    before, after = analyze(model, input_size), analyze(replaced, input_size)
    return Replaced(model=replaced, changed=tuple(changed), left=tuple(left), before=before, after=after)


def _check_options(make: Make, options: Mapping[str, object]) -> None:
    """Hold options against those of the replacement, before each layer refuses them.

    Raises:
        TypeError: an option that the replacement does not have.
        ValueError: a count that is not a whole number above 0.
    """
    known = inspect.signature(make).parameters
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for option, value in options.items():
        if option not in known:
            if free:
                continue
            raise TypeError(f"the replacement has no option {option!r}; it has: {', '.join(list(known)[1:]) or 'none'}")
        default = known[option].default
        if type(default) is int and not (isinstance(value, int) and value > 0):
            raise ValueError(f"{option} of the replacement must be a whole number above 0; got {value!r}")


class _Rules:
    """Which convolutions of a model stay, and why."""

    def __init__(
        self,
        model: nn.Module,
        kind: type[nn.Conv2d],
        keep: Sequence[str],
        where: Callable[[str, nn.Conv2d], bool] | None,
        calls: Sequence[OpCall],
    ) -> None:
        self.kind, self.where = kind, where
        self.kept = dict(_kept(model, keep, calls))
        self.shapes: dict[str, Shapes] = {}
        for call in calls:
            if call.op == "convolution":
                self.shapes.setdefault(call.module, []).append((call.inputs[0].shape, call.outputs[0].shape))
        owners: dict[nn.Parameter, list[str]] = {}
        for name, module in model.named_modules():
            for parameter in module.parameters(recurse=False):
                owners.setdefault(parameter, []).append(name)
        self.tied = {name: owner for names in owners.values() for name in names for owner in names if owner != name}

    def reason_to_stay(self, names: Sequence[str], layer: nn.Module) -> str | None:
        """Say why a layer, which may have several names, is left; None if it can go."""
        for name in names:
            for pattern, reason in self.kept.items():
                if _matches(name, pattern):
                    return reason
        return self._obstacle(layer) or self._circumstance(names[0], layer) or self._unwanted(names[0], layer)

    def _obstacle(self, layer: nn.Module) -> str | None:
        if type(layer) is not self.kind:
            return f"{_article(type(layer).__name__)}, not a plain {self.kind.__name__}"
        assert isinstance(layer, nn.Conv2d)
        height, width = layer.kernel_size
        same = {"valid": (0, 0), "same": (height // 2, width // 2)}
        padding = same[layer.padding] if isinstance(layer.padding, str) else layer.padding
        obstacles = {
            "depthwise already": layer.groups == layer.in_channels > 1,
            f"grouped: {layer.groups} groups": layer.groups > 1,
            f"dilated: {layer.dilation[0]} x {layer.dilation[1]}": layer.dilation != (1, 1),
            f"an uneven kernel: {height} x {width}": height != width,
            f"an even kernel: {height} x {width}": height % 2 == 0,
            f"uneven strides: {layer.stride[0]} x {layer.stride[1]}": layer.stride[0] != layer.stride[1],
            f"a padding of {padding[0]} x {padding[1]}, not half its kernel": padding != (height // 2, width // 2),
            f"its padding is {layer.padding_mode}, not zeros": layer.padding_mode != "zeros",
            "it has hooks, which would be lost": bool(layer._forward_hooks or layer._forward_pre_hooks),
        }
        return next((reason for reason, holds in obstacles.items() if holds), None)

    def _circumstance(self, name: str, layer: nn.Module) -> str | None:
        if name not in self.shapes:
            return "it does not run in evaluation mode"
        if layer.kernel_size == (1, 1) and all(inputs[2:] == (1, 1) for inputs, _ in self.shapes[name]):
            return "a fully connected layer in effect: a 1x1 kernel on a map of one pixel"
        if name in self.tied:
            return f"it shares its weight with {self.tied[name]}"
        return None

    def _unwanted(self, name: str, layer: nn.Module) -> str | None:
        assert isinstance(layer, nn.Conv2d)
        return "left by where=" if self.where is not None and not self.where(name, layer) else None


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOU' else 'a'} {noun}"


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


def _kept(model: nn.Module, keep: Sequence[str], calls: Sequence[OpCall]) -> Iterator[tuple[str, str]]:
    """Go through what is kept: a name or pattern of this model, and the reason to give.

    Raises: ValueError: a word names nothing in the model.
    """
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    run = [call for call in calls if call.op != "unread"]
    convolutions = [call.module for call in run if issubclass(call.module_type, nn.Conv2d)]
    weighted = [call.module for call in run if issubclass(call.module_type, nn.Conv2d | nn.Linear)]
    for pattern in keep:
        if any(_matches(name, pattern) for name in names):
            yield pattern, f"kept by name: {pattern}"
        elif pattern == "stem":
            yield from ((name, "kept as the stem: the first convolution to run") for name in convolutions[:1])
        elif pattern == "head":
            yield from ((name, "kept as the head: the last layer with weights to run") for name in weighted[-1:])
        else:
            raise ValueError(f"keep={pattern!r}: no module of this {type(model).__name__} has that name or matches it")


def _convolutions(model: nn.Module) -> list[tuple[list[str], nn.Module]]:
    """List every convolution once, with all its names."""
    found: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.modules.conv._ConvNd):
            found.setdefault(module, []).append(name)
    return [(names, module) for module, names in found.items()]


def _made(make: Make, conv: nn.Module, options: Mapping[str, object]) -> nn.Module | str:
    """Make a replacement with the device, type and mode of the convolution, or return the reason that `make` raises."""
    assert isinstance(conv, nn.Conv2d)
    try:
        with torch.device(conv.weight.device):
            new = make(conv, **options)
    except ValueError as error:
        return str(error)
    if not isinstance(new, nn.Module):
        raise ReplaceError(f"the replacement of {conv} is no module: {new!r}")
    return new.to(dtype=conv.weight.dtype).train(conv.training)


def _check_shapes(name: str, new: nn.Module, shapes: Shapes) -> None:
    """Hold a replacement to the shapes that the convolution has in this network, on the meta device."""
    twin = meta_twin(new)
    dtype = next((parameter.dtype for parameter in new.parameters()), torch.float32)
    for given, wanted in shapes:
        what = f"the {type(new).__name__} for {name or 'the model'}"
        try:
            got = twin(torch.empty(given, dtype=dtype, device="meta")).shape
        except (RuntimeError, TypeError) as error:
            raise ReplaceError(f"{what} cannot take {list(given)}: {error}") from error
        if got != wanted:
            raise ReplaceError(f"{what} makes {list(got)} of {list(given)}, the convolution {list(wanted)}")


def _put(model: nn.Module, name: str, new: nn.Module) -> nn.Module:
    """Put a module in the place of that name; the model itself has the name ""."""
    if not name:
        return new
    owner, _, child = name.rpartition(".")
    setattr(model.get_submodule(owner), child, new)
    return model


def _change(name: str, layer: nn.Module, new: nn.Module) -> Changed:
    assert isinstance(layer, nn.Conv2d)
    side, stride, notes = layer.kernel_size[0], layer.stride[0], new.extra_repr()
    return Changed(
        name=name,
        before=f"{layer.in_channels} -> {layer.out_channels}, {side}x{side}" + (f", stride {stride}" * (stride > 1)),
        after=type(new).__name__ + f"({notes})" * bool(notes),
        params_before=sum(parameter.numel() for parameter in layer.parameters()),
        params_after=sum(parameter.numel() for parameter in new.parameters()),
    )
