"""Proof that an exported model gives the answers of the network it was made from."""

from dataclasses import dataclass

import numpy as np

from ._targets import TOLERANCE


class ParityError(ValueError):
    """An exported model disagrees with its network, or the pictures cannot show whether it agrees."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How an exported model compares with its network on the same pictures.

    Args:
        pictures: how many were compared.
        agreement: share of the pictures whose best class is the same; a tie within the tolerance counts as the same.
        max_logit_difference: largest absolute difference of a logit.
        logit_scale: largest absolute logit of the network, which the difference is to be seen against.
        accuracy_reference: share of the pictures that the network classifies rightly.
        accuracy_exported: the same of the exported model.
    """

    pictures: int
    agreement: float
    max_logit_difference: float
    logit_scale: float
    accuracy_reference: float
    accuracy_exported: float


def compare(reference: np.ndarray, exported: np.ndarray, labels: np.ndarray, *, tolerance: float = TOLERANCE) -> Parity:
    """Measure how far an exported model's logits are from the network's; for int8, where they may differ.

    Args:
        reference: the network's logits, [N, classes].
        exported: the exported model's logits on the same pictures, [N, classes].
        labels: the true classes, [N].
        tolerance: difference that is rounding, as a share of the largest absolute logit.
    Raises: ParityError: shapes that do not fit, no pictures, or logits that are not finite.

    Example:
        >>> import numpy as np
        >>> reference = np.array([[2.0, 0.0], [0.0, 1.0]])
        >>> parity = compare(reference, reference + [[0.0, 0.0], [1.5, 0.0]], np.array([0, 1]))
        >>> parity.agreement, parity.max_logit_difference, parity.accuracy_reference, parity.accuracy_exported
        (0.5, 1.5, 1.0, 0.5)
    """
    _check(reference, exported, labels)
    scale = float(np.abs(reference).max())
    rows = np.arange(len(labels))
    chosen = exported.argmax(axis=1)
    # Two logits may each be off by the tolerance, so that classes this close change places by rounding alone.
    agreed = reference[rows, chosen] >= reference.max(axis=1) - 2 * tolerance * scale
    return Parity(
        pictures=len(labels),
        agreement=float(agreed.mean()),
        max_logit_difference=float(np.abs(exported - reference).max()),
        logit_scale=scale,
        accuracy_reference=float((reference.argmax(axis=1) == labels).mean()),
        accuracy_exported=float((chosen == labels).mean()),
    )


def prove(reference: np.ndarray, exported: np.ndarray, labels: np.ndarray, *, tolerance: float = TOLERANCE) -> Parity:
    """Demand that a float model gives its network's logits, up to rounding, on every picture.

    Args: as `compare`.
    Raises: ParityError: a logit differs by more than the tolerance, a best class differs, or the network's logits
        hardly depend on the picture (as those of a network with fresh weights), which any export would pass.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32)
        >>> prove(logits, logits + np.float32(1e-5), np.array([0, 0])).agreement
        1.0
        >>> prove(logits, logits[::-1], np.array([0, 0]))
        Traceback (most recent call last):
        ...
        featherweight.export._parity.ParityError: the exported model disagrees with its network: the best class ...
    """
    parity = compare(reference, exported, labels, tolerance=tolerance)
    spread = float((reference.max(axis=0) - reference.min(axis=0)).max())
    if parity.pictures > 1 and spread <= 2 * tolerance * parity.logit_scale:
        raise ParityError(
            f"parity cannot be shown: the network's logits on {parity.pictures} pictures differ by {spread:.3g} at "
            f"most, rounding beside a logit of {parity.logit_scale:.3g}; is it trained, are the pictures different?"
        )
    allowed = tolerance * parity.logit_scale
    if parity.agreement < 1 or parity.max_logit_difference > allowed:
        worst = int(np.abs(exported - reference).max(axis=1).argmax())
        same = round(parity.agreement * parity.pictures)
        classes = f"the best class is the same on {same} of {parity.pictures} pictures"
        logits = (
            f"a logit differs by {parity.max_logit_difference:.3g} (picture {worst}), where {allowed:.3g} is allowed, "
            f"{100 * tolerance:.3g} % of the largest logit"
        )
        said = [classes, logits] if parity.agreement < 1 else [logits, classes]
        raise ParityError(f"the exported model disagrees with its network: {'; '.join(said)}")
    return parity


def _check(reference: np.ndarray, exported: np.ndarray, labels: np.ndarray) -> None:
    if reference.ndim != 2 or reference.shape != exported.shape or labels.shape != reference.shape[:1]:
        raise ParityError(
            "wanted logits [pictures, classes] from both and labels [pictures]; "
            f"got {list(reference.shape)}, {list(exported.shape)} and {list(labels.shape)}"
        )
    if not reference.size:
        raise ParityError("parity cannot be shown: there are no pictures")
    for name, logits in (("network", reference), ("exported model", exported)):
        bad = int((~np.isfinite(logits)).any(axis=1).sum())
        if bad:
            raise ParityError(f"the {name} gives logits that are not finite on {bad} of {len(logits)} pictures")
