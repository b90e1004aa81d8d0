"""What the explorer shows, before it is drawn: counts, printed rows, lines that build, a page that cannot be broken."""

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from featherweight.blocks import GALLERY
from featherweight.networks import analyze, counts, network, variants
from featherweight.report import LatencySeries, Timing, Zoo, block_picture, look_at, write_explorer
from featherweight.report._explorer import create_line, embedded, explorer_data, packed, source_kind

NAMES = ("mobilenet_v2", "adder_resnet20", "channelnet_v2")
CHOSEN = [one for one in variants() if one.name in NAMES and one.options.get("width", 1.0) == 1.0]


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo(networks=[look_at(one)[0] for one in CHOSEN], blocks={"Fire": block_picture("Fire")})


@pytest.fixture(scope="module")
def data(zoo: Zoo) -> dict[str, Any]:
    return json.loads(embedded(explorer_data(zoo)).replace("\\u003c", "<"))


def test_costs_are_those_of_analyze_and_of_the_stored_counts(zoo: Zoo, data: dict[str, Any]) -> None:
    for one, shown in zip(zoo.networks, data["networks"], strict=True):
        cost = analyze(one.variant.name, one.variant.resolution, **one.variant.options)
        assert (shown["params"], shown["multiply_adds"], shown["additions"]) == counts(one.variant)
        assert shown["peak_memory_bytes"] == cost.peak_memory_bytes
        assert shown["bytes_moved"] == cost.bytes_moved
        by_layers = sum(layer.bytes_moved for layer in one.layers) + one.other_layers[1]
        assert by_layers == cost.bytes_moved["float32"]
        assert sum(layer.terms for layer in one.layers) == counts(one.variant).terms


def test_every_printed_accuracy_is_there_with_its_source_and_none_else(data: dict[str, Any]) -> None:
    for variant, shown in zip(CHOSEN, data["networks"], strict=True):
        printed = [(row.dataset, row.top1, row.top5, row.source) for row in variant.published if row.top1 is not None]
        assert [(row["dataset"], row["top1"], row["top5"], row["source"]) for row in shown["published"]] == printed
    (unprinted,) = (one for one in data["networks"] if one["name"] == "channelnet_v2")
    assert (unprinted["published"], unprinted["datasets"]) == ([], ["ImageNet"])


def test_a_printed_row_on_another_network_is_marked() -> None:
    (igcv2,) = (one for one in variants() if str(one) == "igcv2 @224")
    (row,) = explorer_data(Zoo(networks=[look_at(igcv2)[0]]))["networks"][0]["published"]
    assert row["far"]  # 564M printed, 96M counted


def test_the_line_says_how_to_create_the_variant() -> None:
    recorder = SimpleNamespace(create=lambda name, **options: (name, options))
    for variant in variants():
        assert eval(create_line(variant), {"featherweight": recorder}) == (variant.name, variant.options)


def test_every_source_is_told_apart() -> None:
    kinds: dict[str, set[str]] = {}
    for variant in variants():
        for row in variant.published:
            kinds.setdefault(source_kind(row.source, network(variant.name).family), set()).add(row.source)
    assert kinds.keys() == {"paper", "authors", "torchvision", "others"}
    assert all("authors' README" in source for source in kinds["authors"])
    families = "|".join(sorted({network(variant.name).family for variant in variants()}))
    for source in kinds["others"]:
        assert re.search(rf"{families}|Net's|by others|https://", source), source


def test_blocks_name_the_networks_that_have_them(data: dict[str, Any]) -> None:
    (fire,) = data["blocks"]
    assert (fire["title"], fire["networks"]) == (GALLERY["Fire"].title, [])
    found = explorer_data(Zoo(networks=[look_at(CHOSEN[0])[0]], blocks={"AdderConv2d": "<svg/>"}))
    assert found["blocks"][0]["networks"] == ["adder_resnet20"]


def test_what_is_packed_comes_back() -> None:
    data = {"blocks": {"a": "<svg>π</svg>"}}
    assert json.loads(zlib.decompress(base64.b64decode(packed(data)))) == data


def test_the_page_forbids_all_but_its_own_script(zoo: Zoo, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--\u2028"
    series = LatencySeries(
        measured=True, runtime=hostile, threads=1, machine=hostile,
        timings={str(CHOSEN[0]): Timing(seconds=1e-3, low_seconds=9e-4, high_seconds=2e-3, date="2030-01-01")},
    )  # fmt: skip
    broken = Zoo(networks=zoo.networks, latencies=[series], notes=[hostile])
    page = write_explorer(broken, tmp_path / "explore.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == page.count("<script") == 3
    hashed = base64.b64encode(hashlib.sha256(scripts[-1][1].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'" in page
    assert json.loads(scripts[0][1])["latencies"][0]["machine"] == hostile
