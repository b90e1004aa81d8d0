"""What is drawn: the HTML page on a run of `fit`, the picture of the field, what reaches what in a block, the zoo."""

from ._connectivity import connectivity_picture
from ._explorer import block_picture, write_explorer
from ._history import write_history
from ._page import write_report
from ._zoo import Ceilings, LatencySeries, Timing, Zoo, ZooLayer, ZooNetwork, look_at

__all__ = [
    "Ceilings",
    "LatencySeries",
    "Timing",
    "Zoo",
    "ZooLayer",
    "ZooNetwork",
    "block_picture",
    "connectivity_picture",
    "look_at",
    "write_explorer",
    "write_history",
    "write_report",
]
