"""`featherweight papers`: paper, ours, difference, why."""

import csv
import io

import pytest

from featherweight.networks import networks, papers


def test_every_printed_row_is_there(featherweight) -> None:
    rows = featherweight("papers", "--json").json["rows"]
    assert rows == [row.to_dict() for row in papers()]
    assert len(rows) == sum(len(entry.published) for entry in networks())


def test_csv_has_the_same_rows(featherweight) -> None:
    every = featherweight("papers", "--json").json["rows"]
    read = list(csv.DictReader(io.StringIO(featherweight("papers", "--csv").out)))
    assert len(read) == len(every)
    for line, row in zip(read, every, strict=True):
        assert line.keys() == row.keys()
        assert line["source"] == row["source"]
        assert line["params_counted"] == str(row["params_counted"] or "")


def test_a_row_says_paper_ours_difference_and_why(featherweight) -> None:
    out = featherweight("papers", "mobilenet_v2").out
    line = next(line for line in out.splitlines() if "1.4 @224" in line and "Table 4" in line)
    for cell in ("6.9M", "6.109 M (-11.5%)", "585M", "582", "74.7 %"):
        assert cell in line
    assert "counts agree with ours" in out


def test_deviations_are_listed_and_counted(featherweight) -> None:
    answer = featherweight("papers", "--deviations")
    deviating = [row for row in papers() if row.published.deviation]
    every = sum(1 for _ in papers())
    assert answer.out.splitlines()[-1] == f"{len(deviating)} of {every} printed rows deviate"
    for row in deviating:
        assert f"  {row.published.deviation}\n" in answer.out
    listed = featherweight("papers", "--deviations", "--json").json["rows"]
    assert listed == [row.to_dict() for row in deviating]
    assert not any(row["agrees"] for row in listed)


def test_narrowed_to_a_family(featherweight) -> None:
    rows = featherweight("papers", "--family", "mobilenetv2", "--json").json["rows"]
    assert {row["family"] for row in rows} == {"MobileNetV2"}


@pytest.mark.parametrize("words", [("mobilenet_v9",), ("--family", "ResNetV9")])
def test_what_is_not_there_is_wrong_usage(featherweight, words) -> None:
    answer = featherweight("papers", *words)
    assert (answer.code, answer.out) == (2, "")
    assert "unknown" in answer.err
