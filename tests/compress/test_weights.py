"""Weights in few bits: whole numbers of a scale, with less error than the plain choice of it."""

import numpy as np
import pytest

from featherweight.compress._weights import channel_scales, largest_level, snap


@pytest.mark.parametrize("bits", [8, 6, 5, 4])
def test_snapped_weights_are_few_whole_numbers(bits):
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    largest = largest_level(bits)
    scales = channel_scales(weight, 0, largest)
    whole = snap(weight, scales, 0, largest) / scales.reshape(-1, 1, 1, 1)
    assert np.abs(whole - np.rint(whole)).max() < 1e-4
    assert np.abs(whole).max() <= largest + 1e-4
    plain = (np.abs(weight).max((1, 2, 3)) / largest).astype(np.float32)
    error, plain_error = (((snap(weight, s, 0, largest) - weight) ** 2).sum() for s in (scales, plain))
    assert error <= plain_error
