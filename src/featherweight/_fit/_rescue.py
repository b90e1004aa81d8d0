"""When the budget is missed: what may help is tried in turn, each on what the one before left, and priced."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featherweight._units import format_count, format_percent
from featherweight.compress import PruneError
from featherweight.cost import analyze
from featherweight.search import Budget, Candidate, candidates
from featherweight.train import TrainingDivergedError

from ._finish import Outcome, outcome_of
from ._learner import Learner
from ._narrower import estimate, limits_missed
from ._remedies import DISTIL, LOWER_BITS, NAMES, PRUNE, ROUND, TRAIN_ON, carry_out, pruned
from ._settings import Settings

MOST_EXCESS = 4.0  # times over a limit; pruned further, little of a network is left
TRIES = 8  # of a target for pruning
LEAST_SECONDS = 3.0  # of training, for a remedy to be worth while
REPORT_SECONDS = 1.0
TEACHER_SHARE = 0.4  # of the time for distillation
TEACHER_SIZES = 2.0, 4.0, 8.0  # in multiply-adds of its student: least, wanted, most
NUMBERS = {PRUNE: 101, TRAIN_ON: 102, DISTIL: 103, "teacher": 104}  # of trainings; others count from 0


@dataclass
class Rescue:
    """Tries remedies until the budget is kept, or there is none left, or no time.

    Args:
        candidate: the winner; `others`: all that were counted, for a teacher if no width of its own will do.
        facts: what is decided, kept with the state of the run so that a resumed one goes on with it.
        work: where files and checkpoints lie meanwhile.
        left: returns the seconds that are left.
        proof_seconds: that making and proving the files takes.
        save: writes the facts down.
        tell: says in a line what is being done.
    """

    settings: Settings
    learner: Learner
    candidate: Candidate
    others: Sequence[Candidate]
    facts: dict[str, Any]
    work: Path
    left: Callable[[], float]
    proof_seconds: float
    save: Callable[[], None]
    tell: Callable[[str], None]
    ledger: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def go(self, outcome: Outcome) -> Outcome:
        """Return the best outcome; `ledger` then says what each remedy bought, `kept` has those that were of use."""
        plans = {
            ROUND: self._round, LOWER_BITS: self._lower_bits, PRUNE: self._prune, TRAIN_ON: self._train_on,
            DISTIL: self._distil,
        }  # fmt: skip
        for name in NAMES:
            if outcome.verdict.met:
                break
            if name not in self.facts:
                began = time.monotonic()
                try:
                    self.facts[name] = plans[name](outcome)
                except PruneError as error:
                    self.facts[name] = {"failed": str(error), "seconds": time.monotonic() - began}
                self.save()
            if remedy := self.facts[name]:
                outcome = self._try(name, remedy, outcome)
        return outcome

    def _try(self, name: str, remedy: dict[str, Any], before: Outcome) -> Outcome:
        if "failed" in remedy:
            self._write(name, before, None, remedy["failed"], remedy["seconds"], kept=False)
            return before
        began = time.monotonic()
        self.tell(f"the budget is missed ({_missed(before)}): {_will(remedy)}")
        try:
            model, stage = carry_out(remedy, before.model, self.candidate.resolution, self.learner, self.work)
        except TrainingDivergedError as error:
            self._write(name, before, None, str(error), time.monotonic() - began, kept=False)
            return before
        folder = self.work / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        after = outcome_of(
            model, stage or before.stage, self.candidate.resolution, self.learner, folder, settings=self.settings,
            quantizing={**before.quantizing, **remedy.get("quantizing", {})},
        )  # fmt: skip
        kept = after.verdict.met or _better(name, before, after)
        self._write(name, before, after, _did(remedy, before, after), time.monotonic() - began, kept=kept)
        self.save()
        if kept:
            self.kept.append(remedy)
        return after if kept else before

    def _write(
        self, name: str, before: Outcome, after: Outcome | None, did: str, seconds: float, *, kept: bool
    ) -> None:
        self.ledger.append({
            "name": name, "missed": _missed(before), "did": did, "seconds": seconds, "kept": kept,
            "before": _figures(before), "after": None if after is None else _figures(after),
        })  # fmt: skip
        self.tell(f"{name}: {did}; {'kept' if kept else 'not kept'}")

    def _round(self, outcome: Outcome) -> dict[str, Any] | None:
        """Round each weight as its layer wants it, where int8 loses more accuracy than it may."""
        useful = outcome.verdict.too_lossy and {*outcome.verdict.missed} - {"accuracy"}
        return {"name": ROUND, "quantizing": {"adaround": True}} if useful else None

    def _lower_bits(self, outcome: Outcome) -> dict[str, Any] | None:
        """Store weights in four bits, where the int8 file is too large by less than that gives."""
        excess = outcome.verdict.missed.get("size", 1.0)
        useful = outcome.verdict.chosen == "int8" and 1 < excess < 2
        return {"name": LOWER_BITS, "quantizing": {"bits": 4}} if useful else None

    def _prune(self, outcome: Outcome) -> dict[str, Any] | None:
        """Find how many channels have to go, where the file is too large, too slow or takes too much memory."""
        missed = limits_missed(outcome, self.settings.budget)
        if not missed or not {*outcome.verdict.missed} - {"accuracy"}:
            return None
        if not could_be_pruned(missed):
            raise PruneError(f"more than {MOST_EXCESS:g} times over a limit is more than pruning can take off")
        if not (seconds := self._seconds(1 + 2 * (self.settings.budget.accuracy is not None))):
            return None
        quantity = "params" if {*missed} == {"size"} else "multiply_adds"
        share = 1 / max(missed.values())
        remedy = {"name": PRUNE, "number": NUMBERS[PRUNE], "target": {quantity: share}, "planned": seconds}
        for _ in range(TRIES):
            remedy["target"] = {quantity: share}
            made = pruned(outcome.model, self.candidate.resolution, self.learner, remedy)
            excess = estimate(outcome, made, self.settings.budget, self.candidate.resolution, self.settings.threads)
            if not excess:
                cost = analyze(made, self.candidate.resolution)
                # counted, not measured: a repeated run prunes to the same channels
                return {**remedy, "target": {quantity: getattr(cost, quantity)}, "left": share}
            share *= min(0.95, 1 / max(excess.values()))
        raise PruneError(f"{TRIES} tries of pruning did not reach the budget")

    def _train_on(self, outcome: Outcome) -> dict[str, Any] | None:
        """Train for longer, where the accuracy is missed."""
        if "accuracy" not in outcome.verdict.missed or not (seconds := self._seconds(2)):
            return None
        return {"name": TRAIN_ON, "number": NUMBERS[TRAIN_ON], "planned": seconds}

    def _distil(self, outcome: Outcome) -> dict[str, Any] | None:
        """Learn from a larger network, trained for that, where the accuracy is missed."""
        if "accuracy" not in outcome.verdict.missed or not (seconds := self._seconds(1)):
            return None
        pictures = self.learner.pictures
        wider, _ = candidates(
            num_classes=len(pictures.classes),
            channels=pictures.channels,
            native_side=pictures.native_side,
            budget=Budget(),
            names=[self.candidate.network],
        )
        teacher = teacher_of(self.candidate, [*wider, *self.others])
        if teacher is None:
            return None
        return {
            "name": DISTIL, "number": NUMBERS[DISTIL], "planned": (1 - TEACHER_SHARE) * seconds,
            "teacher": {
                "network": teacher.network, "options": dict(teacher.options), "resolution": teacher.resolution,
                "number": NUMBERS["teacher"], "planned": TEACHER_SHARE * seconds, "id": teacher.id,
            },
        }  # fmt: skip

    def _seconds(self, trainings: int) -> float | None:
        """Return an equal share of the time that is left, for one of so many trainings; None: it is too short."""
        share = (self.left() - REPORT_SECONDS) / trainings - self.proof_seconds
        if share < LEAST_SECONDS:
            given = f"{self.settings.rescue_seconds:.0f} s"
            self.tell(f"the budget is missed, with too little time left to mend that: give more --rescue than {given}")
            return None
        return share


def teacher_of(student: Candidate, others: Sequence[Candidate]) -> Candidate | None:
    """Choose a teacher: several times as large, of the same network if there is one, at the same resolution."""
    least, wanted, most = TEACHER_SIZES
    larger = [
        one
        for one in others
        if one.resolution == student.resolution and least <= one.multiply_adds / student.multiply_adds <= most
    ]
    if not larger:
        return None
    return min(
        larger,
        key=lambda one: (
            one.network != student.network,
            abs(math.log(one.multiply_adds / student.multiply_adds / wanted)),
        ),
    )


def could_be_pruned(excess: Mapping[str, float]) -> bool:
    """Tell whether a network that is so many times over the limits may be pruned to keep them."""
    return max(excess.values()) <= MOST_EXCESS


def _better(name: str, before: Outcome, after: Outcome) -> bool:
    """Tell whether a remedy did what it is for: training, without breaking one limit more."""
    if name in {TRAIN_ON, DISTIL}:
        return _accuracy(after) > _accuracy(before) and _excess(after)[0] <= _excess(before)[0]
    return _excess(after) < _excess(before)


def _excess(outcome: Outcome) -> tuple[int, float]:
    """Return how many limits but the accuracy's are broken, and how far."""
    missed = [times for name, times in outcome.verdict.missed.items() if name != "accuracy"]
    return len(missed), sum(math.log(times) for times in missed)


def _accuracy(outcome: Outcome) -> float:
    """Return the accuracy by which is chosen: not that of the test."""
    return outcome.stage.history.epochs[-1].val_accuracy


def _missed(outcome: Outcome) -> str:
    return ", ".join(
        f"{name} {100 * (1 - 1 / times):.3g} % too low" if name == "accuracy" else f"{name} {times:.3g} times the limit"
        for name, times in outcome.verdict.missed.items()
    )


def _figures(outcome: Outcome) -> dict[str, Any]:
    achieved = {row["name"]: row["achieved"] for row in outcome.verdict.rows}
    return {**achieved, "met": outcome.verdict.met, "file": outcome.ships.file}


def _will(remedy: Mapping[str, Any]) -> str:
    for_so_long = f" for {remedy.get('planned', 0):.0f} s"
    match remedy["name"]:
        case "prune":
            return f"pruning to {format_percent(remedy['left'])} and training again{for_so_long}"
        case "distil":
            teacher = remedy["teacher"]
            return f"training a teacher, {teacher['id']}, for {teacher['planned']:.0f} s, and with it{for_so_long}"
        case "train on":
            return f"training on{for_so_long}"
        case "round":
            return "rounding each weight as its layer wants it"
        case _:
            return f"weights of {remedy['quantizing']['bits']} bits"


def _did(remedy: Mapping[str, Any], before: Outcome, after: Outcome) -> str:
    """Say what was done, in the past tense."""
    match remedy["name"]:
        case "prune":
            counts = [format_count(one.cost.multiply_adds) for one in (before, after)]
            params = [format_count(one.cost.params) for one in (before, after)]
            return (
                f"{counts[0]} multiply-adds became {counts[1]}, {params[0]} parameters {params[1]}, and "
                f"{remedy['steps']} steps of training followed"
            )
        case "distil":
            return f"{remedy['steps']} steps of training by {remedy['teacher']['id']}, trained for that"
        case "train on":
            return f"{remedy['steps']} more steps of training"
        case "round":
            return "adaptive rounding in place of the nearest"
        case _:
            return f"weights of {remedy['quantizing']['bits']} bits in place of 8, adaptively rounded"
