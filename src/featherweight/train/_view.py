"""How a teacher sees pictures that were prepared for its student."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from featherweight.data import Preprocessing


@dataclass(frozen=True)
class View:
    """Takes a student's batches to the teacher's size, channels, mean and deviation.

    The pictures have been varied for the student by then, so both see the same ones; but where the teacher's are
    larger, the student's pixels are all that there is to enlarge.

    Args:
        student: what the batches were prepared by.
        teacher: what the teacher was trained with.
    Shape: [N, student's channels, student's resolution, same] -> [N, teacher's channels, teacher's resolution, same]
    Raises: ValueError: the teacher takes grey pictures and the student's are in colour, or one of the two cuts pictures
        to a square that the other squashes.

    Example:
        >>> small = Preprocessing(resolution=16, channels=1, mean=(0.5,), std=(0.25,))
        >>> large = Preprocessing(resolution=24, channels=3, mean=(0.0, 0.5, 0.5), std=(1.0, 0.25, 0.5))
        >>> seen = View(small, large)(torch.ones(1, 1, 16, 16))
        >>> seen.shape, seen[0, :, 0, 0].tolist()
        (torch.Size([1, 3, 24, 24]), [0.75, 1.0, 0.5])
    """

    student: Preprocessing
    teacher: Preprocessing

    def __post_init__(self) -> None:
        if self.teacher.channels < self.student.channels:
            raise ValueError("the teacher takes grey pictures, and the student's are in colour")
        if self.teacher.resize != self.student.resize:
            raise ValueError(
                f"a picture becomes a square by {self.teacher.resize!r} for the teacher, and by "
                f"{self.student.resize!r} for the student: they would not see the same"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Take a batch from the student's input to the teacher's."""
        mine, theirs = self.student, self.teacher
        if (mine.mean, mine.std) != (theirs.mean, theirs.std):  # other channels, too
            values = x * _per_channel(mine.std, x) + _per_channel(mine.mean, x)  # 0..1; grey ones become three alike
            x = (values - _per_channel(theirs.mean, x)) / _per_channel(theirs.std, x)
        if theirs.resolution != mine.resolution:
            x = F.interpolate(x, size=2 * (theirs.resolution,), mode="bilinear", antialias=True)
        return x.contiguous(memory_format=torch.channels_last)


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(1, -1, 1, 1)
