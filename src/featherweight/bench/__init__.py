"""Time, measured on this machine: runtimes in processes of their own, taking turns; what was found is kept.

`bench` measures networks in runtimes, `Store` keeps results for later comparison; `calibrate` finds what the machine
can do at the most, `roofline` where a network's time goes, and `advise` what would make it faster. The rules: a child
process for each runtime, so that one that crashes takes nothing with it; warm-up until stable; turns, so that a slow
moment meets all; medians with confidence intervals; and a verdict on the machine's noise beside every figure.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._advise import Advice, advise
    from ._calibration import (
        Calibration,
        CalibrationError,
        calibrate,
        calibrated,
        calibration_path,
        load_calibration,
        save_calibration,
    )
    from ._changes import Change, changes
    from ._guidelines import Remark
    from ._layer_times import LayerTime, Roofline
    from ._measure import Failure, Measurement, Subject, bench
    from ._operators import TIMED
    from ._process import Worker, WorkerError
    from ._roofline import roofline
    from ._runtimes import RUNTIMES, SLOW, Runtime, RuntimeMissingError, missing
    from ._store import Run, Store, StoreError, default_path, machine, machine_path, versions

_HOME = {
    "Advice": "_advise",
    "Calibration": "_calibration",
    "CalibrationError": "_calibration",
    "Change": "_changes",
    "Failure": "_measure",
    "LayerTime": "_layer_times",
    "Measurement": "_measure",
    "RUNTIMES": "_runtimes",
    "Remark": "_guidelines",
    "Roofline": "_layer_times",
    "SLOW": "_runtimes",
    "Run": "_store",
    "Runtime": "_runtimes",
    "RuntimeMissingError": "_runtimes",
    "Store": "_store",
    "StoreError": "_store",
    "TIMED": "_operators",
    "Worker": "_process",
    "Subject": "_measure",
    "WorkerError": "_process",
    "advise": "_advise",
    "bench": "_measure",
    "calibrate": "_calibration",
    "calibrated": "_calibration",
    "calibration_path": "_calibration",
    "changes": "_changes",
    "default_path": "_store",
    "load_calibration": "_calibration",
    "machine": "_store",
    "machine_path": "_store",
    "missing": "_runtimes",
    "roofline": "_roofline",
    "save_calibration": "_calibration",
    "versions": "_store",
}

__all__ = [
    "RUNTIMES",
    "SLOW",
    "TIMED",
    "Advice",
    "Calibration",
    "CalibrationError",
    "Change",
    "Failure",
    "LayerTime",
    "Measurement",
    "Remark",
    "Roofline",
    "Run",
    "Runtime",
    "RuntimeMissingError",
    "Store",
    "StoreError",
    "Subject",
    "Worker",
    "WorkerError",
    "advise",
    "bench",
    "calibrate",
    "calibrated",
    "calibration_path",
    "changes",
    "default_path",
    "load_calibration",
    "machine",
    "machine_path",
    "missing",
    "roofline",
    "save_calibration",
    "versions",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'featherweight.bench' has no attribute {name!r}")
    return getattr(import_module(f"featherweight.bench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
