"""Smaller and faster: batch-norm folding and int8 quantization, same answers; other convolutions, to train anew; files.

`quantize` makes an int8 ONNX file of a float one; `quantization_aware` is for training with rounded numbers before it.
`prune` removes channels until a budget is met, and gives a normal module; `sparsify` sets single weights to zero.

`pack` prunes, shares and codes a network's weights: a `.fwz` file is about a tenth of the weights.
"""

from ._aware import QuantizationAware, quantization_aware
from ._channels import PruneError
from ._fold import FoldError, fold_batch_norm
from ._fwz import PackedFileError, packed_tensors
from ._pack import Packed, PackedTensor, pack, packed_metadata, unpack
from ._prune import prune
from ._pruned import Narrowed, Pruned
from ._qdq import QuantizationError
from ._quantize import QuantizationReport, quantize
from ._replace import ReplaceError, replace
from ._replaced import Changed, Left, Replaced
from ._replacements import REPLACEMENTS, Replacement
from ._sensitivity import LayerSensitivity
from ._share import PackError, SharedWeight, share_weights
from ._sparsify import Sparsifier, sparsify
from ._synthetic import synthetic_pictures

__all__ = [
    "REPLACEMENTS",
    "Changed",
    "FoldError",
    "LayerSensitivity",
    "Left",
    "Narrowed",
    "PackError",
    "Packed",
    "PackedFileError",
    "PackedTensor",
    "PruneError",
    "Pruned",
    "QuantizationAware",
    "QuantizationError",
    "QuantizationReport",
    "ReplaceError",
    "Replaced",
    "Replacement",
    "SharedWeight",
    "Sparsifier",
    "fold_batch_norm",
    "pack",
    "packed_metadata",
    "packed_tensors",
    "prune",
    "quantization_aware",
    "quantize",
    "replace",
    "share_weights",
    "sparsify",
    "synthetic_pictures",
    "unpack",
]
