"""The child process that measures: one runtime, on cores of its own, asked line by line.

Requests and answers are JSON objects, one a line, on standard input and what was standard output; what libraries print
goes to standard error. A network stays loaded until the next one is asked for.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight.cost._latency import no_garbage_collection

if TYPE_CHECKING:
    from ._runtimes import Prepared

REFERENCE = {"seed": 3, "resolution": 112}  # of `random_network`: what tells how fast the machine is at the moment
LEAST_TURNS, LONG_SECONDS = 6, 5.0  # of turns
RANDOM = "random_network"  # stands for `featherweight.networks.random_network`, with its arguments as options


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    runtime, threads, *cores = sys.argv[1:]
    import torch

    torch.set_num_threads(int(threads))
    bench = Bench(runtime, int(threads), [int(core) for core in cores])
    for line in sys.stdin:
        print(json.dumps(answer(bench, **json.loads(line))), file=answers, flush=True)


def answer(bench: "Bench", *, do: str, **request: Any) -> dict[str, Any]:
    """Do what is asked; an error is an answer, too."""
    try:
        done: dict[str, Any] = getattr(bench, do)(**request)
    except Exception as error:  # whatever a runtime raises is told to the parent
        first = str(error).strip().partition("\n")[0]
        return {"error": f"{type(error).__name__}: {first}"}
    return done


class Bench:
    """What a request can ask for."""

    def __init__(self, runtime: str, threads: int, cores: list[int]) -> None:
        self.runtime, self.threads, self.cores = runtime, threads, cores
        self.everywhere = sorted(os.sched_getaffinity(0)) if cores else []
        self.run: Callable[[], object] | None = None
        self.prepared: Prepared | None = None
        self.reference: Callable[[], object] | None = None
        self.probe = _probe()

    def load(
        self, network: str, options: dict[str, Any], batch: int, shape: list[int] | None, compare: bool = True
    ) -> dict[str, Any]:
        """Build the network and make the runtime ready; answer how long that took and how far its logits are off."""
        from ._runtimes import RUNTIMES, Prepared

        self.run = self.prepared = None
        gc.collect()
        _bind(self.everywhere)  # a compiler may use all cores
        start = time.perf_counter()
        model, x = subject(network, options, batch, shape)
        self.prepared = prepared = Prepared(model, x, self.threads)
        self.run, logits = RUNTIMES[self.runtime].ready(prepared)
        expected = RUNTIMES["eager"].ready(prepared)[1] if compare else logits
        _bind(self.cores)
        largest = float(np.abs(expected).max()) or 1.0
        return {
            "seconds": time.perf_counter() - start,
            "shape": list(x.shape[1:]),
            "difference": float(np.abs(logits - expected).max()) / largest,
        }

    def warm_up(self, seconds: float) -> dict[str, Any]:
        """Run until it gets no faster; answer the time of a run."""
        assert self.run is not None
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 5 or (min(times[-5:]) < 0.98 * min(times[:-5], default=float("inf")) and len(times) < 200):
            times.append(_timed(self.run))
            if len(times) >= 2 and time.perf_counter() > end:
                break
        return {"seconds": min(times)}

    def time(self, runs: int) -> dict[str, Any]:
        """Run once untimed, which brings the caches back, then so many times; answer their times and the probe's."""
        assert self.run is not None
        probe = min(_timed(self.probe) for _ in range(3))
        with no_garbage_collection():
            self.run()
            times = [_timed(self.run) for _ in range(runs)]
        return {"seconds": times, "probe": probe}

    def in_references(self, turns: int, seconds: float) -> dict[str, Any]:
        """Answer what a run takes beside a run of the reference, turn by turn, and what that takes.

        The reference is a small network in the same runtime: where the machine is slow for a while, both are.
        """
        ratios, references = zip(*self._turns(turns, seconds), strict=True)
        return {"ratios": ratios, "reference": median(references)}

    def operators(self, turns: int, seconds: float) -> dict[str, Any]:
        """Answer the time of each operator, and of the whole network without a clock in it, by turns.

        A turn is a run that brings the caches back, then runs for so many seconds, at least one, after the same of the
        reference. All but the reference's own time is in units of it.
        """
        from ._operators import clock, middle

        assert self.prepared is not None and self.run is not None
        watched = clock(self.runtime, self.prepared)
        watched.run()
        runs = _runs(self.run, seconds)
        ratios, references = [], []
        for ratio, reference in self._turns(turns, seconds):
            ratios.append(ratio)
            references.append(reference)
            for _ in range(1 + runs):
                watched.run()
        operators = {
            name: middle([s / references[i // (1 + runs)] for i, s in enumerate(times[1:]) if i % (1 + runs)])
            for name, times in watched.read().items()
        }
        return {"operators": operators, "whole": median(ratios), "reference": median(references)}

    def _turns(self, turns: int, seconds: float) -> Iterator[tuple[float, float]]:
        """Run the reference, then the network; yield the ratio of their times and that of the reference.

        Of networks that take long, six turns have to do: the fewest that give an interval of 95 %.
        """
        from ._runtimes import RUNTIMES, Prepared

        assert self.run is not None
        if self.reference is None:
            prepared = Prepared(*subject(RANDOM, REFERENCE, 1, None), self.threads)
            self.reference = RUNTIMES[self.runtime].ready(prepared)[0]
        both = [(run, _runs(run, seconds)) for run in (self.reference, self.run)]
        end = time.perf_counter() + LONG_SECONDS
        for turn in range(turns):
            if turn >= LEAST_TURNS and time.perf_counter() > end:
                return
            times = []
            with no_garbage_collection():
                for run, runs in both:
                    run()
                    times.append(median(_timed(run) for _ in range(runs)))
            yield times[1] / times[0], times[0]

    def layers(
        self, network: str, options: dict[str, Any], batch: int, shape: list[int] | None, turns: int
    ) -> dict[str, Any]:
        """Build the network and time each of its operators in eager PyTorch; answer with its pictures' shape."""
        from ._clock import operator_times

        _bind(self.cores)
        model, x = subject(network, options, batch, shape)
        return {"shape": list(x.shape[1:]), **operator_times(model, x, turns)}

    def convolutions(self, pairs: list[Any]) -> dict[str, Any]:
        """Time pairs of convolutions, each alone."""
        from ._clock import pair_seconds

        return {"seconds": pair_seconds(pairs)}

    def calibrate(self) -> dict[str, Any]:
        """Answer what the machine can do at the most."""
        from ._calibration import probes

        _bind(self.cores)
        return probes()


def subject(network: str, options: dict[str, Any], batch: int, shape: list[int] | None) -> tuple[Any, np.ndarray]:
    """Build a network, or read a saved one, with batch norms that know the pictures' ranges, and pictures of noise.

    A network with random weights and batch norms that know nothing has activations that vanish or explode; numbers
    near the ends of float32's range take other times.
    """
    import torch

    from featherweight.networks import create, load_model, random_network

    torch.manual_seed(0)
    if network == RANDOM:
        model: Any = random_network(**options)
    else:
        model = load_model(network) if network.endswith(".safetensors") else create(network, **options)
    sizes = shape or [model.in_channels, model.resolution, model.resolution]
    x = torch.randn(batch, *sizes)
    if not network.endswith(".safetensors"):
        # A random network's own statistics matter less than the time that they take.
        sides = [max(32, side // 2) for side in sizes[1:]] if network == RANDOM else sizes[1:]
        _settle(model, torch.randn(2, sizes[0], *sides))
    return model.eval(), x.numpy()


def _settle(model: Any, x: Any) -> None:
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(x)


def _probe() -> Callable[[], object]:
    """A fixed piece of work of about a millisecond, whose time tells how fast the machine is at the moment."""
    a = np.random.default_rng(0).standard_normal((192, 192), dtype=np.float32)
    return lambda: a @ a @ a @ a


def _bind(cores: list[int]) -> None:
    """Bind all threads of this process to these cores; to none in particular where the system cannot."""
    if cores:
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def _runs(run: Callable[[], object], seconds: float) -> int:
    """How many runs take so many seconds: at least one, at most fifty."""
    return max(1, min(50, ceil(seconds / _timed(run))))


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
