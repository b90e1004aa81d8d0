"""The command that a run gives of itself: typed again, it asks the same question."""

import shlex

import pytest

from featherweight._fit._metrics import command

from .test_settings import parse


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max_latency": "none", "max_size": "123456789B", "networks": "mobilenet*"},
        {"data": "my pictures", "max_size": "none", "max_memory": "64kB", "flip": False, "threads": 2},
        {"rescue": "none", "time": "2min"},
        {"rescue": "20s", "time": "30s"},
        {"data": "it's", "min_accuracy": "97.123456%", "max_int8_loss": "1.5%", "time": "1h30m", "flip": True},
    ],
)
def test_the_command_asks_for_the_same_run(given: dict[str, object]) -> None:
    settings = parse(**given)
    program, name, data, *words = shlex.split(command(settings))
    assert (program, name) == ("featherweight", "fit")
    flips = [word for word in words if word in ("--flip", "--no-flip")]
    words = [word for word in words if word not in flips]
    named: dict[str, object] = {
        option.removeprefix("--").replace("-", "_"): int(value) if option in ("--seed", "--threads") else value
        for option, value in zip(words[::2], words[1::2], strict=True)
    }
    assert parse(**{"data": data, "flip": flips == ["--flip"] if flips else None, **named}) == settings
