"""What could be changed to make a network faster here: another runtime, fewer groups, a width that rounds better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from torch import nn

from featherweight.networks import Network, create, network, on_meta_device, variants

from ._measure import Subject
from ._runtimes import RUNTIMES, SLOW, usable

LANES = 16  # float32 in a vector of AVX-512; two vectors of AVX2, four of NEON
STEP, STEPS = 1 / 64, 8  # widths are tried up to an eighth narrower and wider


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing to try.

    Args:
        kind: "runtime" keeps the weights; "groups" and "width" are other networks, to be trained.
        says: what is changed.
        subject: the network with the change.
        runtime: that it runs in.
    """

    kind: Literal["runtime", "groups", "width"]
    says: str
    subject: Subject
    runtime: str


def changes(subject: Subject, runtime: str, runtimes: Sequence[str] | None = None) -> list[Change]:
    """List what could make a network faster, to be measured.

    Folding, channels-last and int8 are runtimes: see `RUNTIMES`. The groups tried are those that were published for the
    network, and fewer than it has; the widths, up to an eighth narrower or wider, those of each side under which most
    convolutions have a multiple of 16 channels, where that is more than now.

    Args:
        subject: the network; of a saved file only the runtime can be changed.
        runtime: that it runs in now.
        runtimes: to try. Default: all that can run here, but for the compilers, which take long to get ready.

    Example:
        >>> found = changes(Subject(network="shufflenet_v1"), "eager", ["eager", "folded"])
        >>> [(change.kind, change.says) for change in found][:3]
        [('runtime', 'PyTorch, batch norms folded'), ('groups', 'groups 1 in place of 3'), ('groups', ...)]
    """
    others = [name for name in usable()[0] if name not in SLOW] if runtimes is None else runtimes
    found = [
        Change(kind="runtime", says=RUNTIMES[name].says, subject=subject, runtime=name)
        for name in others
        if name != runtime
    ]
    if subject.network.endswith(".safetensors"):
        return found
    entry = network(subject.network)
    given = {option: subject.options.get(option, entry.default(option)) for option in entry.options}
    for groups in fewer_groups(entry, given):
        says = f"groups {groups} in place of {given['groups']}"
        found.append(Change(kind="groups", says=says, subject=_with(subject, groups=groups), runtime=runtime))
    for width, share, now in better_widths(subject, given):
        says = f"width {width:g} in place of {given['width']:g}: {share:.0%} of channel counts round, now {now:.0%}"
        found.append(Change(kind="width", says=says, subject=_with(subject, width=width), runtime=runtime))
    return found


def fewer_groups(entry: Network, given: dict[str, Any]) -> list[Any]:
    """Return the published numbers of groups that are fewer than those given, the fewest first."""
    if "groups" not in entry.options:
        return []
    published = {v.options.get("groups", entry.default("groups")) for v in variants() if v.name == entry.name}
    return sorted((groups for groups in published if _size(groups) < _size(given["groups"])), key=_size)


def _size(groups: Any) -> int:
    return prod(groups) if isinstance(groups, tuple) else int(groups)


def better_widths(subject: Subject, given: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Find the width on either side under which most channel counts round.

    Returns: for each: the width, the share of convolutions whose output channels are a multiple of 16, and that of the
        width given.
    """
    if "width" not in given:
        return []
    now = rounding(subject)
    found = []
    for side in (-1, 1):
        shares = {}
        for step in range(1, STEPS + 1):
            width = float(f"{given['width'] * (1 + side * STEP * step):.4g}")
            try:
                shares[width] = rounding(_with(subject, width=width))
            except ValueError:  # not every network can have every width
                continue
        best = max(shares.values(), default=now)
        if best > now:
            found.append((next(width for width in shares if shares[width] == best), best, now))
    return found


def rounding(subject: Subject) -> float:
    """Return the share of a network's convolutions whose output channels are a multiple of 16.

    Example:
        >>> rounding(Subject(network="shufflenet_v2")), rounding(Subject(network="resnet18"))
        (0.0178..., 1.0)
    """
    with on_meta_device():
        model = create(subject.network, **subject.options)  # type: ignore[arg-type]
    channels = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    return sum(count % LANES == 0 for count in channels) / len(channels) if channels else 1.0


def _with(subject: Subject, **options: object) -> Subject:
    return replace(subject, options={**subject.options, **options})
