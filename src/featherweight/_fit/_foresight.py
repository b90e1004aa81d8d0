"""What candidates are likely to take, where `featherweight calibrate` has learned that of this machine."""

from collections.abc import Callable

from featherweight.cost import trace
from featherweight.networks import create, on_meta_device
from featherweight.predictor import PredictorError, load_predictor, predictor_path
from featherweight.search import Budget, Candidate

from ._choose import Foresight

RUNTIME = "onnxruntime"  # in which candidates are measured


def foresight(budget: Budget, threads: int, tell: Callable[[str], None]) -> Foresight | None:
    """Return what gives the least seconds that a candidate is likely to take; None without a limit or a predictor.

    Args:
        threads: of the processor, that the file is to use.
        tell: is told that a predictor is used, or why one that is there cannot be.
    """
    if budget.latency_seconds is None or not predictor_path(RUNTIME, threads).is_file():
        return None
    try:
        predictor = load_predictor(RUNTIME, threads)
    except PredictorError as error:
        tell(f"latency is measured only: {error}")
        return None
    tell(f"candidates that are predicted too slow are left out, by the calibration of {predictor.date}")

    def least_seconds(one: Candidate) -> float:
        with on_meta_device():
            model = create(one.network, **one.options)  # type: ignore[arg-type]
        try:
            return predictor.predict(trace(model, one.resolution)).low_seconds
        except PredictorError:  # made of other layers than those that were learned: to be measured
            return 0.0

    return least_seconds
