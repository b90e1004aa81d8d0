"""From an int8 network to C: what it does step by step, where each map lies in memory, and the text."""

from ._program import Program, UnsupportedError

__all__ = ["Program", "UnsupportedError"]
