import pytest

from featherweight.search import Rung, Score, rungs, successive_halving


def test_every_rung_takes_the_same_time_and_keeps_a_third() -> None:
    plan = rungs(120.0, available=30)
    assert [rung.competitors for rung in plan] == [8, 3]
    assert {round(rung.competitors * rung.seconds, 6) for rung in plan} == {60.0}


@pytest.mark.parametrize("seconds", [4.0, 9.0, 25.0, 300.0])
def test_the_plan_fills_the_time_and_gives_everyone_enough(seconds: float) -> None:
    plan = rungs(seconds, available=6)
    assert sum(rung.competitors * rung.seconds for rung in plan) == pytest.approx(seconds)
    assert min(rung.seconds for rung in plan) >= 2.0
    assert plan[0].competitors <= 6


def test_without_time_or_choice_there_is_no_competition() -> None:
    assert rungs(3.9, available=6) == ()
    assert rungs(100.0, available=1) == ()


def test_the_best_goes_on_and_diverged_ones_come_last() -> None:
    asked: list[tuple[str, int, float]] = []

    def train(item: str, rung: int, seconds: float) -> Score | None:
        asked.append((item, rung, seconds))
        return {"nan": None, "low": Score(0.5, -1.0), "late": Score(0.6 + rung, -1.0), "high": Score(0.9, -0.5)}[item]

    standings = successive_halving(["nan", "low", "late", "high"], [Rung(4, 1.0), Rung(2, 2.0)], train)
    assert [one.item for one in standings] == ["late", "high", "low", "nan"]
    assert [one.scores for one in standings][-1] == (None,)
    assert [(item, rung) for item, rung, _ in asked] == [
        ("nan", 0), ("low", 0), ("late", 0), ("high", 0), ("high", 1), ("late", 1)
    ]  # fmt: skip


def test_equal_accuracy_is_decided_by_the_loss() -> None:
    losses = {"a": -0.3, "b": -0.1, "c": -0.2}
    best, *_ = successive_halving(list(losses), [Rung(3, 1.0)], lambda item, rung, seconds: Score(1.0, losses[item]))
    assert best.item == "b"


def test_without_candidates_it_says_so() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        successive_halving([], [], lambda item, rung, seconds: None)
