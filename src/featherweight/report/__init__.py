"""What is drawn: the HTML page on a run of `fit`, the picture of the field, what reaches what in a block, rooflines."""

from ._connectivity import connectivity_picture
from ._history import write_history
from ._page import write_report
from ._roofline import Mark, write_roofline

__all__ = ["Mark", "connectivity_picture", "write_history", "write_report", "write_roofline"]
