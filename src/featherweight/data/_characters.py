"""The larger built-in data: letters and digits drawn from matplotlib's fonts, which need no download."""

import math
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from featherweight._extras import folder_of

from ._decode import Pixels
from ._pictures import DataError, Pictures

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
# Not here: the fonts of symbols, cmmi10 (its 0 is an o), and the font of last resort, which draws a box for all.
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic",
    "cmb10", "cmr10", "cmss10", "cmti10", "cmtt10",
)  # fmt: skip

SIDE = 24  # of a picture, in pixels
FINE = 2  # pixels drawn for each of a picture's, along a side
EM = 18 * FINE  # size of the type, before it is varied
CANVAS = 2 * SIDE * FINE  # side of a glyph's drawing, so that nothing is cut off when it is turned
BASELINE = 0.3 * EM  # below the middle: capitals and descenders are both near it

SIZE, DEGREES, SLANT, SHIFT = 0.15, 12.0, 0.15, 1.5 * FINE  # the most that a picture is varied, either way
BLUR = 0.9 * FINE  # the most; a standard deviation
DARK, LIGHT, NOISE = (0.0, 100.0), (155.0, 255.0), 20.0  # levels of grey; the most noise, a standard deviation


def characters(*, per_class: int = 200, seed: int = 0, held_out: Sequence[str] = ()) -> Pictures:
    """Draw letters and digits in 62 classes, A-Z, a-z and 0-9: 12 400 grey pictures of 24 x 24 pixels.

    Each of 21 fonts (DejaVu, STIX and Computer Modern, as matplotlib carries them) has an equal share of every class.
    A picture varies in size, angle, slant, place, sharpness, contrast and noise, and in half of them the ink is the
    lighter. All stand on one baseline, so that case shows in the size; still, what looks alike in print is hard to
    tell apart: 0 O o, 1 I l, and the small letters of c s v w x z from their capitals.

    A split at random has every font in each part: its test asks for new distortions of fonts that were seen. Pictures
    of the fonts `held_out` are the "test" split instead, which asks for shapes that were not.

    Args:
        per_class: pictures of each character.
        seed: of the distortions. The same seed gives the same pixels under the same versions of Pillow and matplotlib.
        held_out: names from `FONTS`; a picture's path begins with the name of its font.
    Raises:
        MissingExtraError: matplotlib is not installed; it is looked up, but not imported.
        ValueError: a font that is not among them, all of them held out, or a number below its range.

    Example:
        >>> pictures = characters(per_class=5)
        >>> len(pictures), pictures.native_side, pictures.classes[0], pictures.paths[0]
        (310, 24, 'A', 'DejaVuSans-BoldOblique/A/000')
    """
    _check(per_class, seed, held_out)
    folder = folder_of("matplotlib", extra="characters") / "mpl-data" / "fonts" / "ttf"
    fonts = [_font(folder, name) for name in FONTS]
    images: list[Pixels] = []
    paths = []
    for label, character in enumerate(CHARACTERS):
        rng = np.random.default_rng([seed, label])
        glyphs = [_glyph(font, character) for font in fonts]
        chosen = rng.permutation(np.arange(per_class) % len(FONTS))
        images.extend(_on_ground(np.stack([_distorted(glyphs[font], rng) for font in chosen]), rng)[..., np.newaxis])
        paths += [f"{FONTS[font]}/{character}/{i:03d}" for i, font in enumerate(chosen)]
    splits = np.array(["test" if path.partition("/")[0] in held_out else "train" for path in paths])
    labels = np.repeat(np.arange(len(CHARACTERS)), per_class).tolist()
    drawn = Pictures.from_arrays(images, labels, CHARACTERS, name="characters")
    return replace(drawn, paths=tuple(paths), splits=splits if held_out else None)


def _check(per_class: int, seed: int, held_out: Sequence[str]) -> None:
    if per_class < 1 or seed < 0:
        raise ValueError(f"per_class must be 1 or more and seed 0 or more; got {per_class} and {seed}")
    if unknown := sorted(set(held_out) - set(FONTS)):
        raise ValueError(f"no font {', '.join(unknown)} to hold out; there are {', '.join(FONTS)}")
    if set(held_out) == set(FONTS):
        raise ValueError("all fonts are held out: none is left to train on")


def _font(folder: Path, name: str) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(folder / f"{name}.ttf", EM, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DataError(f"characters: cannot read the font {folder / name}.ttf of matplotlib: {error}") from error


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """Draw a character in white on black, in the middle, on the baseline."""
    canvas = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(canvas).text((CANVAS / 2, CANVAS / 2 + BASELINE), character, fill=255, font=font, anchor="ms")
    return canvas


def _distorted(glyph: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, slant, scale, shift and blur a glyph: uint8 [SIDE, SIDE], 255 where there is ink."""
    size, angle, slant, right, down = rng.uniform(-1, 1, 5) * (SIZE, math.radians(DEGREES), SLANT, SHIFT, SHIFT)
    cosine, sine = math.cos(angle) / (1 + size), math.sin(angle) / (1 + size)
    # From a place in the picture back to one in the glyph, both from their middles: turn, then slant.
    a, b, d, e = cosine - slant * sine, -sine - slant * cosine, sine, cosine
    x, y = SIDE * FINE / 2 + right, SIDE * FINE / 2 + down
    placed = glyph.transform(
        (SIDE * FINE, SIDE * FINE),
        Image.Transform.AFFINE,
        (a, b, CANVAS / 2 - a * x - b * y, d, e, CANVAS / 2 - d * x - e * y),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(placed.filter(ImageFilter.GaussianBlur(rng.uniform(0, BLUR))).reduce(FINE))


def _on_ground(ink: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Give ink [N, SIDE, SIDE] and its ground levels of grey, one of them light, and noise: uint8 of the same shape."""
    count = len(ink)
    levels = rng.permuted([rng.uniform(*DARK, count), rng.uniform(*LIGHT, count)], axis=0)[..., np.newaxis, np.newaxis]
    noise = rng.uniform(0, NOISE, (count, 1, 1)) * rng.standard_normal(ink.shape)
    grey: NDArray[np.uint8] = np.clip(levels[0] + (levels[1] - levels[0]) * (ink / 255) + noise, 0, 255).astype(
        np.uint8
    )
    return grey
