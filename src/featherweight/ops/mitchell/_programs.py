"""The kernels of `triton.py`: tiles of sums of products by integer addition, as bit patterns."""

# ruff: noqa: N803
# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped"

import triton
import triton.language as tl

from . import reference

SIGN = tl.constexpr(reference.SIGN)
SIZE = tl.constexpr(~reference.SIGN)
EXPONENT = tl.constexpr(reference.EXPONENT)
FRACTION = tl.constexpr(reference.FRACTION)
POWER = tl.constexpr(~reference.FRACTION)
ONE = tl.constexpr(reference.ONE)
LEAST = tl.constexpr(reference.LEAST)
INFINITY = tl.constexpr(reference.INFINITY)
NAN = tl.constexpr(reference.NAN)


@triton.jit
def product(a, b, offset):
    """As `reference.multiply`."""
    a_size, b_size = a & SIZE, b & SIZE
    zero, infinite = (a_size < LEAST) | (b_size < LEAST), (a_size == INFINITY) | (b_size == INFINITY)
    size = a_size.to(tl.int64) + b_size - ONE + offset
    size = tl.where(size < LEAST, 0, tl.minimum(size, INFINITY))
    size = tl.where(infinite, INFINITY, tl.where(zero, 0, size))
    undefined = (a_size > INFINITY) | (b_size > INFINITY) | (zero & infinite)
    return tl.where(undefined, NAN, size.to(tl.int32) | ((a ^ b) & SIGN))


@triton.jit
def slope(a, b, offset):
    """As `reference.slope`."""
    a_size, b_size = a & SIZE, b & SIZE
    fraction = tl.where(a_size < LEAST, 0, a & FRACTION) + (b & FRACTION) + offset
    size = tl.minimum((b & EXPONENT).to(tl.int64) + (fraction & POWER), INFINITY)
    size = tl.where(b_size < LEAST, 0, size).to(tl.int32)
    return tl.where((a_size > INFINITY) | (b_size > INFINITY), NAN, size | (b & SIGN))


@triton.jit
def patterns(at, mask):
    """Load the bits of numbers; zero where they are masked."""
    return tl.load(at, mask=mask, other=0.0).to(tl.int32, bitcast=True)


@triton.jit
def range_of(x, result, count, BLOCK: tl.constexpr):
    """Raise result[0] to the largest pattern without sign, result[1] to NAN minus the least that is a normal number."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    size = patterns(x + at, at < count) & SIZE
    tl.atomic_max(result, tl.max(size, 0))
    tl.atomic_max(result + 1, tl.max(tl.where(size < LEAST, 0, NAN - tl.minimum(size, NAN)), 0))


@triton.jit
def all_usual(ranges, offset, EXACT: tl.constexpr):
    """Whether all factors are finite and all products of what is not zero in float32's range."""
    a_most, a_least = tl.load(ranges).to(tl.int64), NAN - tl.load(ranges + 1).to(tl.int64)
    b_most, b_least = tl.load(ranges + 2).to(tl.int64), NAN - tl.load(ranges + 3).to(tl.int64)
    if EXACT:  # b's power of two, and at most two more
        usual = tl.load(ranges + 4) <= INFINITY
        b_most, b_least = (b_most & EXPONENT) + 2 * LEAST, b_least & EXPONENT
    else:
        usual = a_most < INFINITY
        b_most += offset
        b_least += offset
    usual = usual & (a_most < INFINITY) & (b_most < INFINITY)
    return usual & (a_least + b_least - ONE >= LEAST) & (a_most + b_most - ONE < INFINITY)


@triton.jit
def added(sums, a, b, own, offset, EXACT: tl.constexpr, USUAL: tl.constexpr):
    """Add to sums the products of a and b, or of a and the slopes along own by b."""
    if USUAL:
        # Signs add like the rest. A shifted sign is a mask, zero for a factor that is.
        a_some, b_some = (0 - (a & EXPONENT)) >> 31, (0 - (b & EXPONENT)) >> 31
        if EXACT:
            fraction = tl.where((own & EXPONENT) == 0, 0, own & FRACTION) + offset
            bits = (a - ONE) + (b & POWER) + ((fraction + (b & FRACTION)) & EXPONENT)
        else:
            bits = a + (b + (offset - ONE))
        bits = bits & a_some & b_some
    elif EXACT:
        bits = product(a, slope(own, b, offset), 0)
    else:
        bits = product(a, b, offset)
    return sums + bits.to(tl.float32, bitcast=True)


@triton.jit
def sums(
    a, b, own, result, ranges, offset, rows, columns, a_period, own_period, b_batch, column_count_1, column_count_2,
    column_step_0, column_step_1, column_step_2, term_count_0, term_count_1, term_count_2, term_step_0, term_step_1,
    term_step_2, EXACT: tl.constexpr, USUAL: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """See `triton._sums`; of the programs for what is usual and for what is not, one of the two returns at once."""
    if all_usual(ranges, offset, EXACT) != USUAL:
        return
    tiles = tl.cdiv(columns, COLUMNS)
    batch = (tl.program_id(0) // tiles).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    at = row[:, None].to(tl.int64) * columns + column[None, :]
    owns = 0
    if EXACT:
        owns = patterns(own + batch % own_period * rows * columns + at, inside)
    from_column = column // (column_count_1 * column_count_2) * column_step_0
    from_column += column // column_count_2 % column_count_1 * column_step_1 + column % column_count_2 * column_step_2
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    one = a + batch % a_period * term_count_0 * term_count_1 * term_count_2 * rows + row
    outer = b + batch * b_batch
    for _ in range(term_count_0):
        middle = outer
        for _ in range(term_count_1):
            inner = middle
            for _ in range(term_count_2):
                left, right = patterns(one, row < rows), patterns(inner + from_column, column < columns)
                total = added(total, left[:, None], right[None, :], owns, offset, EXACT, USUAL)
                one += rows
                inner += term_step_2
            middle += term_step_1
        outer += term_step_0
    tl.store(result + batch * rows * columns + at, total, mask=inside)


@triton.jit
def input_gradients(
    grad, x, filters, result, ranges, offset, groups, outputs, channels, kernel_height, kernel_width, height, width,
    grad_height, grad_width, stride_down, stride_right, above, left, dilation_down, dilation_right,
    EXACT: tl.constexpr, USUAL: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """dL/dx: for each place (i, j) of the kernel, the sum over filters; then the places' sums."""
    if all_usual(ranges, offset, EXACT) != USUAL:
        return
    # A program's pixels lie a stride apart: a place of the kernel meets all of them or none.
    across = tl.cdiv(width, stride_right)
    tiles = tl.cdiv(tl.cdiv(height, stride_down) * across, COLUMNS)
    number = tl.program_id(0) // tiles
    picture = (number // (stride_down * stride_right)).to(tl.int64)  # one group's channels of it
    first_down, first_right = number // stride_right % stride_down, number % stride_right
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS)
    down, right = column // across * stride_down + first_down, column % across * stride_right + first_right
    inside = (row < channels)[:, None] & ((down < height) & (right < width))[None, :]
    at = picture * channels * height * width + row[:, None].to(tl.int64) * height * width + (down * width + right)
    own = 0
    if EXACT:
        own = patterns(x + at, inside)
    pixel, pixels = grad + picture * outputs * grad_height * grad_width, grad_height * grad_width
    places = filters + picture % groups * kernel_height * kernel_width * outputs * channels + row
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(kernel_height):
        for j in range(kernel_width):
            from_down, from_right = above - i * dilation_down, left - j * dilation_right
            if (first_down + from_down) % stride_down == 0 and (first_right + from_right) % stride_right == 0:
                to_down, to_right = (down + from_down) // stride_down, (right + from_right) // stride_right
                met = (down + from_down >= 0) & (to_down < grad_height)
                met = met & (right + from_right >= 0) & (to_right < grad_width)
                there = pixel + to_down * grad_width + to_right
                place = places + (i * kernel_width + j) * outputs * channels
                some = tl.zeros((ROWS, COLUMNS), tl.float32)
                for _ in range(outputs):
                    factor, by = patterns(there, met), patterns(place, row < channels)
                    some = added(some, factor[None, :], by[:, None], own, offset, EXACT, USUAL)
                    there += pixels
                    place += channels
                total += tl.where(met[None, :], some, 0.0)
    tl.store(result + at, total, mask=inside)


@triton.jit
def add_in_order(parts, total, number, count, BLOCK: tl.constexpr):
    """Add to total [count] each of parts [number, count], one after the other."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    result = tl.load(total + at, mask=at < count, other=0.0)
    for _ in range(number):
        result += tl.load(parts + at, mask=at < count, other=0.0)
        parts += count
    tl.store(total + at, result, mask=at < count)


@triton.jit
def multiply(a, b, own, result, count, offset, EXACT: tl.constexpr, BLOCK: tl.constexpr):
    """Each a times b, or a times the slope along own by b."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    left, right = patterns(a + at, at < count), patterns(b + at, at < count)
    if EXACT:
        bits = product(left, slope(patterns(own + at, at < count), right, offset), 0)
    else:
        bits = product(left, right, offset)
    tl.store(result + at, bits.to(tl.float32, bitcast=True), mask=at < count)
