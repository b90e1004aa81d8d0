"""Reading a network's options as the types that its function declares."""

from typing import Literal

import pytest

from featherweight.cli._options import Data, _read, parse_network_options
from featherweight.data import BUILT_IN
from featherweight.networks import networks


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("0.5", float, 0.5),
        ("1", float, 1.0),
        ("3", int, 3),
        ("true", bool, True),
        ("False", bool, False),
        ("relu6", str, "relu6"),
        ("none", int | None, None),
        ("7", int | None, 7),
        ("1.1", Literal["1.0", "1.1"], "1.1"),
        ("8", Literal[1, 8], 8),
    ],
)
def test_values(text: str, kind: object, value: object) -> None:
    read = _read(text, kind, "option x")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "complaint"),
    [
        ("half", float, "option x: 'half' is not a number"),
        ("0.5", int, "option x: '0.5' is not a whole number"),
        ("yes", bool, "option x: 'yes' is not true or false"),
        ("x", int | None, "option x: 'x' is not none or a whole number"),
        ("1.2", Literal["1.0", "1.1"], "option x: '1.2' is not one of 1.0, 1.1"),
        ("rows", list[int], "use featherweight.create in Python"),
    ],
)
def test_values_that_cannot_be_read(text: str, kind: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        _read(text, kind, "option x")


def test_words_without_a_value_and_unknown_options() -> None:
    name = next(networks()).name
    with pytest.raises(ValueError, match="wanted NAME=VALUE, such as"):
        parse_network_options(name, ["num_classes"])
    with pytest.raises(TypeError, match="did you mean 'num_classes'"):
        parse_network_options(name, ["numclasses=10"])


def test_the_help_names_the_built_in_pictures() -> None:
    (argument,) = Data.__metadata__
    assert all(f"'{name}'" in argument.help for name in BUILT_IN)
