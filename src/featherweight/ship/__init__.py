"""One network as every file that it can become: written, proven and measured, held to the bounds that were given."""

from ._bounds import Bounds
from ._ship import File, Pictures, Shipped, measured, of_pytorch, shipment, write_files

__all__ = [
    "Bounds",
    "File",
    "Pictures",
    "Shipped",
    "measured",
    "of_pytorch",
    "shipment",
    "write_files",
]
