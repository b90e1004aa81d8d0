"""The page's preparation of pictures, held against Pillow's in Python: bit for bit."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from featherweight.data import Preprocessing
from featherweight.export.web import PAGE

SCRIPT = """
require("vm").runInThisContext(require("fs").readFileSync(process.argv[1], "utf8"));
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ constants, width, height, rgba }) => {
  const preprocessing = new Preprocessing(constants);
  const pixels = preprocessing.fit({ data: Buffer.from(rgba, "base64"), width, height });
  const values = preprocessing.normalize(pixels);
  return [pixels, values.buffer].map(bytes => Buffer.from(bytes).toString("base64"));
})));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_picture_becomes_the_same_input_as_in_python() -> None:
    draw = np.random.default_rng(0)
    cases, wanted = [], []
    for number in range(60):
        height, width = (int(side) for side in draw.integers(1, 260, 2))
        if number % 10 == 0:
            height, width = 600, 7 + number  # so tall that Pillow alone would take another way
        side = int(draw.choice([1, 2, 8, 28, 33, 64, width, height]))
        if number % 7 == 0:
            height = width = side
        channels = int(draw.choice([1, 3]))
        mean, std = draw.random(channels).tolist(), (draw.random(channels) + 0.05).tolist()
        resize = "crop" if number % 2 else "squash"
        preprocessing = Preprocessing(resolution=side, channels=channels, mean=mean, std=std, resize=resize)
        image = draw.integers(0, 256, (height, width, 3), np.uint8)
        if number % 3 == 0:
            image = image // 128 * 255
        pixels = preprocessing.fit(image)
        wanted.append((pixels.tobytes(), preprocessing.normalize(pixels).tobytes()))
        rgba = np.dstack([image, np.full((height, width, 1), 255, np.uint8)])
        encoded = base64.b64encode(rgba.tobytes()).decode()
        cases.append({"constants": preprocessing.to_dict(), "width": width, "height": height, "rgba": encoded})
    done = subprocess.run(
        ["node", "-e", SCRIPT, PAGE / "preprocessing.js"],
        input=json.dumps(cases), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for case, given, expected in zip(cases, json.loads(done.stdout), wanted, strict=True):
        assert tuple(map(base64.b64decode, given)) == expected, {**case, "rgba": ""}
