"""What several commands take: pictures; options of networks and of replacements, `-o width=0.5 -o num_classes=10`."""

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeVar, Union, get_args, get_origin

import typer

Number = TypeVar("Number", int, float)

Data = Annotated[
    str,
    typer.Argument(
        help="A folder class/*.png or train|val|test/class/*; or 'digits' or 'characters', which are built in."
    ),
]

NetworkOptions = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option of the network; may be repeated."),
]


def bound(option: str, parse: Callable[[str], Number], text: str) -> Number:
    """Read the quantity of an option, which the error names.

    Raises: ValueError: `parse` cannot read it.

    Example:
        >>> bound("--max-latency", float, "soon")
        Traceback (most recent call last):
        ...
        ValueError: --max-latency: could not convert string to float: 'soon'
    """
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def parse_network_options(name: str, words: Sequence[str] | None) -> dict[str, object]:
    """Read `NAME=VALUE` words as options of a network, each as the type that the network's function declares.

    Raises:
        ValueError: unknown network, a word without `=`, or a value of the wrong type.
        TypeError: unknown option; the message names the nearest.

    Example:
        >>> parse_network_options("mobilenet_v2", ["width=0.5", "small_input=true", "head_channels=none"])
        {'width': 0.5, 'small_input': True, 'head_channels': None}
        >>> parse_network_options("mobilenet_v2", ["width=half"])
        Traceback (most recent call last):
        ...
        ValueError: option width of mobilenet_v2: 'half' is not a number
    """
    from featherweight.networks import network

    entry = network(name)
    pairs = _pairs(name, words)
    entry.check_options(pairs)
    return _typed(name, pairs, entry.build)


def parse_replacement_options(name: str, words: Sequence[str] | None, make: Callable[..., object]) -> dict[str, object]:
    """Read `NAME=VALUE` words as options of a replacement, whose function has the convolution as first parameter.

    Raises: ValueError: an unknown option, a word without `=`, or a value of the wrong type.

    Example:
        >>> def ghost(conv, *, ratio: int = 2): ...
        >>> parse_replacement_options("ghost", ["ratio=4"], ghost)
        {'ratio': 4}
    """
    pairs = _pairs(name, words)
    _, *known = inspect.signature(make).parameters
    for option in pairs:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}. It takes: {', '.join(known) or 'none'}")
    return _typed(name, pairs, make)


def _pairs(name: str, words: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for word in words or ():
        option, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"option {word!r} of {name}: wanted NAME=VALUE, such as width=0.5")
        pairs[option.strip().replace("-", "_")] = value.strip()
    return pairs


def _typed(name: str, pairs: dict[str, str], function: Callable[..., object]) -> dict[str, object]:
    parameters = inspect.signature(function).parameters
    return {
        option: _read(value, parameters[option].annotation, f"option {option} of {name}")
        for option, value in pairs.items()
    }


def _read(text: str, wanted: object, where: str) -> object:
    """Read a value as the wanted type: bool, int, float, str, a Literal, or a union of those with None."""
    kinds = get_args(wanted) if get_origin(wanted) in (types.UnionType, Union) else (wanted,)
    problems = []
    for kind in sorted(kinds, key=_strictness):
        try:
            return _read_as(text, kind)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(f"{where}: {text!r} is not {' or '.join(problems)}")


def _strictness(kind: object) -> int:
    """Try a kind that takes few texts before one that takes many."""
    order = (types.NoneType, bool, int, float, str)
    return order.index(kind) if kind in order else -1


def _read_as(text: str, kind: object) -> object:
    """Read a value as exactly one kind. Raises: ValueError: its message is what would have been right."""
    if kind is types.NoneType:
        if text.lower() == "none":
            return None
        raise ValueError("none")
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError("true or false")
    if kind is str:
        return text
    if kind is int or kind is float:
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            raise ValueError("a whole number" if kind is int else "a number") from None
    if get_origin(kind) is Literal:
        for choice in get_args(kind):
            if text == str(choice):
                return choice
        raise ValueError(f"one of {', '.join(map(str, get_args(kind)))}")
    raise ValueError("something that the command line can give; use featherweight.create in Python")
