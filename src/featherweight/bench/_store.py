"""Results in a small SQLite file, with the machine, the versions and the date, so that runs can be compared."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from featherweight._files import make_folder, set_aside
from featherweight._machine import available_processors, processor_name
from featherweight.cost import Latency

from ._measure import Measurement, Subject

VERSION = 1  # of the tables
PACKAGES = ("featherweight", "torch", "onnxruntime", "openvino")
TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, date TEXT NOT NULL, machine TEXT NOT NULL, versions TEXT NOT NULL);
CREATE TABLE measurements (
    run INTEGER NOT NULL REFERENCES runs (id), network TEXT NOT NULL, options TEXT NOT NULL, input_shape TEXT NOT NULL,
    runtime TEXT NOT NULL, threads INTEGER NOT NULL, batch INTEGER NOT NULL, median_seconds REAL NOT NULL,
    low_seconds REAL NOT NULL, high_seconds REAL NOT NULL, confidence REAL NOT NULL, runs INTEGER NOT NULL,
    difference REAL NOT NULL, load_seconds REAL NOT NULL, outliers REAL NOT NULL, drift REAL NOT NULL,
    probe_seconds REAL NOT NULL
);
"""


class StoreError(RuntimeError):
    """A file of results cannot be used; the message says why and where it is."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of `bench`.

    Args:
        id: counts up from 1 in a file.
        date: when it began, ISO 8601 in UTC.
        machine: its processor's name and how many of them it could use.
        versions: of the packages that take part.
    """

    id: int
    date: str
    machine: str
    versions: dict[str, str]


def default_path() -> Path:
    """Return where results are kept: under $XDG_DATA_HOME, by default ~/.local/share."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "featherweight" / "bench.sqlite"


def machine_path(what: str, ending: str) -> Path:
    """Return where something that was learned of this machine is kept: beside the results, a file for each machine."""
    name = hashlib.sha256(machine().encode()).hexdigest()[:12]
    return default_path().with_name(f"{what}-{name}-{ending}")


def machine() -> str:
    """Name this machine."""
    return f"{processor_name()}, {available_processors()} processors"


def versions() -> dict[str, str]:
    """Return the versions of the packages that take part and are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Store:
    """A file of results.

    Args:
        path: of the file; it and its folder are made when they are not there. A file that is damaged is set aside
            under another name, which `set_aside` holds, and a new one is begun.
    Raises: StoreError: the file is a database of something else, or of a later version of featherweight.

    Example:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()) / "bench.sqlite")
        >>> run = store.begin()
        >>> run.id, store.measurements(run.id)
        (1, [])
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else default_path()
        self.set_aside: Path | None = None
        make_folder(self.path.parent)
        if self.path.exists() and not self._sound():
            self.set_aside = set_aside(self.path)
        with self._open() as database:
            (found,) = database.execute("PRAGMA user_version").fetchone()
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables:
                database.executescript(f"{TABLES} PRAGMA user_version = {VERSION};")
            elif found != VERSION:
                what = f"has version {found}" if found else "is a database of something else"
                raise StoreError(f"{self.path} {what}; wanted results of version {VERSION}: name another file")

    def begin(self) -> Run:
        """Note that a run begins now, on this machine."""
        date, versions_now = datetime.now(UTC).isoformat(timespec="seconds"), versions()
        with self._open() as database:
            cursor = database.execute(
                "INSERT INTO runs (date, machine, versions) VALUES (?, ?, ?)",
                (date, machine(), json.dumps(versions_now)),
            )
        assert cursor.lastrowid is not None
        return Run(id=cursor.lastrowid, date=date, machine=machine(), versions=versions_now)

    def add(self, run: Run, measurement: Measurement) -> None:
        """Keep a result of a run; it is on the disk when this returns."""
        one, subject, latency = measurement, measurement.subject, measurement.latency
        with self._open() as database:
            database.execute(
                f"INSERT INTO measurements VALUES ({', '.join('?' * 17)})",
                (
                    run.id, subject.network, json.dumps(dict(subject.options), sort_keys=True),
                    json.dumps(subject.input_shape), one.runtime, one.threads, one.batch, latency.median_seconds,
                    latency.low_seconds, latency.high_seconds, latency.confidence, latency.runs, one.difference,
                    one.load_seconds, one.outliers, one.drift, one.probe_seconds,
                ),
            )  # fmt: skip

    def runs(self) -> list[Run]:
        """Return all runs, the oldest first."""
        with self._open() as database:
            rows = database.execute("SELECT id, date, machine, versions FROM runs ORDER BY id").fetchall()
        return [Run(id=i, date=date, machine=where, versions=json.loads(what)) for i, date, where, what in rows]

    def run(self, which: str) -> Run:
        """Find a run by its number, by the beginning of its date, or the "last".

        Raises: StoreError: there is none; the message lists the latest.
        """
        runs = self.runs()
        found = [
            run for run in runs if which in ("last", str(run.id)) or (len(which) > 3 and run.date.startswith(which))
        ]
        if not found:
            known = ", ".join(f"{run.id} ({run.date})" for run in runs[-5:]) or "none"
            raise StoreError(f"{self.path} has no run {which!r}; the latest: {known}")
        return found[-1]

    def measurements(self, run: int) -> list[Measurement]:
        """Return the results of a run, by its number."""
        with self._open() as database:
            rows = database.execute("SELECT * FROM measurements WHERE run = ? ORDER BY rowid", (run,)).fetchall()
        return list(_measurements(rows))

    def _sound(self) -> bool:
        try:
            with self._open() as database:
                return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as database, database:
            yield database


def _measurements(rows: Iterable[tuple[object, ...]]) -> Iterator[Measurement]:
    for _, network, options, shape, runtime, threads, batch, mid, low, high, sure, runs, *others in rows:
        difference, load, outliers, drift, probe = others
        latency = Latency(median_seconds=mid, low_seconds=low, high_seconds=high, confidence=sure, runs=runs)  # type: ignore[arg-type]
        subject = Subject(network=network, options=json.loads(options), input_shape=tuple(json.loads(shape)))  # type: ignore[arg-type]
        yield Measurement(
            subject=subject, runtime=runtime, threads=threads, batch=batch, latency=latency, difference=difference,  # type: ignore[arg-type]
            load_seconds=load, outliers=outliers, drift=drift, probe_seconds=probe,  # type: ignore[arg-type]
        )  # fmt: skip
