"""Pictures in: the built-in ones, folders of pictures, their split, preprocessing, augmentation and batches.

`decode` and `Preprocessing` need only NumPy and Pillow, because a trained model is used without PyTorch; PyTorch is
imported when a name first needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._augment import Augment, augment_for
    from ._batches import Batches
    from ._builtin import BUILT_IN, read_pictures
    from ._characters import characters
    from ._decode import BadPictureError, Limits, decode
    from ._digits import digits
    from ._folder import open_folder
    from ._pictures import DataError, Pictures, Quarantined
    from ._preprocessing import Preprocessing
    from ._split import Duplicate, Imbalance, Split, split_pictures
    from ._statistics import preprocessing_for

_HOME = {
    "BUILT_IN": "_builtin",
    "Augment": "_augment",
    "BadPictureError": "_decode",
    "Batches": "_batches",
    "DataError": "_pictures",
    "Duplicate": "_split",
    "Imbalance": "_split",
    "Limits": "_decode",
    "Pictures": "_pictures",
    "Preprocessing": "_preprocessing",
    "Quarantined": "_pictures",
    "Split": "_split",
    "augment_for": "_augment",
    "characters": "_characters",
    "decode": "_decode",
    "digits": "_digits",
    "open_folder": "_folder",
    "preprocessing_for": "_statistics",
    "read_pictures": "_builtin",
    "split_pictures": "_split",
}

__all__ = [
    "BUILT_IN",
    "Augment",
    "BadPictureError",
    "Batches",
    "DataError",
    "Duplicate",
    "Imbalance",
    "Limits",
    "Pictures",
    "Preprocessing",
    "Quarantined",
    "Split",
    "augment_for",
    "characters",
    "decode",
    "digits",
    "open_folder",
    "preprocessing_for",
    "read_pictures",
    "split_pictures",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'featherweight.data' has no attribute {name!r}")
    return getattr(import_module(f"featherweight.data.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
