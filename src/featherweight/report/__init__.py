"""What is drawn: the page on a run of `fit`, the field, what reaches what in a block, the zoo, rooflines, bars."""

from ._bars import Bar, write_bars
from ._connectivity import connectivity_picture
from ._explorer import block_picture, write_explorer
from ._history import write_history
from ._page import write_report
from ._roofline import Mark, write_roofline
from ._shipment import write_shipment
from ._zoo import Ceilings, LatencySeries, Timing, Zoo, ZooLayer, ZooNetwork, look_at

__all__ = [
    "Bar",
    "Ceilings",
    "LatencySeries",
    "Mark",
    "Timing",
    "Zoo",
    "ZooLayer",
    "ZooNetwork",
    "block_picture",
    "connectivity_picture",
    "look_at",
    "write_bars",
    "write_explorer",
    "write_history",
    "write_report",
    "write_roofline",
    "write_shipment",
]
