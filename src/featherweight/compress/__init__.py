"""Smaller and faster: batch-norm folding and int8 quantization, same answers; other convolutions, to train anew."""

from ._fold import FoldError, fold_batch_norm
from ._quantize import QuantizationError, quantize
from ._replace import ReplaceError, replace
from ._replaced import Changed, Left, Replaced
from ._replacements import REPLACEMENTS, Replacement

__all__ = [
    "REPLACEMENTS",
    "Changed",
    "FoldError",
    "Left",
    "QuantizationError",
    "ReplaceError",
    "Replaced",
    "Replacement",
    "fold_batch_norm",
    "quantize",
    "replace",
]
