"""Pictures per second while training, against a plain PyTorch loop: at least 1.3 times as many.

The same folder of small JPEG files, network, batch, resolution and optimizer on both sides, and the same kinds of
augmentation. Ours is `featherweight.train.train` with everything that it does besides (averaged weights, checkpoints,
checks); the plain loop is torchvision's ImageFolder, transforms and a DataLoader with the best of several numbers of
workers. A round is one whole epoch of each, one after the other, so that a busy moment hits all alike; the first epoch
of each is not counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import featherweight
from featherweight.data import Augment, Batches, Pictures, Preprocessing, open_folder
from featherweight.train import Recipe, train

CLASSES, SIDE, RESOLUTION, BATCH = 10, 40, 24, 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
BAR = 1.3
AUGMENT = Augment(scale=0.1, translate=0.12, flip=True, brightness=0.2, contrast=0.2)
TRANSFORMS = transforms.Compose(
    [
        transforms.Resize((RESOLUTION, RESOLUTION)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(0, translate=(0.12, 0.12), scale=(0.9, 1.1)),
        transforms.ColorJitter(brightness=0.2, contrast=0.2),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)


def write_pictures(folder: Path, count: int) -> None:
    """Write JPEG files of coloured waves, one direction for each class."""
    chance = np.random.default_rng(0)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir()
    for i in range(count):
        angle = np.pi * (i % CLASSES) / CLASSES
        wave = np.sin(12 * (x * np.cos(angle) + y * np.sin(angle)) + chance.uniform(0, 6))
        pixels = 128 + 60 * wave[..., None] * chance.uniform(0.3, 1, 3) + chance.normal(0, 15, (SIDE, SIDE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / f"class{i % CLASSES}" / f"{i}.jpg", quality=90
        )


def network() -> nn.Module:
    """What `fit` chooses for 12 000 pictures of this size and 300 kB."""
    return featherweight.create("mobilenet_v2", width=0.25, head_channels=256, num_classes=CLASSES, small_input=True)


class PlainLoop:
    """The loop that everyone writes; `tuned` with channels-last memory and a fused optimizer."""

    def __init__(self, loader: Iterable[tuple[Tensor, Tensor]], *, tuned: bool = False) -> None:
        self.loader, self.tuned = loader, tuned
        self.model = network().train()
        if tuned:
            self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=tuned or None
        )

    def epoch(self) -> None:
        """Train on every batch once."""
        for x, y in self.loader:
            batch = x.contiguous(memory_format=torch.channels_last) if self.tuned else x
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(batch), y, label_smoothing=0.1).backward()
            self.optimizer.step()


def our_batches(pictures: Pictures) -> Batches:
    pre = Preprocessing(resolution=RESOLUTION, channels=3, mean=MEAN, std=STD)
    images = pictures.at(pre)
    return Batches(images, pictures.labels, batch_size=BATCH, mean=MEAN, std=STD, augment=AUGMENT, shuffle=True)


def our_epoch(batches: Batches, checkpoint: Path) -> Callable[[], None]:
    """One epoch of `train`, its setting up and its last look (at one batch of pictures) included."""
    model = network()
    look = Batches(batches.images[:BATCH], batches.labels[:BATCH], batch_size=BATCH, mean=MEAN, std=STD)
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=0.05, augment=AUGMENT)
    return lambda: void(train(model, batches, look, recipe, checkpoint=checkpoint, progress=False))


def void(_: object) -> None: ...


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(folder: Path, workers: list[int], rounds: int, checkpoint: Path) -> tuple[dict[str, float], int, float]:
    """Return the median seconds of an epoch for each contender, the pictures in it, and what decoding once took."""
    opened: list[Batches] = []
    decoding = seconds(lambda: opened.append(our_batches(open_folder(folder))))
    batches = opened[0]
    dataset = datasets.ImageFolder(str(folder), TRANSFORMS)

    def loader(count: int) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            dataset, BATCH, shuffle=True, drop_last=True, num_workers=count, persistent_workers=count > 0
        )  # fmt: skip

    contenders: dict[str, Callable[[], object]] = {"ours": our_epoch(batches, checkpoint)}
    contenders |= {f"plain loop, {count} workers": PlainLoop(loader(count)).epoch for count in workers}
    one = next(iter(loader(0)))
    repeated = [one] * len(batches)
    contenders |= {
        "of it: steps alone, plain": PlainLoop(repeated).epoch,
        "of it: steps alone, channels last and fused": PlainLoop(repeated, tuned=True).epoch,
        "of it: our batches alone": lambda: [batches.batch(step) for step in range(len(batches))],
        "of it: the loader alone, 0 workers": lambda: [None for _ in loader(0)],
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, epoch in contenders.items():
            took = seconds(epoch)
            if number > 0:
                times[name].append(took)
    return {name: statistics.median(found) for name, found in times.items()}, len(batches) * BATCH, decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10, help="over which decoding once is spread")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        folder.mkdir()
        write_pictures(folder, arguments.pictures)
        epochs, count, decoding = measure(folder, arguments.workers, arguments.rounds, Path(place) / "run.ckpt")
    for name, median in epochs.items():
        print(f"{name:46}{median:8.2f} s an epoch{count / median:9.0f} pictures/s")
    best = min(median for name, median in epochs.items() if name.startswith("plain"))
    spread = epochs["ours"] + decoding / arguments.epochs
    print(f"decoding once: {decoding:.2f} s; spread over {arguments.epochs} epochs, {count / spread:.0f} pictures/s")
    print(f"against the best plain loop: {best / epochs['ours']:.2f} times, with decoding {best / spread:.2f} times")
    if best / epochs["ours"] < BAR:
        raise SystemExit(f"slower than promised: at least {BAR} times")


if __name__ == "__main__":
    main()
