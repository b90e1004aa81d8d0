"""What a run has done so far, on disk, so that an interrupted one goes on where it was."""

import json
import shutil
from pathlib import Path
from typing import Any

from featherweight._files import make_folder, write_atomically
from featherweight.data import BUILT_IN

from ._settings import Settings, SettingsError

OUTPUTS = (
    "model.safetensors",
    "model.onnx",
    "model-int8.onnx",
    "labels.json",
    "metrics.json",
    "recipe.json",
    "report.html",
)


class State:
    """The folder of a run: its results, and while it lasts `work/` with `state.json` and weights.

    Args:
        folder: where the results go; made if missing.
        settings: of this run.
        resume: go on with the unfinished run there.
        overwrite: replace the results of the finished run there.
    Raises:
        FileExistsError: there are results and neither `overwrite` nor `resume` was asked for, or an unfinished run
            and neither was asked for.
        FileNotFoundError: `resume`, but there is no unfinished run.
        SettingsError: `resume` with other settings than the run there had; the message names them.
        NotADirectoryError: `folder` is a file.
    """

    def __init__(self, folder: str | Path, settings: Settings, *, resume: bool, overwrite: bool) -> None:
        self.folder = Path(folder)
        self.work = self.folder / "work"
        self.settings = settings
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"the results need a folder, but {self.folder} is a file")
        unfinished = (self.work / "state.json").exists()
        if resume:
            self._read(unfinished)
            return
        there = [name for name in OUTPUTS if (self.folder / name).exists()]
        if (there or unfinished) and not overwrite:
            what = "an unfinished run (go on with --resume)" if unfinished else f"results ({', '.join(there)})"
            raise FileExistsError(
                f"{self.folder} holds {what}; choose another with --out, or replace it with --overwrite"
            )
        if self.work.exists():
            shutil.rmtree(self.work)
        make_folder(self.work)
        self.facts: dict[str, Any] = {"settings": settings.to_dict(), "seconds": 0.0}
        self.save(0.0)

    def _read(self, unfinished: bool) -> None:
        if not unfinished:
            raise FileNotFoundError(f"nothing to go on with: {self.folder} holds no unfinished run")
        self.facts = json.loads((self.work / "state.json").read_text())
        other = self.settings.differences(self.facts["settings"])
        if other:
            raise SettingsError(f"the unfinished run in {self.folder} had other settings: {'; '.join(other)}")

    def save(self, elapsed_seconds: float) -> None:
        """Write the facts down, with the time used so far."""
        self.facts["seconds"] = elapsed_seconds
        write_atomically(self.work / "state.json", json.dumps(self.facts, indent=1))

    def finish(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.work)

    def discard(self) -> None:
        """Remove the traces of a run that had not begun to train: there is nothing to go on with."""
        shutil.rmtree(self.work)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def check_outside(out: str | Path, data: str) -> None:
    """Refuse to write results among the pictures, where their folder would be taken for a class.

    Raises: SettingsError: `out` is the folder of the pictures, or lies in it.
    """
    if data not in BUILT_IN and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise SettingsError(
            f"the results would lie among the pictures, as a class of their own: {out} is in {data}; "
            "choose a folder elsewhere with --out"
        )
