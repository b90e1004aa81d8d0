import pytest

from featherweight._fit import SettingsError
from featherweight._fit._settings import Settings


def parse(**given: object) -> Settings:
    plain: dict[str, object] = {
        "data": "digits", "max_latency": "auto", "max_size": "300kB", "max_memory": None, "min_accuracy": "97%",
        "max_int8_loss": "0.5%", "time": "90s", "rescue": "auto", "networks": "*", "seed": 0,
        "threads": 1, "flip": None,
    }  # fmt: skip
    return Settings.parse(**{**plain, **given})  # type: ignore[arg-type]


def test_quantities_are_read_with_their_units() -> None:
    settings = parse(max_latency="2ms", max_memory="1MB", time="10min", networks="mobilenet_v2, GhostNet")
    assert settings.budget.latency_seconds == pytest.approx(0.002)
    assert (settings.budget.size_bytes, settings.budget.memory_bytes) == (300_000, 1_000_000)
    assert settings.budget.accuracy == pytest.approx(0.97)
    assert (settings.seconds, settings.networks) == (600.0, ("mobilenet_v2", "GhostNet"))


def test_the_digits_alone_have_a_latency_limit_of_their_own() -> None:
    assert parse().budget.latency_seconds == pytest.approx(0.3e-3)
    assert parse(data="pictures").budget.latency_seconds is None
    assert parse(data="characters").budget.latency_seconds is None
    assert parse(max_latency="none").budget.latency_seconds is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_size": "300"}, "not a size: '300' has no unit"),
        ({"max_latency": "2 bananas"}, "not a time: '2 bananas'"),
        ({"max_memory": 0}, "memory_bytes must be above 0; got 0"),
        ({"min_accuracy": "120%"}, "not between 0 % and 100 %"),
        ({"time": "5s"}, "a run needs at least 30 s .* got 5 s"),
        ({"networks": "mobilnet_v2"}, "no network fits 'mobilnet_v2'; did you mean mobilenet_v2"),
        ({"networks": " , "}, "networks names none; got ' , '"),
        ({"threads": 0}, "threads must be 1 or more; got 0"),
        ({"seed": -1}, "seed must be 0 or more; got -1"),
    ],
)
def test_what_cannot_be_meant_is_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse(**given)


def test_settings_survive_json_and_differences_are_named() -> None:
    settings = parse(seed=3)
    assert Settings.from_dict(settings.to_dict()) == settings
    assert settings.differences(parse(seed=4).to_dict()) == ["seed: 4 there, 3 now"]
