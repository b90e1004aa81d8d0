"""Environments of their own for export targets whose packages cannot live beside ours, and workers in them."""

from ._install import InstallError, install, remove, wanted_bytes
from ._places import EnvironmentMissingError, environment_folder, missing, require_environment
from ._process import Worker, WorkerError
from ._table import ENVIRONMENTS, Environment, EnvironmentUnknownError, environment_named

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "EnvironmentMissingError",
    "EnvironmentUnknownError",
    "InstallError",
    "Worker",
    "WorkerError",
    "environment_folder",
    "environment_named",
    "install",
    "missing",
    "remove",
    "require_environment",
    "wanted_bytes",
]
