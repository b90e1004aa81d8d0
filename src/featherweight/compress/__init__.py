"""Smaller and faster: batch-norm folding and int8 quantization, same answers; other convolutions, to train anew; files.

`pack` prunes, shares and codes a network's weights: a `.fwz` file is about a tenth of the weights.
"""

from ._fold import FoldError, fold_batch_norm
from ._fwz import PackedFileError, packed_tensors
from ._pack import Packed, PackedTensor, pack, packed_metadata, unpack
from ._quantize import QuantizationError, quantize
from ._replace import ReplaceError, replace
from ._replaced import Changed, Left, Replaced
from ._replacements import REPLACEMENTS, Replacement
from ._share import PackError, SharedWeight, share_weights

__all__ = [
    "REPLACEMENTS",
    "Changed",
    "FoldError",
    "Left",
    "PackError",
    "Packed",
    "PackedFileError",
    "PackedTensor",
    "QuantizationError",
    "ReplaceError",
    "Replaced",
    "Replacement",
    "SharedWeight",
    "fold_batch_norm",
    "pack",
    "packed_metadata",
    "packed_tensors",
    "quantize",
    "replace",
    "share_weights",
    "unpack",
]
