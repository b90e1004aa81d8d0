"""The program in numpy: slow, obvious, and the definition of right. The C kernels give the same bytes."""

import numpy as np

from ._program import Add, Conv, Copy, Map, Multiply, Pool, Program, Step, Window


def run(program: Program, pictures: np.ndarray) -> np.ndarray:
    """Return the logits of pictures, float32 [N, C, H, W] -> [N, classes]."""
    maps = all_maps(program, quantized(program.maps[0], pictures))
    last = program.maps[-1]
    sums = (maps[-1].astype(np.int32) - last.zero).sum((1, 2))
    logits: np.ndarray = sums.astype(np.float32) * program.unit
    return logits


def quantized(to: Map, pictures: np.ndarray) -> np.ndarray:
    """Return the bytes of pictures, [N, C, H, W] -> [N, H, W, C]."""
    return _bytes(pictures.transpose(0, 2, 3, 1) / to.scale, to.zero)


def all_maps(program: Program, pictures: np.ndarray) -> list[np.ndarray]:
    """Return the bytes of all maps, each [N, H, W, C]."""
    maps = [pictures, *(np.zeros((len(pictures), m.height, m.width, m.channels), np.uint8) for m in program.maps[1:])]
    for step in program.steps:
        _run(step, program, maps)
    return maps


def _run(step: Step, program: Program, maps: list[np.ndarray]) -> None:
    to = program.maps[step.output]
    match step:
        case Conv():
            sums = _convolved(step, _signed(maps[step.source], program.maps[step.source]), to)
            maps[step.output][:] = np.clip(_bytes(sums.astype(np.float32) * step.scale, to.zero), step.least, step.most)
        case Add(sources=(a, b), ratios=(of_a, of_b)):
            total = (step.offset + maps[b] * of_b).astype(np.float32)
            total = (total + maps[a] * of_a).astype(np.float32)
            maps[step.output][:] = np.clip(np.rint(total), step.least, step.most)
        case Multiply(sources=(a, b)):
            product = _signed(maps[a], program.maps[a]) * _signed(maps[b], program.maps[b])
            maps[step.output][:] = _bytes(product.astype(np.float32) * step.scale + np.float32(to.zero), 0)
        case Copy():
            maps[step.output][..., step.at : step.at + step.number] = _copied(step, maps[step.source], program)
        case Pool():
            maps[step.output][:] = _pooled(step, maps[step.source], program.maps[step.source], to)


def _bytes(x: np.ndarray, zero: int) -> np.ndarray:
    given: np.ndarray = np.clip(np.rint(x) + zero, 0, 255).astype(np.uint8)
    return given


def _signed(x: np.ndarray, of: Map) -> np.ndarray:
    signed: np.ndarray = x.astype(np.int32) - of.zero
    return signed


def _patches(x: np.ndarray, window: Window, to: Map, outside: int) -> np.ndarray:
    """Return what each output pixel sees, [N, H', W', kh, kw, C], with `outside` beyond the borders."""
    reach = [
        (count - 1) * stride + (kernel - 1) * dilation + 1
        for count, stride, kernel, dilation in zip(
            (to.height, to.width), window.stride, window.kernel, window.dilation, strict=True
        )
    ]
    padded = np.full((len(x), *reach, x.shape[3]), outside, x.dtype)
    top, left = window.padding
    rows, columns = min(x.shape[1], reach[0] - top), min(x.shape[2], reach[1] - left)
    padded[:, top : top + rows, left : left + columns] = x[:, :rows, :columns]
    (sy, sx), (dy, dx) = window.stride, window.dilation
    taps = [
        padded[:, i * dy :: sy, j * dx :: sx][:, : to.height, : to.width]
        for i in range(window.kernel[0])
        for j in range(window.kernel[1])
    ]
    return np.stack(taps, 3).reshape(len(x), to.height, to.width, *window.kernel, x.shape[3])


def _convolved(step: Conv, x: np.ndarray, to: Map) -> np.ndarray:
    """Return the integer sums, [N, H', W', O]; products of float64 hold such integers exactly."""
    patches = _patches(x.reshape(len(x), *step.shape), step.window, to, 0)
    filters, own = len(step.weight) // step.groups, step.shape[2] // step.groups
    sums = []
    for group in range(step.groups):
        seen = patches[..., group * own : (group + 1) * own].reshape(*patches.shape[:3], -1).astype(np.float64)
        weight = step.weight[group * filters : (group + 1) * filters].reshape(filters, -1).astype(np.float64)
        sums.append(seen @ weight.T)
    total: np.ndarray = np.concatenate(sums, 3).astype(np.int64) + step.bias
    return total


def _copied(step: Copy, x: np.ndarray, program: Program) -> np.ndarray:
    to = program.maps[step.output]
    (sy, sx), of = step.stride, program.maps[step.source]
    picked = x[:, ::sy, ::sx][:, : to.height, : to.width]
    if step.channels is not None:
        none = np.full((*picked.shape[:3], 1), of.zero, np.uint8)
        picked = np.concatenate([picked, none], 3)[..., step.channels]  # channel -1 is the last one
    return picked if step.table is None else step.table[picked]


def _pooled(step: Pool, x: np.ndarray, of: Map, to: Map) -> np.ndarray:
    if step.scale is None:
        largest: np.ndarray = _patches(x, step.window, to, 0).max((3, 4))
        return largest
    sums = _patches(_signed(x, of), step.window, to, 0).sum((3, 4))
    pixels = _patches(np.ones_like(x, np.int32), step.window, to, 0).sum((3, 4))
    return _bytes(sums.astype(np.float32) * step.scale[pixels - 1], to.zero)
