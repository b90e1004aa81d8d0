"""Single weights pruned: how many, which, when, and that they stay so."""

import pytest
import torch
from torch import nn

from featherweight.compress import Sparsifier, sparsify


def two() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(16, 32, 3), nn.Flatten(), nn.Linear(32, 40), nn.Linear(40, 4))


def densities(model: nn.Module) -> list[float]:
    return [p.count_nonzero().item() / p.numel() for p in model.parameters() if p.ndim > 1]


def test_the_largest_of_each_large_tensor_stay() -> None:
    model = two()
    sparse = sparsify(model, density=0.25)
    assert densities(sparse) == [0.25, 0.25, 1.0] and densities(model) == [1.0, 1.0, 1.0]
    weight, left = model[0].weight.abs(), sparse[0].weight
    assert weight[left != 0].min() > weight[left == 0].max()
    assert torch.equal(left[left != 0], model[0].weight[left != 0])


@pytest.mark.parametrize(("pattern", "kept", "of"), [("2:4", 2, 4), ("1:8", 1, 8)])
def test_a_pattern_keeps_some_of_every_few_input_channels(pattern: str, kept: int, of: int) -> None:
    model = two()
    sparse = sparsify(model, pattern=pattern)
    for before, after in ((model[0].weight, sparse[0].weight), (model[2].weight, sparse[2].weight)):
        blocks = after.movedim(1, -1).reshape(-1, of)
        assert ((blocks != 0).sum(1) == kept).all()
        largest = before.movedim(1, -1).reshape(-1, of).abs().topk(kept).values.sum(1)
        torch.testing.assert_close(blocks.abs().sum(1), largest)


def test_what_does_not_divide_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 128, 3, groups=64))
    nn.init.zeros_(model[0].weight)
    sparsifier = Sparsifier(model, pattern="2:4")
    assert sparsifier.left == ("0.weight", "2.weight")
    sparsifier.step()
    nn.init.ones_(model[0].weight)
    sparsifier.step()
    assert densities(model) == [1.0, 0.5, 1.0]  # what was zero at first, too


def trained(steps: int, *, stop: int | None = None, pattern: str | None = None) -> tuple[nn.Module, list[float]]:
    """Train with a schedule; after `stop` steps everything is put away, and comes back."""
    model, x = two(), torch.randn(8, 16, 3, 3, generator=torch.Generator().manual_seed(1))
    choice = {"pattern": pattern} if pattern else {"density": 0.2, "steps": 6, "every": 2}
    sparsifier, seen = Sparsifier(model, **choice), []
    for step in range(steps):
        if step == stop:
            again = two()
            again.load_state_dict(model.state_dict())
            following = Sparsifier(again, **choice)
            following.load_state_dict(sparsifier.state_dict())
            model, sparsifier = again, following
        model.zero_grad()
        model(x).square().mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.1 * parameter.grad)
        sparsifier.step()
        seen.append(densities(model)[0])
    return model, seen


def test_the_density_falls_by_the_cubic_and_zeros_stay() -> None:
    model, seen = trained(9)
    expected = [0.2 + 0.8 * (1 - step / 6) ** 3 for step in (1, 2, 2, 4, 4, 6, 6, 6, 6)]
    assert seen == pytest.approx(expected, abs=1e-3)
    again, _ = trained(9, stop=5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert trained(3, pattern="2:4")[1] == [0.5] * 3


def test_wrong_choices_are_named() -> None:
    for choices, complaint in (
        ({}, "give density or pattern, one of them"),
        ({"density": 0.5, "pattern": "2:4"}, "give density or pattern, one of them"),
        ({"density": 0}, r"in \(0, 1\]; got 0"),
        ({"pattern": "4:2"}, "N of every M weights, such as 2:4; got '4:2'"),
        ({"pattern": "half"}, "got 'half'"),
        ({"density": 0.5, "steps": -1}, "steps is 0 or more"),
    ):
        with pytest.raises(ValueError, match=complaint):
            Sparsifier(two(), **choices)
    for model, complaint in (
        (nn.Linear(31, 33), "nothing to prune: no tensor of two dimensions or more has 1024 weights"),
        (nn.Conv2d(128, 128, 3, groups=128), "by 2:4: wanted input channels that divide by 4; got 1$"),
    ):
        with pytest.raises(ValueError, match=complaint):
            sparsify(model, pattern="2:4")
    other = Sparsifier(nn.Linear(64, 64), density=0.5)
    other.step()
    with pytest.raises(ValueError, match="these masks are of another network"):
        Sparsifier(two(), density=0.5).load_state_dict(other.state_dict())


def test_masks_of_only_some_weights_are_refused() -> None:
    sparsifier = Sparsifier(two(), density=0.5)
    sparsifier.step()
    state = sparsifier.state_dict()
    lost = next(iter(state["masks"]))
    del state["masks"][lost]
    with pytest.raises(ValueError, match=rf"after 1 steps each weight has a mask; there is none of {lost}"):
        Sparsifier(two(), density=0.5).load_state_dict(state)
    Sparsifier(two(), density=0.5).load_state_dict(Sparsifier(two(), density=0.5).state_dict())
