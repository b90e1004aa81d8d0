"""Batches: every picture's turn, the same whatever happened before, in the layout that convolutions like."""

from collections.abc import Callable

import pytest
import torch

from featherweight.data import Augment, Batches

IMAGES = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(50)
MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 1.0)


def training(**options: object) -> Batches:
    settings = {"batch_size": 8, "augment": Augment(translate=0.1, flip=True), "seed": 3, "shuffle": True, **options}
    return Batches(IMAGES, LABELS, mean=MEAN, std=STD, **settings)  # type: ignore[arg-type]


def same(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_evaluation_gives_every_picture_in_order_normalised() -> None:
    batches = Batches(IMAGES, LABELS, [4, 2, 9, 1, 7], batch_size=2, mean=MEAN, std=STD)
    for _ in range(2):  # each time from the start
        given = list(batches)
        assert [y.tolist() for _, y in given] == [[4, 2], [9, 1], [7]]
    x = torch.cat([x for x, _ in given])
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    torch.testing.assert_close(x, (IMAGES[[4, 2, 9, 1, 7]] / 255 - mean) / std, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", [None, Augment(flip=True), Augment(translate=0.1)])
def test_memory_is_channels_last(channels: int, augment: Augment | None) -> None:
    batches = Batches(
        IMAGES[:, :channels], LABELS, batch_size=4, mean=MEAN[:channels], std=STD[:channels], augment=augment
    )
    x, _ = batches.batch(0)
    assert x.dtype == torch.float32
    assert x.stride() == (64 * channels, 1, 8 * channels, channels)


def test_an_epoch_has_full_batches_of_different_pictures_in_a_new_order() -> None:
    batches = training()
    first, second = ([y for _, y in batches] for _ in range(2))
    assert len(batches) == len(first) == len(second) == 6
    assert [len(y) for y in first] == [8] * 6
    assert len(set(torch.cat(first).tolist())) == 48
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert batches.position == 12


def test_fewer_pictures_than_a_batch_are_one_batch() -> None:
    batches = Batches(IMAGES, LABELS, [1, 2, 3], batch_size=8, mean=MEAN, std=STD, shuffle=True)
    assert [sorted(y.tolist()) for _, y in batches] == [[1, 2, 3]]


def test_a_step_is_the_same_whatever_came_before() -> None:
    whole = training()
    straight = [batch for _ in range(3) for batch in whole]
    for start in (0, 1, 5, 6, 11, 17):
        resumed = training()
        resumed.set_position(start)
        assert all(same(a, b) for a, b in zip(resumed, straight[start : start - start % 6 + 6], strict=True))
        assert resumed.position == start - start % 6 + 6
    assert same(training().batch(17), straight[17])
    assert same(whole.batch(2), straight[2])


def test_another_seed_gives_another_order_and_other_changes() -> None:
    assert training().batch(0)[1].tolist() != training(seed=4).batch(0)[1].tolist()
    ordered = [training(shuffle=False, seed=seed).batch(0)[0] for seed in (3, 4)]
    assert not torch.equal(*ordered)


def test_the_same_on_any_number_of_threads() -> None:
    threads = torch.get_num_threads()
    try:
        given = []
        for count in (1, 2):
            torch.set_num_threads(count)
            given.append(training().batch(4))
    finally:
        torch.set_num_threads(threads)
    assert same(*given)


def test_the_kept_pictures_stay_as_they_were() -> None:
    before = IMAGES.clone()
    for augment in (None, Augment(), Augment(flip=True, brightness=0.3, erase=1)):
        training(augment=augment).batch(0)
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batches(IMAGES.float(), LABELS, batch_size=2, mean=MEAN, std=STD), r"uint8 .* got torch\.float32"),
        (lambda: Batches(IMAGES, LABELS[:5], batch_size=2, mean=MEAN, std=STD), "got 50 pictures, 5 labels"),
        (lambda: Batches(IMAGES, LABELS, batch_size=2, mean=(0.5,), std=STD), "mean and std need 3 values each"),
        (lambda: Batches(IMAGES, LABELS, batch_size=0, mean=MEAN, std=STD), "batch_size must be at least 1; got 0"),
        (lambda: Batches(IMAGES, LABELS, [], batch_size=2, mean=MEAN, std=STD), "indices is empty"),
        (lambda: training().set_position(-1), "a step counts from 0; got -1"),
    ],
)
def test_what_does_not_fit_is_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
