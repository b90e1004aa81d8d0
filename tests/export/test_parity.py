"""The proof that an exported model agrees, and that the proof can fail."""

import numpy as np
import pytest

from featherweight.export import ParityError, compare, prove

LABELS = np.array([0, 1, 2, 0])
LOGITS = np.array([[5, 1, 0], [0, 4, 1], [1, 0, 3], [0, 2, 1]], np.float32)  # the last one is a mistake


def changed(picture, class_, value):
    logits = LOGITS.copy()
    logits[picture, class_] = value
    return logits


def test_equal_logits():
    parity = prove(LOGITS, LOGITS.copy(), LABELS)
    assert parity.pictures == 4
    assert parity.agreement == 1
    assert parity.max_logit_difference == 0
    assert parity.logit_scale == 5
    assert parity.accuracy_reference == parity.accuracy_exported == 0.75


def test_rounding_passes_and_more_does_not():
    assert prove(LOGITS, LOGITS + np.float32(4e-4), LABELS).max_logit_difference == pytest.approx(4e-4, rel=0.01)
    with pytest.raises(ParityError, match=r"0\.0006\d* \(picture \d\), where 0\.0005 is allowed, .* 4 of 4 pictures"):
        prove(LOGITS, LOGITS + np.float32(6e-4), LABELS)


def test_the_tolerance_grows_with_the_logits():
    difference = np.float32(0.03)
    assert prove(LOGITS * 100, LOGITS * 100 + difference, LABELS).agreement == 1
    with pytest.raises(ParityError):
        prove(LOGITS, LOGITS + difference, LABELS)


def test_another_best_class_is_found_on_one_picture():
    swapped = changed(2, 1, 3.5)
    with pytest.raises(ParityError, match=r"3 of 4 pictures; .* \(picture 2\)"):
        prove(LOGITS, swapped, LABELS)
    parity = compare(LOGITS, swapped, LABELS)
    assert parity.agreement == 0.75
    assert parity.accuracy_exported == 0.5
    assert parity.max_logit_difference == 3.5


def test_a_tie_that_rounding_turns_is_agreement():
    reference = changed(0, 1, 5 - 1e-5)
    turned = changed(0, 1, 5 + 1e-5)
    assert turned[0].argmax() != reference[0].argmax()
    assert prove(reference, turned, LABELS).agreement == 1


def test_logits_that_do_not_depend_on_the_picture_prove_nothing():
    constant = np.tile(LOGITS[:1], (4, 1)) + np.random.default_rng(0).normal(size=(4, 3)) * 1e-9
    with pytest.raises(ParityError, match="parity cannot be shown: the network's logits on 4 pictures differ by"):
        prove(constant, constant, LABELS)
    assert prove(LOGITS[:1], LOGITS[:1], LABELS[:1]).agreement == 1


def test_a_tiny_scale_does_not_hide_a_difference():
    with pytest.raises(ParityError, match="disagrees"):
        prove(LOGITS * 1e-9, LOGITS[::-1] * 1e-9, LABELS)


@pytest.mark.parametrize("compares", [compare, prove])
@pytest.mark.parametrize(
    ("reference", "exported", "labels", "message"),
    [
        (LOGITS, LOGITS[:3], LABELS, r"got \[4, 3\], \[3, 3\] and \[4\]"),
        (LOGITS, LOGITS, LABELS[:2], r"got \[4, 3\], \[4, 3\] and \[2\]"),
        (LOGITS[0], LOGITS[0], LABELS, r"got \[3\], \[3\] and \[4\]"),
        (LOGITS[:0], LOGITS[:0], LABELS[:0], "there are no pictures"),
        (LOGITS, changed(1, 0, np.nan), LABELS, "the exported model gives logits that are not finite on 1 of 4"),
        (changed(1, 0, np.inf), LOGITS, LABELS, "the network gives logits that are not finite on 1 of 4"),
    ],
)
def test_what_cannot_be_compared(compares, reference, exported, labels, message):
    with pytest.raises(ParityError, match=message):
        compares(reference, exported, labels)
