"""Which errors are answers to the user, and which are defects of ours."""

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """What was typed cannot be meant: an unknown network, option or value. Exit code 2."""


@contextmanager
def usage() -> Iterator[None]:
    """Turn the errors of reading what was typed into `UsageError`.

    Only the call that reads the user's words belongs inside; a ValueError from later work is a defect, and keeps its
    traceback.

    Example:
        >>> with usage():
        ...     int("many")
        Traceback (most recent call last):
        ...
        featherweight.cli._errors.UsageError: invalid literal for int() with base 10: 'many'
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def expected(error: Exception) -> bool:
    """Tell whether an error is for the user to mend: one of our own classes, or a file that cannot be used.

    Example:
        >>> expected(FileNotFoundError("no such file")), expected(ZeroDivisionError())
        (True, False)
    """
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "featherweight"
