"""Head and container of the networks, and how their weights are drawn."""

import pytest
import torch
from torch import nn

from featherweight.blocks import ClassifierHead, ConvNormAct, ImageClassifier, initialize
from featherweight.cost import analyze


@pytest.mark.parametrize("hidden", [None, 12])
def test_head_averages_then_classifies(hidden: int | None) -> None:
    head, x = (
        ClassifierHead(8, 5, hidden_channels=hidden, activation="hard_swish", dropout=0.5).eval(),
        torch.randn(2, 8, 3, 4),
    )
    features = x.mean((2, 3))
    if hidden:
        features = nn.functional.hardswish(head.hidden[0](features))
    assert head.num_features == features.shape[1]
    torch.testing.assert_close(head(x, pre_logits=True), features)
    torch.testing.assert_close(head(x), features @ head.classifier.weight.T + head.classifier.bias)


@pytest.mark.parametrize(("hidden", "wanted"), [(None, 8 * 5), (12, 8 * 12 + 12 * 5)])
def test_head_s_cost_is_the_docstring_s(hidden: int | None, wanted: int) -> None:
    assert analyze(ClassifierHead(8, 5, hidden_channels=hidden), (8, 3, 4)).multiply_adds == wanted


def test_head_without_classes_gives_features_and_bias_is_an_option() -> None:
    x = torch.randn(2, 8, 3, 4)
    head = ClassifierHead(8, 0)
    torch.testing.assert_close(head(x), x.mean((2, 3)))
    head.reset(3)
    assert head(x).shape == (2, 3)
    unbiased = ClassifierHead(8, 3, bias=False)
    unbiased.reset(4)
    assert unbiased.classifier.bias is None


def test_dropout_is_off_in_evaluation() -> None:
    head, x = ClassifierHead(64, 5, dropout=0.5), torch.randn(2, 64, 3, 4)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


def test_container_holds_no_early_map_to_the_end() -> None:
    """The stem's output is the largest map: it must be gone before the last block runs."""
    import weakref

    alive: list[weakref.ref[torch.Tensor]] = []

    class Last(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert alive[0]() is None, "the stem's output is still held"
            return x

    stem = ConvNormAct(3, 4, kernel_size=3)
    stem.register_forward_hook(lambda module, args, output: alive.append(weakref.ref(output)))
    body = [ConvNormAct(4, 8), ConvNormAct(8, 8), Last()]
    model = ImageClassifier(stem, body, ClassifierHead(8, 2), in_channels=3)
    with torch.no_grad():
        model.eval()(torch.randn(1, 3, 8, 8))
    assert alive


def test_weights_are_drawn_as_said() -> None:
    conv = nn.Conv2d(64, 128, 3, groups=2)
    linear = nn.Linear(300, 300)
    initialize(nn.Sequential(conv, linear))
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not conv.bias.any()
    assert not linear.bias.any()
