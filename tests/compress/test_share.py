"""Pruning and sharing: against plain k-means, and by training the shared values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from featherweight.compress import PackError, SharedWeight, share_weights
from featherweight.compress._share import TINY, cluster, plain, prune
from featherweight.data import Batches, Preprocessing, digits, split_pictures
from featherweight.networks import create
from featherweight.train import Recipe, evaluate, train


def lloyd(values: np.ndarray, clusters: int) -> np.ndarray:
    """K-means as it is written down: nearest centroid, then the mean, until nothing moves."""
    centroids = np.linspace(values.min(), values.max(), clusters)
    while True:
        nearest = np.abs(values[:, None] - centroids).argmin(1)
        moved = np.array([values[nearest == i].mean() if (nearest == i).any() else c for i, c in enumerate(centroids)])
        if np.array_equal(moved, centroids):
            return centroids[nearest]
        centroids = moved


@given(st.integers(1, 300), st.sampled_from([2, 7, 16]), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_clusters_are_those_of_plain_k_means(count, clusters, seed) -> None:
    values = np.random.default_rng(seed).laplace(size=count).astype(np.float32)
    expected = lloyd(values.astype(np.float64), clusters) if count > clusters else values
    np.testing.assert_allclose(cluster(values, clusters), expected, rtol=1e-6)


@pytest.mark.parametrize("density", [1e-9, 0.01, 0.33, 0.5, 1])
def test_the_largest_magnitudes_stay(density) -> None:
    weight = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    pruned = prune(weight, density)
    keep = max(1, round(density * weight.size))
    assert np.count_nonzero(pruned) == keep
    assert np.array_equal(pruned[pruned != 0], weight[pruned != 0])
    assert np.sort(np.abs(weight), axis=None)[-keep] == np.abs(pruned[pruned != 0]).min()


def test_of_equal_magnitudes_the_first_stay_and_zeros_never_come_back() -> None:
    assert prune(np.float32([1, -1, 1, -1]), 0.5).tolist() == [1, -1, 0, 0]
    assert prune(np.float32([0, 3, 0, 0]), 0.9).tolist() == [0, 3, 0, 0]


def test_large_weights_are_shared_and_others_stay() -> None:
    model = create("mobilenet_v2", width=0.35, num_classes=10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = plain(share_weights(model, density=0.25, bits=3)).state_dict()
    assert list(after) == list(before) == list(model.state_dict())
    for name, tensor in after.items():
        assert torch.equal(model.state_dict()[name], before[name])
        if tensor.ndim > 1 and tensor.numel() >= TINY:
            assert int(tensor.count_nonzero()) == round(0.25 * tensor.numel())
            assert tensor[tensor != 0].unique().numel() <= 8
        else:
            assert torch.equal(tensor, before[name])


def test_sharing_twice_changes_nothing() -> None:
    once = share_weights(create("squeezenet", num_classes=10), bits=5)
    twice = share_weights(once, bits=5)
    assert all(torch.equal(a, b) for a, b in zip(plain(once).parameters(), plain(twice).parameters(), strict=True))
    assert sum(isinstance(module, SharedWeight) for module in twice.modules()) == 26


def test_a_centroids_gradient_is_the_sum_of_its_weights() -> None:
    linear = nn.Linear(64, 32)
    shared = share_weights(linear, density=0.5, bits=3)
    x = torch.randn(5, 64)
    shared(x).square().sum().backward()
    plain_layer = plain(shared)
    plain_layer(x).square().sum().backward()
    codebook = shared.parametrizations.weight.original
    for centroid, gradient in zip(codebook, codebook.grad, strict=True):
        members = plain_layer.weight == centroid
        torch.testing.assert_close(plain_layer.weight.grad[members].sum(), gradient, rtol=1e-4, atol=1e-4)


def test_training_the_shared_values_wins_back_accuracy() -> None:
    pictures = digits()
    pre = Preprocessing(resolution=8, channels=1, mean=(0.3,), std=(0.35,))
    split, images = split_pictures(pictures, seed=0), pictures.at(pre)
    constants = {"mean": pre.mean, "std": pre.std}
    batches = Batches(images, pictures.labels, split.train, batch_size=32, shuffle=True, **constants)
    held_out = Batches(images, pictures.labels, split.val, batch_size=128, **constants)
    layers = [nn.Conv2d(1, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3), nn.BatchNorm2d(24), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(24 * 16, 10))
    train(model, batches, held_out, Recipe(epochs=4), progress=False)
    shared = share_weights(model, density=0.1, bits=2)
    before = {name: tensor.clone() for name, tensor in plain(shared).state_dict().items()}
    accuracies = [evaluate(one, held_out).accuracy for one in (model, shared)]
    train(shared, batches, held_out, Recipe(epochs=2, learning_rate=0.01), progress=False)
    accuracies.append(evaluate(shared, held_out).accuracy)
    floats, lost, tuned = accuracies
    assert floats > 0.95
    assert lost < 0.8
    assert tuned > 0.9
    for name, tensor in plain(shared).state_dict().items():
        if tensor.ndim > 1 and tensor.numel() >= TINY:
            assert torch.equal(tensor == 0, before[name] == 0)
            for value in before[name].unique():
                assert tensor[before[name] == value].unique().numel() == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"density": 0}, "density is the share of weights to keep, in .0, 1.; got 0"),
        ({"density": 33}, "got 33"),
        ({"bits": 0}, "bits of an index are 1 to 8; got 0"),
        ({"bits": 9}, "got 9"),
        ({"bits": 6.5}, "got 6.5"),
    ],
)
def test_choices_out_of_range(arguments, complaint) -> None:
    with pytest.raises(ValueError, match=complaint):
        share_weights(nn.Linear(64, 64), **arguments)


def test_weights_that_cannot_be_shared() -> None:
    with pytest.raises(
        PackError, match=r"weight is torch.float16; weights are shared that are float32: model.float\(\)"
    ):
        share_weights(nn.Linear(64, 64).half())
    tied = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    tied[1].weight = tied[0].weight
    with pytest.raises(PackError, match=r"0\.weight and 1\.weight are one tensor \(tied\)"):
        share_weights(tied)
    twice = nn.Sequential(tied[0], tied[0])  # one layer in two places
    assert share_weights(twice, bits=1)[1].weight.unique().numel() <= 3
    linear = nn.Linear(64, 64)
    linear.weight.data[3, 3] = torch.nan
    with pytest.raises(PackError, match="weight has weights that are not finite"):
        share_weights(linear)
