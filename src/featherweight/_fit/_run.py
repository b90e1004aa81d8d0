"""One run of the main job, stage by stage."""

import json
import math
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from featherweight._files import write_atomically
from featherweight.cost import analyze
from featherweight.data import BUILT_IN, DataError, read_pictures, split_pictures
from featherweight.networks import network as find
from featherweight.report import write_report
from featherweight.search import Candidate, Rung, candidates, int8_file_bytes
from featherweight.train import Recipe

from ._choose import SEARCH_SHARE, Contender, NothingFitsError, contenders
from ._compete import compete, contender_model
from ._deadline import Deadline
from ._finish import Outcome, outcome_of
from ._foresight import foresight
from ._learner import Learner, Stage
from ._metrics import metrics
from ._recipe import recipe_of
from ._remedies import carry_out
from ._rescue import Rescue, could_be_pruned
from ._settings import Settings
from ._state import State

EXPORTS_IN_FINISH = 18  # what folding, exporting, quantizing and proving take, in exports of a candidate for measuring
USUAL_EXPORT_SECONDS = 0.35  # of a candidate, before one was measured
FINISH_SECONDS = 3.0  # of measuring latency and writing the report
LEAST_FINAL_SECONDS = 1.0  # the winner's training, even when reading the pictures took all the time


@dataclass(frozen=True)
class FitResult:
    """What a run gave.

    Args:
        folder: with the files.
        metrics: as in metrics.json.
    """

    folder: Path
    metrics: dict[str, Any]

    @property
    def met(self) -> bool:
        """Tell whether the file that ships is within the budget."""
        return bool(self.metrics["verdict"]["met"])

    @property
    def file(self) -> Path:
        """Return the file that ships."""
        return self.folder / str(self.metrics["verdict"]["file"])


class Run:
    """One run, stage by stage; each leaves what a resumed run needs in `state`."""

    def __init__(
        self, settings: Settings, state: State, tell: Callable[[str], None], progress: bool, started: float | None
    ) -> None:
        self.settings = settings
        self.state = state
        self.tell = tell
        self.progress = progress
        self.deadline = Deadline(settings.seconds, spent=state.facts["seconds"], started=started)
        self.timings: dict[str, float] = state.facts.setdefault("timings", {})

    def go(self) -> FitResult:
        with self._timed("read"):
            learner = self._read()
        with self._timed("count"):
            within, over = self._count(learner)
        with self._timed("measure"):
            racing = self._contenders(learner, within, over)
        with self._timed("compete"):
            winner = self._compete(learner, racing)
        with self._timed("train"):
            model, stage = self._train(learner, winner)
        self._note(racing)
        outcome = self._prove(learner, winner, model, stage, {})
        rescue = None
        if not outcome.verdict.met and self.settings.rescue_seconds:
            rescue = self._rescue(learner, winner, [*within, *over])
            with self._timed("rescue"):
                outcome = rescue.go(outcome)
        return self._finish(learner, racing=racing, over=over, winner=winner, outcome=outcome, rescue=rescue)

    def repeat(self, repeated: dict[str, Any]) -> FitResult:
        """Train the recipe's network along its recorded schedules, and finish as any run does."""
        with self._timed("read"):
            learner = self._read()
            if learner.fingerprint() != repeated["pictures"]["fingerprint"]:
                raise DataError(
                    f"{self.settings.data}: not the recipe's pictures: it was made from "
                    f"{repeated['pictures']['count']}, here are {len(learner.pictures)}, or their content differs"
                )
        with self._timed("train"):
            torch.set_num_threads(repeated["threads"])
            network = repeated["network"]
            model = learner.build(network["network"], network["options"])
            for done in repeated["stages"]:
                self.tell(f"training {network['network']} again, {done['steps']} steps")
                stage = learner.stage(
                    model,
                    network["resolution"],
                    Recipe.from_dict(done["recipe"]),
                    knots=[tuple(k) for k in done["knots"]],
                )
            quantizing: dict[str, Any] = {}
            for remedy in (kept := repeated.get("rescue", [])):
                self.tell(f"{remedy['name']}, again")
                model, again = carry_out(remedy, model, network["resolution"], learner, None)
                stage, quantizing = again or stage, {**quantizing, **remedy.get("quantizing", {})}
        cost = analyze(model, network["resolution"])
        candidate = Candidate(
            **network, family=find(network["network"]).family, params=cost.params, multiply_adds=cost.multiply_adds,
            memory_bytes=cost.peak_memory_bytes["int8"], size_bytes=int8_file_bytes(model),
        )  # fmt: skip
        winner = Contender(candidate, stages=repeated["stages"], status="winner")
        outcome = self._prove(learner, winner, model, stage, quantizing)
        return self._finish(learner, racing=[winner], over=[], winner=winner, outcome=outcome, repeated=kept)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begin = clock.monotonic()
        try:
            yield
        finally:
            self.timings[stage] = self.timings.get(stage, 0.0) + clock.monotonic() - begin

    def _note(self, racing: Sequence[Contender]) -> None:
        self.state.facts["contenders"] = [asdict(one) for one in racing]
        self.state.save(self.deadline.elapsed())

    def _read(self) -> Learner:
        pictures = read_pictures(self.settings.data)
        split = split_pictures(pictures, seed=self.settings.seed)
        parts = f"{len(split.train)} to train, {len(split.val)} to validate, {len(split.test)} to test"
        self.tell(f"{len(pictures.labels)} pictures in {len(pictures.classes)} classes: {parts}")
        if pictures.quarantine:
            self.tell(f"{len(pictures.quarantine)} files put aside; the report says why")
        if count := sum(group.across_splits for group in split.duplicates):
            self.tell(f"pictures that are in two splits, which makes the test too easy: {count}; the report lists them")
        if count := sum(group.across_classes for group in split.duplicates):
            self.tell(f"pictures that are in two classes: {count}; the report lists them")
        if (name := self.settings.data) in BUILT_IN and Path(name).is_dir():
            self.tell(f"these are the built-in {name}; for the folder of that name say ./{name}")
        return Learner(pictures, split, self.settings.seed, self.settings.flip, self.progress)

    def _count(self, learner: Learner) -> tuple[list[Candidate], list[Candidate]]:
        within, over = candidates(
            num_classes=len(learner.pictures.classes),
            channels=learner.pictures.channels,
            native_side=learner.pictures.native_side,
            budget=self.settings.budget,
            names=self.settings.networks,
        )
        limits = ", ".join(f"{name} {text}" for name, text in self.settings.budget.texts().items()) or "no limit"
        self.tell(f"{len(within)} of {len(within) + len(over)} candidates are within the budget by count ({limits})")
        return within, over

    def _contenders(self, learner: Learner, within: Sequence[Candidate], over: Sequence[Candidate]) -> list[Contender]:
        if "contenders" in self.state.facts:
            return [Contender.from_dict(facts) for facts in self.state.facts["contenders"]]
        try:
            racing, self.state.facts["plan"], self.state.facts["export_seconds"] = contenders(
                within,
                over,
                learner,
                self.settings.budget,
                threads=self.settings.threads,
                training_seconds=max(self._training_seconds(learner), LEAST_FINAL_SECONDS),
                foresee=foresight(self.settings.budget, self.settings.threads, self.tell),
            )
        except NothingFitsError as error:
            if error.nearest is None or not self.settings.rescue_seconds or not could_be_pruned(error.excess):
                raise
            self.tell(f"{error}. It is trained, to be pruned to the budget")
            racing, self.state.facts["plan"] = [error.nearest], []
        self._note(racing)
        fitting = sum(one.status != "over budget" for one in racing)
        if self.settings.budget.latency_seconds is None:
            self.tell(f"measured the latency of {len(racing)} candidates")
        else:
            self.tell(f"{fitting} of {len(racing)} measured candidates are within the budget by latency")
        return racing

    def _compete(self, learner: Learner, racing: Sequence[Contender]) -> Contender:
        fitting = [one for one in racing if one.status != "over budget"]
        plan = [Rung(*rung) for rung in self.state.facts["plan"]]
        ends = self._training_seconds(learner) * (1 - SEARCH_SHARE)  # what is left then is the winner's
        winner = compete(
            fitting,
            plan,
            learner=learner,
            work=self.state.work,
            left=lambda: self._training_seconds(learner) - ends,
            note=lambda: self._note(racing),
            tell=self.tell,
        )
        if winner.stages:
            self.state.facts["images_per_second"] = winner.stages[-1]["images_per_second"]
        return winner

    def _train(self, learner: Learner, winner: Contender) -> tuple[nn.Module, Stage]:
        resolution = winner.candidate.resolution
        number = sum(score is not None for score in winner.scores)
        del winner.stages[number:]  # an interrupted run may have written this training down already
        if "final_seconds" not in self.state.facts:
            self.state.facts["final_seconds"] = max(self._training_seconds(learner), LEAST_FINAL_SECONDS)
            self.state.save(self.deadline.elapsed())
        seconds = self.state.facts["final_seconds"]
        self.tell(f"training {winner.candidate.id} for {seconds:.0f} s")
        model = contender_model(winner, learner, self.state.work)
        checkpoint = self.state.work / "winner.ckpt"
        stage = learner.stage(
            model,
            resolution,
            learner.recipe(model, number),
            seconds=seconds,
            checkpoint=checkpoint,
            resume=checkpoint.exists(),
        )
        winner.stages.append(stage.to_dict())
        return model, stage

    def _training_seconds(self, learner: Learner) -> float:
        """Return what is left for training; what making the files will take is known from the candidates' files."""
        export_seconds: float = self.state.facts.get("export_seconds", USUAL_EXPORT_SECONDS)
        held_out = len(learner.split.val) + len(learner.split.test)
        proof_seconds: float = held_out / self.state.facts.get("images_per_second", math.inf)
        return self.deadline.left() - FINISH_SECONDS - EXPORTS_IN_FINISH * export_seconds - proof_seconds

    def _prove(
        self, learner: Learner, winner: Contender, model: nn.Module, stage: Stage, quantizing: dict[str, Any]
    ) -> Outcome:
        self.tell("exporting, quantizing and proving the files")
        with self._timed("export and prove"):
            return outcome_of(
                model, stage, winner.candidate.resolution, learner, self.state.folder, settings=self.settings,
                quantizing=quantizing,
            )  # fmt: skip

    def _rescue(self, learner: Learner, winner: Contender, counted: Sequence[Candidate]) -> Rescue:
        began: float = self.state.facts.setdefault("rescue_began", self.deadline.elapsed())
        return Rescue(
            settings=self.settings,
            learner=learner,
            candidate=winner.candidate,
            others=counted,
            facts=self.state.facts.setdefault("rescue", {}),
            work=self.state.work,
            left=lambda: self.settings.rescue_seconds + began - self.deadline.elapsed(),
            proof_seconds=self.timings["export and prove"],
            save=lambda: self.state.save(self.deadline.elapsed()),
            tell=self.tell,
        )

    def _finish(
        self,
        learner: Learner,
        *,
        racing: Sequence[Contender],
        over: Sequence[Candidate],
        winner: Contender,
        outcome: Outcome,
        rescue: Rescue | None = None,
        repeated: Sequence[dict[str, Any]] = (),
    ) -> FitResult:
        """Write what is known of the run; `repeated` are the remedies of a recipe."""
        folder = self.state.folder
        if outcome.folder != folder:
            for one in outcome.models.values():
                (outcome.folder / one.file).replace(folder / one.file)
        self.timings["total"] = self.deadline.elapsed()
        found = metrics(
            settings=self.settings, learner=learner, contenders=racing, over=over, winner=winner, outcome=outcome,
            ledger=rescue.ledger if rescue else [], timings=self.timings,
        )  # fmt: skip
        _write_json(folder / "labels.json", list(learner.pictures.classes))
        kept = rescue.kept if rescue else repeated
        _write_json(folder / "recipe.json", recipe_of(self.settings, learner, winner, kept))
        _write_json(folder / "metrics.json", found)
        write_report(found, folder / "report.html")
        self.state.finish()
        return FitResult(folder, found)


def _write_json(path: Path, content: object) -> None:
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
