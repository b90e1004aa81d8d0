"""What the registry says to options that a network has not, values that cannot be, and names that are not there."""

import pytest

from featherweight.networks import create, networks, on_meta_device

every_network = pytest.mark.parametrize("entry", list(networks()), ids=lambda entry: entry.name)


@every_network
def test_wrong_option_is_answered_with_the_right_ones(entry) -> None:
    with pytest.raises(
        TypeError, match=rf"{entry.name} has no option 'num_clases', did you mean 'num_classes'\?.*in_ch"
    ):
        create(entry.name, num_clases=3)


WRONG = [
    ("num_classes", -1, "must be a whole number, 0 or more; got -1"),
    ("in_channels", 0, "must be a whole number, 1 or more; got 0"),
    ("dropout", 1.5, r"must be a share in \[0, 1\); got 1.5"),
    ("width", -0.5, "must be a number above 0; got -0.5"),
    ("width", "half", "must be a number above 0; got 'half'"),
    ("small_input", "yes", "must be True or False; got 'yes'"),
    ("table", [], r"must be rows of a layer table; got \[\]"),
    ("depth", 0, "must be a number above 0; got 0"),
    ("drop_path", 1.04, r"must be a share in \[0, 1\); got 1.04"),
    ("resolution", -5, "must be a whole number, 1 or more; got -5"),
    ("expansion", 0, "must be a whole number, 1 or more; got 0"),
    ("ratio", 2.5, "must be a whole number, 1 or more; got 2.5"),
]


@pytest.mark.parametrize(
    ("name", "option", "value", "wanted"),
    [(entry.name, *wrong) for entry in networks() for wrong in WRONG if wrong[0] in entry.options],
)
def test_a_value_that_cannot_be_is_refused(name: str, option: str, value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"{option} of {name} {wanted}"):
        create(name, **{option: value})


def test_each_wrong_value_has_a_network_to_refuse_it() -> None:
    options = {option for entry in networks() for option in entry.options}
    assert {option for option, *_ in WRONG} <= options


@every_network
def test_every_network_has_the_common_options_and_a_text(entry) -> None:
    assert {"num_classes", "in_channels", "dropout", "small_input"} <= set(entry.options)
    assert entry.build.__doc__
    assert entry.default("num_classes") in (1000, 100, 10)  # ImageNet, CIFAR
    with on_meta_device():
        assert create(entry.name).resolution == entry.resolution


def test_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match="unknown network 'mobilenetv2'; did you mean mobilenet_v2"):
        create("mobilenetv2")


def test_out_indices_need_features_only() -> None:
    with pytest.raises(TypeError, match="needs features_only=True"):
        create(next(networks()).name, out_indices=(1,))
