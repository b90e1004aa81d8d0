"""`featherweight blocks`."""

from pathlib import Path
from xml.etree import ElementTree

from featherweight.blocks import GALLERY, in_words, structure


def test_every_block_is_shown_with_its_steps(featherweight) -> None:
    lines = featherweight("blocks").out.splitlines()
    for name, example in GALLERY.items():
        line = next(line for line in lines if line.split()[:1] == [name])
        first_words, *_ = in_words(structure(example.make(), example.in_channels)).split(" | ")
        assert first_words in line


def test_json_of_all_has_that_of_each(featherweight) -> None:
    rows = featherweight("blocks", "--json").json["blocks"]
    assert [row["block"] for row in rows] == list(GALLERY)
    name = next(iter(GALLERY))
    assert featherweight("blocks", name, "--json").json == rows[0]
    assert {"operation", "kernel_size", "channels", "groups", "reads"} <= set(rows[0]["steps"][0])


def test_one_in_detail(featherweight) -> None:
    out = featherweight("blocks", "InvertedResidual").out
    assert "depthwise.conv" in out
    assert GALLERY["InvertedResidual"].note in out


def test_the_picture_is_written(featherweight, tmp_path: Path) -> None:
    path = tmp_path / "grouped.svg"
    answer = featherweight("blocks", "ConvNormAct-grouped", "--picture", path)
    assert (answer.code, answer.err) == (0, f"wrote {path}\n")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_wrong_words(featherweight, tmp_path: Path) -> None:
    for words, complaint in (
        (["Invertedresidual"], "unknown block 'Invertedresidual'; did you mean InvertedResidual"),
        (["--picture", tmp_path / "x.svg"], "--picture needs the name of a block"),
    ):
        answer = featherweight("blocks", *words)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err
