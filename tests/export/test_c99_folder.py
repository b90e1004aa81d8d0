"""A folder of C99 source whose c99.json somebody else has written: nothing of it is compiled."""

import json

import pytest

from featherweight.export import ModelFileError, load

SAID = {
    "name": "model", "input_shape": [1, 4, 4], "num_classes": 2, "input_scale": 1.0, "input_zero": 0,
    "logit_unit": 1.0, "sizes": {}, "featherweight": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({**SAID, "name": "../elsewhere/model"}, r"its name is none in C: '\.\./elsewhere/model'"),
        ({**SAID, "name": ["-o", "model"]}, r"its name is none in C: \['-o', 'model'\]"),
        (7, "it is no object"),
    ],
)
def test_a_damaged_note(tmp_path, said, complaint) -> None:
    (tmp_path / "c99.json").write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match=rf"c99\.json is damaged: {complaint}"):
        load(tmp_path)
