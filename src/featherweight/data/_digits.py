"""The built-in data: scikit-learn's handwritten digits, which come with the package and need no download."""

import numpy as np

from featherweight._extras import require

from ._pictures import Pictures


def digits() -> Pictures:
    """Give 1797 handwritten digits of 8 x 8 pixels, grey, in 10 classes.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (test part), UCI, 1998. The 17 levels of
    grey are scaled to 0..255; strokes are bright on black.
    Raises: MissingExtraError: scikit-learn is not installed.

    Example:
        >>> pictures = digits()
        >>> len(pictures), pictures.native_side, pictures.classes[-1]
        (1797, 8, '9')
    """
    data = require("sklearn.datasets", extra="fit").load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return Pictures.from_arrays(images, data.target.tolist(), [str(digit) for digit in range(10)], name="digits")
