"""What is drawn: the HTML page on a run of `fit`, the picture of the field, what reaches what in a block."""

from ._connectivity import connectivity_picture
from ._history import write_history
from ._page import write_report

__all__ = ["connectivity_picture", "write_history", "write_report"]
