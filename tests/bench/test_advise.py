"""Advice: what is tried, that all take turns, and that the verdict is what was measured."""

import sys

import pytest

from featherweight.bench import Failure, Measurement, RuntimeMissingError, Subject, advise, changes
from featherweight.bench import _advise as advising
from featherweight.bench._advise import Advice, facts
from featherweight.bench._changes import better_widths, fewer_groups, rounding
from featherweight.bench._process import Worker
from featherweight.networks import create, network, save_model

SHUFFLE = Subject(network="shufflenet_v1", input_shape=(3, 64, 64))


def given(name: str, **options) -> dict:
    entry = network(name)
    return {option: options.get(option, entry.default(option)) for option in entry.options}


def test_runtimes_are_tried_but_not_the_one_that_there_is_nor_compilers() -> None:
    found = changes(Subject(network="squeezenet"), "folded")
    names = [change.runtime for change in found]
    assert {"eager", "channels_last", "onnxruntime_int8"} <= set(names)
    assert not {"folded", "compile"} & set(names) and all(change.kind == "runtime" for change in found)
    assert [one.runtime for one in changes(Subject(network="squeezenet"), "eager", ["compile"])] == ["compile"]


@pytest.mark.parametrize(("now", "fewer"), [(1, []), (3, [1, 2]), (8, [1, 2, 3, 4])])
def test_groups_are_the_published_ones_below(now, fewer) -> None:
    assert fewer_groups(network("shufflenet_v1"), given("shufflenet_v1", groups=now)) == fewer


def test_networks_without_groups_or_widths_have_none_to_try() -> None:
    assert fewer_groups(network("mobilenet_v2"), given("mobilenet_v2")) == []
    assert better_widths(Subject(network="squeezenet"), given("squeezenet")) == []


def test_widths_round_better_than_now_on_either_side() -> None:
    subject = Subject(network="shufflenet_v2")
    assert rounding(subject) < 0.05  # 58, 116 and 232 channels
    for width, share, now in better_widths(subject, given("shufflenet_v2")):
        changed = Subject(network="shufflenet_v2", options={"width": width})
        assert share == rounding(changed) > now == rounding(subject)
        assert 0.87 < width < 1.13 and width != 1
        channels = [m.out_channels for m in create("shufflenet_v2", width=width).modules() if hasattr(m, "groups")]
        assert share == pytest.approx(sum(count % 16 == 0 for count in channels) / len(channels))
    assert better_widths(Subject(network="resnet18"), given("resnet18")) == []  # all round already


def test_of_a_saved_network_only_the_runtime_changes(tmp_path) -> None:
    path = str(save_model(create("shufflenet_v1", num_classes=3), tmp_path / "model.safetensors"))
    assert {change.kind for change in changes(Subject(network=path), "eager")} == {"runtime"}
    assert facts(Subject(network=path), (3, 64, 64)).top1 is None


def test_facts_are_those_of_the_papers() -> None:
    found = facts(Subject(network="shufflenet_v1", options={"groups": 8}), (3, 224, 224))
    assert found.top1 == 67.6 and round(found.multiply_adds / 1e6) in (137, 138, 139, 140)
    assert facts(SHUFFLE, (3, 64, 64)).top1 is None  # nothing was published at 64 pixels


def test_everything_is_measured_in_turns() -> None:
    said = []
    (found,) = advise([SHUFFLE], runtimes=["folded"], rounds=2, warm_up_seconds=0.1, progress=said.append)
    assert {one.change.says.partition(":")[0] for one in found} >= {
        "PyTorch, batch norms folded", "groups 1 in place of 3", "groups 2 in place of 3"
    }  # fmt: skip
    speeds = [one.speed for one in found]
    assert speeds == sorted(speeds, reverse=True)
    for one in found:
        assert isinstance(one.after, Measurement) and one.before is found[0].before
        assert one.after.latency.runs == 2 and 0 < one.low_speed <= one.speed <= one.high_speed
        assert one.after.subject.input_shape == (3, 64, 64)
    (folded,) = [one for one in found if one.change.kind == "runtime"]
    assert folded.after.difference < 1e-4 and folded.facts_after == folded.facts_before
    (dense,) = [one for one in found if one.change.says == "groups 1 in place of 3"]
    assert dense.facts_after != dense.facts_before
    assert "shufflenet_v1 groups=1 in eager, batch 1: gets ready" in said


class Scripted(Worker):
    """A child process that takes so long in each runtime, turn by turn, or dies."""

    def _command(self):
        seconds = {"eager": [2.0, 4.0] * 4, "folded": [1.0, 2.0] * 4, "channels_last": [2.0, 4.04] * 4}
        script = f"""
import json, os, sys
turns = iter({seconds.get(self.runtime, [3.0, 6.0] * 4)})
for line in sys.stdin:
    do = json.loads(line)["do"]
    if {self.runtime!r} == "bfloat16" and do == "time": os.abort()
    answers = dict(load=dict(seconds=0.1, shape=[3, 64, 64], difference=0), warm_up=dict(seconds=0.1))
    print(json.dumps(answers.get(do) or dict(seconds=[next(turns)], probe=0.001)), flush=True)
"""
        return [sys.executable, "-c", script]


def test_verdicts_are_by_the_ratio_within_each_turn(monkeypatch) -> None:
    """A machine at half its speed every other turn: the ratios do not see it."""
    monkeypatch.setattr(advising, "Worker", Scripted)
    plain = Subject(network="squeezenet")
    names = ["channels_last", "bfloat16", "folded", "onnxruntime"]
    (found,) = advise([plain], runtimes=names, rounds=8)
    assert [(one.change.runtime, one.verdict) for one in found] == [
        ("folded", "faster"), ("channels_last", "no difference"), ("onnxruntime", "slower"), ("bfloat16", "failed")
    ]  # fmt: skip
    folded, same, slower, failed = found
    assert (folded.low_speed, folded.speed, folded.high_speed) == (2, 2, 2)
    assert same.speed == pytest.approx(1, abs=0.01) and slower.speed == pytest.approx(2 / 3)
    assert isinstance(failed.after, Failure) and failed.speed == 0 and "SIGABRT" in failed.after.reason


@pytest.mark.parametrize(("rounds", "verdict"), [(1, "unclear"), (5, "unclear"), (6, "faster")])
def test_too_few_turns_give_no_verdict(monkeypatch, rounds, verdict) -> None:
    monkeypatch.setattr(advising, "Worker", Scripted)
    ((folded,),) = advise([Subject(network="squeezenet")], runtimes=["folded"], rounds=rounds)
    assert (folded.verdict, folded.speed) == (verdict, 2) and (folded.confidence >= 0.95) == (verdict == "faster")


def test_what_the_interval_allows_to_say() -> None:
    measured = {"change": None, "before": None, "after": None, "facts_before": None, "facts_after": None}
    assert Advice(**measured, speed=2, low_speed=2, high_speed=2, confidence=0.9375).verdict == "unclear"
    measured["confidence"] = 0.96
    assert Advice(**measured, speed=1.3, low_speed=0.9, high_speed=1.5).verdict == "unclear"
    assert Advice(**measured, speed=1.01, low_speed=1.005, high_speed=1.02).verdict == "no difference"
    assert Advice(**measured, speed=1.3, low_speed=1.1, high_speed=1.5).verdict == "faster"
    assert Advice(**measured, speed=0.9, low_speed=0.8, high_speed=0.95).verdict == "slower"


def test_a_network_that_cannot_run_as_it_is_leaves_the_others_alone(workers_here) -> None:
    wrong, right = (Subject(network="lenet5_bn", input_shape=(channels, 32, 32)) for channels in (2, 1))
    first, (second,), third = advise([wrong, right, wrong], runtimes=["folded"], rounds=1, warm_up_seconds=0.1)
    assert isinstance(first, Failure) and isinstance(third, Failure) and "got 2" in first.reason
    assert (first.subject, first.runtime) == (wrong, "eager") and isinstance(second.after, Measurement)


def test_wrong_words() -> None:
    with pytest.raises(RuntimeMissingError, match="no runtime is called 'slow'"):
        next(advise([SHUFFLE], "slow"))
    with pytest.raises(RuntimeMissingError, match="no runtime is called 'fast'"):
        next(advise([SHUFFLE], runtimes=["fast"]))
    with pytest.raises(ValueError, match="threads, batch and rounds must be 1 or more; got 1, 1 and 0"):
        next(advise([SHUFFLE], rounds=0))
