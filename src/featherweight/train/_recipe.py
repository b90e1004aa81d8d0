"""A recipe: everything that decides how a network is trained, in one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from featherweight.data import Augment


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train: SGD with Nesterov momentum, warm-up and cosine, label smoothing, averaged weights.

    The batches that a run is fed are made from the same recipe (`batch_size`, `augment`, `seed`).

    Args:
        epochs: passes over the training pictures; with a time budget, the most there can be. None: the time alone
            ends the run.
        batch_size: pictures per step.
        learning_rate: at its peak, the end of the warm-up.
        momentum: of SGD, in [0, 1).
        weight_decay: of weights with two dimensions or more; normalisation's scale and shift and biases have none.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        warmup: share of the run over which the learning rate rises, in [0, 1).
        ema_decay: of the exponential average of the weights per step, in [0, 1); the average is what comes out. It
            begins lower, so that early weights are forgotten. None: the last weights come out.
        augment: random changes to the training pictures; None for none.
        clip_gradient_norm: largest norm of the whole gradient, but for adder layers', whose adaptive rate gives each a
            norm of its own; None for no limit.
        adder_p_until: share of the run, in [0, 1), over which the power p of adder layers' differences falls evenly
            from 2 to 1, where it stays (see `featherweight.blocks.AdderConv2d`). 0: p is left as it is.
        seed: of order, augmentation and dropout.
    Raises: ValueError: a number outside its range.

    Example:
        >>> recipe = Recipe(epochs=5, learning_rate=0.05)
        >>> Recipe.from_dict(recipe.to_dict()) == recipe
        True
        >>> Recipe(warmup=1.5)
        Traceback (most recent call last):
        ...
        ValueError: warmup must be in [0, 1); got 1.5
    """

    epochs: int | None = 30
    batch_size: int = 32
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warmup: float = 0.15
    ema_decay: float | None = 0.98
    augment: Augment | None = None
    clip_gradient_norm: float | None = None
    adder_p_until: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("momentum", "label_smoothing", "warmup", "ema_decay", "adder_p_until"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1); got {value}")
        for name in ("epochs", "batch_size", "learning_rate", "clip_gradient_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0; got {value}")
        for name in ("weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; got {getattr(self, name)}")

    def to_dict(self) -> dict[str, object]:
        """Return the recipe in plain types, as JSON holds it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "augment": self.augment and self.augment.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Recipe":
        """Make a recipe from `to_dict`'s result; what is missing has its default.

        Raises: ValueError: a name that a recipe does not have.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(known)}")
        augment = values.get("augment")
        return cls(**{**values, "augment": Augment.from_dict(augment) if isinstance(augment, Mapping) else augment})  # type: ignore[arg-type]
