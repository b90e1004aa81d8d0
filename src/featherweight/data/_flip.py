"""Whether a mirrored picture is still of its class: found out from the pictures, not from the folder's name."""

import numpy as np

from ._parallel import in_order
from ._pictures import Pictures
from ._preprocessing import Preprocessing
from ._split import Indices


def flip_keeps_class(pictures: Pictures, indices: Indices | None = None, *, most: int = 2000) -> bool:
    """Tell whether mirroring left and right leaves pictures as recognisable as they were.

    Half of the pictures, shrunk to 12 x 12, give the mean picture of each class; the others are put to the class of
    the nearest mean, as they are and mirrored. For photographs the mirrored ones come out as well; for letters, traffic
    signs or left and right hands they come out worse, and mirroring would teach what is wrong.

    Args:
        indices: of the pictures to find out from; default all.
        most: pictures that are looked at, evenly spread.
    """
    chosen = np.arange(len(pictures)) if indices is None else np.asarray(indices)
    chosen = chosen[:: -(-len(chosen) // most)]
    plain = Preprocessing(resolution=12, channels=1, mean=(0.0,), std=(1.0,))
    shrunk = in_order(lambda i: plain.fit(pictures.load(i)), chosen.tolist())
    images = np.stack([image[:, :, 0] for image in shrunk]).astype(np.float32)
    labels = pictures.labels[chosen]
    images -= images.mean(axis=(1, 2), keepdims=True)
    images /= np.maximum(images.std(axis=(1, 2), keepdims=True), 1.0)
    of_class = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class[labels == label] = np.arange((labels == label).sum())
    known, asked = of_class % 2 == 0, of_class % 2 == 1
    if not asked.any():
        return True
    kinds = np.unique(labels[known])
    means = np.stack([images[known & (labels == kind)].mean(axis=0) for kind in kinds])
    right = [
        np.mean(kinds[_nearest(means, views)] == labels[asked]) for views in (images[asked], images[asked][:, :, ::-1])
    ]
    as_is, mirrored = right
    noise = 2 * np.sqrt(0.25 / asked.sum())
    if as_is < 1 / len(kinds) + noise:
        return False  # not even as they are can they be told apart by this: nothing is known, nothing is mirrored
    return bool(mirrored >= as_is - max(noise, 0.1 * as_is))


def _nearest(means: np.ndarray, images: np.ndarray) -> np.ndarray:
    flat, centres = images.reshape(len(images), -1), means.reshape(len(means), -1)
    nearest: np.ndarray = ((centres**2).sum(axis=1) - 2 * flat @ centres.T).argmin(axis=1)
    return nearest
