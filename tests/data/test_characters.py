"""The built-in characters: what the fonts really hold, the same pictures for a seed, and who is held out."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from fontTools.agl import UV2AGL
from fontTools.ttLib import TTFont

from featherweight import _extras
from featherweight._extras import MissingExtraError, folder_of
from featherweight.data import BUILT_IN, Pictures, augment_for, characters, read_pictures, split_pictures
from featherweight.data._characters import CHARACTERS, FONTS, _font, _glyph

FOLDER = folder_of("matplotlib", extra="characters") / "mpl-data" / "fonts" / "ttf"


@pytest.fixture(scope="module")
def small() -> Pictures:
    return characters(per_class=21)


def glyph_names(font: str) -> list[str | None]:
    mapped = TTFont(FOLDER / f"{font}.ttf").getBestCmap()
    return [mapped.get(ord(character)) for character in CHARACTERS]


def test_each_font_draws_the_character_that_is_asked_for() -> None:
    wanted = [UV2AGL[ord(character)] for character in CHARACTERS]
    for font in FONTS:
        assert glyph_names(font) == wanted, font
    assert glyph_names("cmsy10") != wanted  # symbols in the places of small letters and digits
    assert glyph_names("LastResortHE-Regular") != wanted


def test_all_glyphs_differ_and_none_is_cut_off() -> None:
    for name in FONTS:
        drawn = [np.asarray(_glyph(_font(FOLDER, name), character)) for character in CHARACTERS]
        assert len({glyph.tobytes() for glyph in drawn}) == len(CHARACTERS)
        assert not any(glyph[[0, -1]].any() or glyph[:, [0, -1]].any() for glyph in drawn)


def test_classes_and_fonts_have_equal_shares(small: Pictures) -> None:
    assert len(small) == 62 * 21
    assert small.classes == tuple(CHARACTERS)
    assert set(Counter(path.partition("/")[0] for path in small.paths).values()) == {62}
    assert [path.split("/")[1] for path in small.paths] == [small.classes[label] for label in small.labels]
    assert len(set(small.paths)) == len(set(small.fingerprints)) == len(small)
    assert not augment_for(small).flip


def test_a_seed_gives_the_same_pictures_and_another_seed_others(small: Pictures) -> None:
    assert characters(per_class=21).fingerprints == small.fingerprints
    assert not set(characters(per_class=21, seed=1).fingerprints) & set(small.fingerprints)


def test_case_shows_in_the_size() -> None:
    for name in FONTS:
        rows = {}
        for character in "CcSsVvWwXxZz":
            rows[character] = np.asarray(_glyph(_font(FOLDER, name), character)).any(axis=1).sum()
        for capital in "CSVWXZ":
            assert rows[capital] > 1.15 * rows[capital.lower()], (name, capital)


def test_fonts_held_out_are_the_test() -> None:
    pictures = characters(per_class=21, held_out=["cmtt10", "DejaVuSerif"])
    split = split_pictures(pictures, seed=0)
    fonts = {part: {pictures.paths[i].partition("/")[0] for i in getattr(split, part)} for part in ("train", "test")}
    assert fonts["test"] == {"cmtt10", "DejaVuSerif"}
    assert fonts["train"] == set(FONTS) - fonts["test"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"per_class": 0}, "per_class must be 1 or more and seed 0 or more; got 0 and 0"),
        ({"held_out": ["Arial"]}, "no font Arial to hold out; there are DejaVuSans, "),
        ({"held_out": FONTS}, "all fonts are held out"),
    ],
)
def test_wrong_words(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        characters(**given)


def test_without_the_fonts_there_is_one_line_on_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'matplotlib', which is not installed: pip install .*\[characters\]"):
        characters()


def test_neither_matplotlib_nor_pytorch_is_imported() -> None:
    code = "import sys; from featherweight.data import characters; characters(per_class=1); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "torch"} & set(loaded)


def test_built_in_pictures_are_read_by_their_name() -> None:
    assert {name: read_pictures(name).name for name in BUILT_IN} == {"digits": "digits", "characters": "characters"}
    assert len(read_pictures("characters")) == 12_400
