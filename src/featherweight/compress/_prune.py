"""Pruning: a network with fewer channels, chosen over all of its layers, that meets a budget."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch.nn.functional as F
from torch import nn

from featherweight._units import format_bytes, format_count, format_seconds
from featherweight.cost import analyze

from ._channels import PruneError
from ._cut import Anatomy, picture_shape
from ._importance import Batch, Loss, scores_of
from ._plan import Family, Saving, families, removals, sizes_of
from ._pruned import Narrowed, Pruned
from ._replace import InputSize
from ._replaced import Left
from ._share import Progress, plain

Measure = Callable[[nn.Module], float]
EXAMPLES = 5  # of layers, where a name fits none


@dataclass(frozen=True)
class _Bound:
    """One part of a budget."""

    what: str
    measure: Measure
    most: float
    write: Callable[[float], str]


def prune(
    model: nn.Module,
    *,
    multiply_adds: float | None = None,
    params: float | None = None,
    size_bytes: float | None = None,
    latency_seconds: float | None = None,
    latency: Measure | None = None,
    importance: str = "magnitude",
    batches: Iterable[Batch] | None = None,
    loss: Loss = F.cross_entropy,
    round_to: int = 8,
    least_left: float = 0.1,
    keep: str | Sequence[str] = (),
    input_size: InputSize | None = None,
    progress: Progress | None = None,
) -> Pruned:
    """Remove channels from a network, the least important of all its layers, until it meets a budget; in a copy.

    The network's own forward is followed channel by channel, through shuffles, splits, concatenations, squeeze-excite,
    groups and sums: what is tied goes together, and what must stay is named with its reason. The copy is proven to be
    wired as the network: it is the network with those channels zero, and an ordinary module with smaller tensors.

    Of what is left to remove, that goes first which is missed least for what it costs. The number of removals is found
    by bisection on the pruned copy itself: its multiply-adds and bytes are counted, its latency is measured. The
    latency of what was found is measured again, and while it is above its bound, more is removed; where nothing is left
    to remove, `Pruned.fast_enough` says so.

    Pruned to half and more, a network has to be trained again: `featherweight.train.train`, or `featherweight train`.

    Args:
        model: any network, of this library or with its layers; it is left as it was.
        multiply_adds, params, size_bytes: the most there may be; of several bounds all are kept, and what is removed
            first goes by the one that leaves the smallest share; up to 1, as a share of the network's own. Bytes are
            those of the state dict.
        latency_seconds: likewise, as `latency` measures it.
        latency: runs a network and returns its latency in seconds, such as by `featherweight.cost.measure_latency`.
        importance: "magnitude", size of the weights; or "taylor", what they do to the loss of `batches`.
        batches: pictures and labels for "taylor", a few hundred in all.
        loss: of logits and labels, for "taylor".
        round_to: channels of a layer are left in multiples of it, because odd widths are no faster; 1 for any number.
        least_left: share of the channels of each layer that stays, in (0, 1].
        keep: layers that keep all their channels, by name or pattern.
        input_size: side, (H, W), or (C, H, W) of the pictures; default: the network's own.
        progress: called with the share that is done, from 0 to 1.
    Raises:
        ValueError: an argument out of its range, no budget, or `keep` names no layer.
        PruneError: channels of this network cannot be followed, or it cannot be made so small; the message says where.

    Example:
        >>> from featherweight.networks import create
        >>> pruned = prune(create("mobilenet_v2", width=0.35, num_classes=10), multiply_adds=0.5, input_size=96)
        >>> 0.4 < pruned.after.multiply_adds / pruned.before.multiply_adds <= 0.5
        True
        >>> pruned.model.body[1].expand.conv
        Conv2d(8, ..., kernel_size=(1, 1), stride=(1, 1), bias=False)
    """
    _check_choices(round_to, least_left)
    if (latency_seconds is None) != (latency is None):
        raise ValueError("latency_seconds, a bound, and latency, which measures it, are given together or not at all")
    model = plain(model)
    before = analyze(model, input_size)
    counted: dict[str, tuple[float | None, Measure, Callable[[float], str]]] = {
        "multiply_adds": (multiply_adds, lambda made: analyze(made, input_size).multiply_adds, format_count),
        "params": (params, lambda made: sum(p.numel() for p in made.parameters()), format_count),
        "size_bytes": (size_bytes, weight_bytes, format_bytes),
    }
    bounds = [
        _bound(what, most, measure, model, write)
        for what, (most, measure, write) in counted.items()
        if most is not None
    ]
    if latency_seconds is not None and latency:
        bounds.append(_bound("latency_seconds", latency_seconds, latency, model, format_seconds, shares=False))
    if not bounds:
        raise ValueError("no budget: give multiply_adds, params, size_bytes or latency_seconds, above 0")
    anatomy = Anatomy(model, picture_shape(model, input_size))
    kept = _kept(anatomy, keep)
    scores = scores_of(anatomy, importance, batches, loss)
    found = families(anatomy, scores, round_to=round_to, kept=kept)
    order: Saving = {"latency_seconds": "time", "multiply_adds": "multiply_adds"}.get(
        _tightest(bounds, model).what, "params"
    )  # type: ignore[assignment]
    steps = list(removals(anatomy, found, scores, sizes_of(anatomy, before, order), least_left=least_left))
    roots = [[unit.root for unit in step] for step in steps]
    count = _fewest(anatomy, roots, bounds, progress)
    pruned, latency_after = _confirmed(anatomy, roots, count, latency, latency_seconds)
    return Pruned(
        model=pruned,
        importance=importance,
        layers=tuple(_narrowed(anatomy, pruned)),
        left=tuple(_left(anatomy, found)),
        before=before,
        after=analyze(pruned, input_size),
        weights_before=weight_bytes(model),
        weights_after=weight_bytes(pruned),
        latency_before_seconds=latency(model) if latency else None,
        latency_after_seconds=latency_after,
        latency_bound_seconds=latency_seconds,
    )


def weight_bytes(model: nn.Module) -> int:
    """Count the bytes of all that is in the state dict."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _check_choices(round_to: int, least_left: float) -> None:
    if round_to < 1:
        raise ValueError(f"round_to is a number of channels, 1 or more; got {round_to}")
    if not 0 < least_left <= 1:
        raise ValueError(f"least_left is a share of a layer's channels, in (0, 1]; got {least_left}")


def _bound(
    what: str, most: float, measure: Measure, model: nn.Module, write: Callable[[float], str], *, shares: bool = True
) -> _Bound:
    if not most > 0:
        raise ValueError(f"{what} must be above 0; got {most}")
    return _Bound(what, measure, most * measure(model) if shares and most <= 1 else most, write)


def _tightest(bounds: Sequence[_Bound], model: nn.Module) -> _Bound:
    """Return the bound that leaves the smallest share of what there is."""
    return bounds[0] if len(bounds) == 1 else min(bounds, key=lambda bound: bound.most / bound.measure(model))


def _kept(anatomy: Anatomy, keep: str | Sequence[str]) -> frozenset[str]:
    kept: set[str] = set()
    for pattern in (keep,) if isinstance(keep, str) else keep:
        fitting = {
            name
            for name in anatomy.layers
            if name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)
        }
        if not fitting:
            some = ", ".join(list(anatomy.layers)[:EXAMPLES])
            raise ValueError(f"keep: no layer of the network fits {pattern!r}; its layers are {some} and so on")
        kept |= fitting
    return frozenset(kept)


def _fewest(
    anatomy: Anatomy, steps: Sequence[Sequence[int]], bounds: Sequence[_Bound], progress: Progress | None
) -> int:
    """Return the fewest steps that meet the budget, found by bisection."""
    looks = len(steps).bit_length() + 1

    def missed(count: int) -> list[str]:
        made = anatomy.without(_removed(steps, count), check=False)
        values = [(bound, bound.measure(made)) for bound in bounds]
        return [
            f"{bound.what} {bound.write(value)}, wanted {bound.write(bound.most)}"
            for bound, value in values
            if value > bound.most
        ]

    if short := missed(len(steps)):
        raise PruneError(f"with all removed that can be, it still has {'; '.join(short)}")
    too_few, enough, done = -1, len(steps), 1
    while enough - too_few > 1:
        if progress:
            progress(min(1.0, done / looks))
        done += 1
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if missed(middle) else (too_few, middle)
    if progress:
        progress(1.0)
    return enough


def _confirmed(
    anatomy: Anatomy, steps: Sequence[Sequence[int]], count: int, latency: Measure | None, most: float | None
) -> tuple[nn.Module, float | None]:
    """Return the network after so many steps and its latency; of more steps while that, measured anew, is too much."""
    more = 1
    while True:
        pruned = anatomy.without(_removed(steps, count))
        if latency is None or most is None:
            return pruned, None
        seconds = latency(pruned)
        if seconds <= most or count == len(steps):
            return pruned, seconds
        count, more = min(count + more, len(steps)), 2 * more


def _removed(steps: Sequence[Sequence[int]], count: int) -> set[int]:
    return {root for step in steps[:count] for root in step}


def _narrowed(anatomy: Anatomy, pruned: nn.Module) -> Iterator[Narrowed]:
    """Say of each layer with weights what it wrote and read, and what it does."""
    before, after = dict(anatomy.model.named_modules()), dict(pruned.named_modules())
    for name, layer in anatomy.layers.items():
        if any(axes == (0, 1) for axes in layer.tensors.values()):
            was, now = _channels(before[name]), _channels(after[name])
            if was != now:
                yield Narrowed(name=name, reads_before=was[0], before=was[1], reads_after=now[0], after=now[1])


def _channels(module: nn.Module) -> tuple[int, int]:
    names = ("in_channels", "out_channels") if hasattr(module, "in_channels") else ("in_features", "out_features")
    return getattr(module, names[0]), getattr(module, names[1])


def _left(anatomy: Anatomy, found: Sequence[Family]) -> Iterator[Left]:
    """Give the reason of each layer that writes only what must stay."""
    reasons = {unit.root: family.reason for family in found for unit in family.units}
    for name, layer in anatomy.layers.items():
        if any(axes == (0, 1) for axes in layer.tensors.values()):
            why = [anatomy.ties.why_fixed(root) or reasons.get(root) for root in layer.axes[0].tolist()]
            if all(why):
                yield Left(name=name, reason=why[0])  # type: ignore[arg-type]
