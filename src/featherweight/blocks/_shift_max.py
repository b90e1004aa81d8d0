"""Dynamic Shift-Max: an activation that joins channels of different groups."""

import torch
from torch import Tensor, nn

from ._channels import round_channels
from ._conv import activation

FACTORS = {1: 2, 2: 4}  # coefficients per channel: two shifts, for one or for two fusions


class DynamicShiftMax(nn.Module):
    """Add to each channel one of another group, both weighed by what the picture shows; the larger of two such sums.

    x [N, C, H, W] -> mean [N, C] -> linear, ReLU, linear, hard sigmoid: coefficients a, b
    -> max over k of a_k * x + b_k * shifted(x) [N, C, H, W]

    Args:
        groups: of the channels; the shifted channel lies one group, and one place in its group, further on.
        fusions: K, of how many sums the largest is taken: 1 or 2.
        reduction: the hidden layer has channels / reduction units, in fours.
        start: what a_1, b_1 (, a_2, b_2) begin near: the coefficients lie within 2 of it.
    Shape: [N, channels, H, W] -> the same
    Cost per image, multiply-adds (h hidden): C*h + h*C*2*K. The weighing itself is 2*K multiplications for each
    number, which count as operations of their own; the paper's printed costs hold them as multiply-adds.
    Raises: ValueError: channels do not divide into the groups; fusions is not 1 or 2.
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Section 4, with J = 2 shifts. Differs from the paper: the
    place within the group is shifted too, as in the released code.

    Example:
        >>> DynamicShiftMax(16, groups=4)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 16, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int,
        fusions: int = 2,
        reduction: int = 8,
        start: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0),
    ) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels do not divide into {groups} groups")
        if fusions not in FACTORS:
            raise ValueError(f"fusions must be 1 or 2; got {fusions}")
        hidden = round_channels(channels // reduction, 4)
        self.groups, self.fusions, self.start = groups, fusions, start[: FACTORS[fusions]]
        self.coefficients = nn.Sequential(
            nn.Linear(channels, hidden), activation("relu"), nn.Linear(hidden, channels * FACTORS[fusions]),
            activation("hard_sigmoid"),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        scales = ((self.coefficients(x.mean((2, 3))) - 0.5) * 4).unflatten(1, (len(self.start), -1))
        a, b, *more = (scales[:, k, :, None, None] + self.start[k] for k in range(len(self.start)))
        shifted = x.unflatten(1, (self.groups, -1)).roll((-1, -1), (1, 2)).flatten(1, 2)  # type: ignore[no-untyped-call]
        y = x * a + shifted * b
        return torch.maximum(y, x * more[0] + shifted * more[1]) if more else y
