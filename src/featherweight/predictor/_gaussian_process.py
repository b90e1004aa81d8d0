"""Regression by a Gaussian process: a smooth function through samples, that knows how far it is from them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SEARCHED, KEPT = 400, 1500  # samples that length scales are searched with, and that a model keeps, at the most
STEPS = 80
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class GaussianProcess:
    """y(x) with mean `offset`, and a Matern 5/2 covariance with a length scale for each feature.

    Args:
        x: samples, float64 [n, d].
        y: their values, float64 [n].
        spread: variance of each sample that is known, float64 [n]; `noise` comes on top.
        scales: length scales, float64 [d]; infinite for a feature that does not matter.
        amplitude: variance of the function.
        noise: variance of a sample around it.
        offset: the mean far from all samples.
    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, algorithm 2.1, equation 4.17 and 5.9.
    """

    x: Tensor
    y: Tensor
    spread: Tensor
    scales: Tensor
    amplitude: float
    noise: float
    offset: float

    def __post_init__(self) -> None:
        covariance = self.amplitude * _matern(self.x, self.x, self.scales)
        covariance.diagonal().add_(self.spread + (self.noise + LEAST_VARIANCE))
        factor = torch.linalg.cholesky(covariance)
        weights = torch.cholesky_solve((self.y - self.offset).unsqueeze(1), factor).squeeze(1)
        object.__setattr__(self, "_factor", factor)
        object.__setattr__(self, "_weights", weights)

    def __call__(self, x: Tensor, weights: Tensor | None = None) -> tuple[Tensor, float]:
        """Return the function's mean at x, and the variance of the sum of new samples there, each times its weight.

        Neighbours err together: the variance of a sum is not the sum of variances.

        Args:
            x: float64 [m, d].
            weights: float64 [m]; default: all 1.
        Returns: float64 [m]; and the variance.
        """
        factor: Tensor = self._factor  # type: ignore[attr-defined]
        learned: Tensor = self._weights  # type: ignore[attr-defined]
        weights = torch.ones(len(x), dtype=x.dtype) if weights is None else weights
        across = self.amplitude * _matern(x, self.x, self.scales)
        prior = self.amplitude * weights @ _matern(x, x, self.scales) @ weights
        solved = torch.linalg.solve_triangular(factor, (weights @ across).unsqueeze(1), upper=False)
        alone = weights.square().sum()
        variance = (prior - solved.square().sum()).clamp_min(LEAST_VARIANCE * alone) + self.noise * alone
        return self.offset + across @ learned, float(variance)


def fit(
    x: Tensor, y: Tensor, spread: Tensor | None = None, *, like: GaussianProcess | None = None, seed: int = 0
) -> GaussianProcess:
    """Search the length scales under which the samples are the likeliest.

    Of many samples some are drawn for the search, and some for the model.

    Args:
        x: float64 [n, d].
        y: float64 [n], n at least 1.
        spread: variance of each sample that is known, float64 [n]; default: none.
        like: a process whose length scales, amplitude and noise are taken instead of searched.
        seed: of the draws.

    Example:
        >>> x = torch.linspace(0, 6, 40, dtype=torch.float64).unsqueeze(1)
        >>> found = fit(x, torch.sin(x[:, 0]))
        >>> mean, variance = found(torch.tensor([[1.05]], dtype=torch.float64))
        >>> abs(float(mean) - math.sin(1.05)) < 0.01
        True
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    spread = torch.zeros_like(y) if spread is None else spread
    x, y, spread = x[order[:KEPT]], y[order[:KEPT]], spread[order[:KEPT]]
    if like is not None:
        return GaussianProcess(x, y, spread, like.scales, like.amplitude, like.noise, float(y.median()))
    deviation = x.std(0, correction=0)
    matters = deviation > 1e-9
    offset = float(y.median())
    variance = max(float((y - offset).square().mean()), 1e-4)
    log_scales = torch.full((int(matters.sum()),), math.log(3.0), dtype=x.dtype, requires_grad=True)
    log_rest = torch.tensor([math.log(variance), math.log(variance / 10)], dtype=x.dtype, requires_grad=True)
    some = slice(0, SEARCHED)
    near, values, known = (x[:, matters] / deviation[matters])[some], y[some] - offset, spread[some]
    optimizer = torch.optim.Adam([log_scales, log_rest], lr=0.1)
    with torch.enable_grad():
        for _ in range(STEPS if len(values) > 2 else 0):
            optimizer.zero_grad()
            loss = _negative_log_likelihood(near, values, known, log_scales, log_rest)
            # Length scales that the samples say nothing about stay where they began.
            loss = loss + 0.5 * ((log_scales - math.log(3.0)) / 1.5).square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    scales = torch.full_like(deviation, math.inf)
    scales[matters] = log_scales.detach().exp() * deviation[matters]
    amplitude, noise = log_rest.detach().exp().tolist()
    return GaussianProcess(x, y, spread, scales, amplitude, noise, offset)


def _negative_log_likelihood(x: Tensor, y: Tensor, spread: Tensor, log_scales: Tensor, log_rest: Tensor) -> Tensor:
    amplitude, noise = log_rest.exp()
    covariance = amplitude * _matern(x, x, log_scales.exp())
    covariance = covariance + torch.diag(spread + noise + LEAST_VARIANCE)
    factor = torch.linalg.cholesky(covariance)
    solved = torch.cholesky_solve(y.unsqueeze(1), factor).squeeze(1)
    likelihood: Tensor = -0.5 * y @ solved - factor.diagonal().log().sum()
    return -likelihood


def _matern(a: Tensor, b: Tensor, scales: Tensor) -> Tensor:
    """Correlation of all pairs, [n, d] and [m, d] -> [n, m]."""
    a, b = a / scales, b / scales
    squares = a.square().sum(1).unsqueeze(1) + b.square().sum(1).unsqueeze(0) - 2 * a @ b.T
    distance = math.sqrt(5) * squares.clamp_min(1e-12).sqrt()
    correlation: Tensor = (1 + distance + distance.square() / 3) * torch.exp(-distance)
    return correlation
