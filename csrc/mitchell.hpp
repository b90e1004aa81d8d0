// Convolutions and products of matrices by integer addition, as sweeps over panels.
#pragma once

#include "mitchell_tiles.hpp"
#include "patches.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace mitchell {

constexpr Index kBlock = 512;  // most terms of a panel at a time: it then stays near the processor

// Adds to tiles of sums, `count` rows of them, with what is usual of the factors known.
inline void add_products(Factors factors, const Panel& panel, Index count, const float* rows, Index step,
                         std::int32_t offset, float* sums) {
    for (Index r = 0; r < count; r += kRows) {
        const auto run = [&](const auto& tile) {
            tile_of<kRows, kVectors>(least(kRows, count - r), panel.width, tile, panel.depth, rows + r * step, step,
                                     panel.terms, offset, sums + r * panel.width);
        };
        if (factors == Factors::kUsual) run(Tile<Factors::kUsual>());
        else if (factors == Factors::kSomeZero) run(Tile<Factors::kSomeZero>());
        else run(Tile<Factors::kAny>());
    }
}

inline void add_slopes(Factors factors, const Panel& panel, Index count, const float* rows, Index step,
                       const float* own, std::int32_t offset, float* sums) {
    for (Index r = 0; r < count; r += kSlopeRows) {
        const auto run = [&](const auto& tile) {
            tile_of<kSlopeRows, kVectors>(least(kSlopeRows, count - r), panel.width, tile, panel.depth, rows + r * step,
                                          step, panel.terms, own + r * panel.width, offset, sums + r * panel.width);
        };
        if (factors == Factors::kUsual) run(SlopeTile<Factors::kUsual>());
        else if (factors == Factors::kSomeZero) run(SlopeTile<Factors::kSomeZero>());
        else run(SlopeTile<Factors::kAny>());
    }
}

// x [N, C, H, W], weight [O, C/groups, kh, kw], bias [O] or null -> y [N, O, H', W']; terms in the order (c, i, j).
inline void conv2d(const Convolution& c, const float* x, const float* weight, const float* bias, std::int32_t offset,
                   float* y, int threads) {
    const Index depth = c.depth(), group_filters = c.group_filters();
    const Factors usual = factors(Range(x, c.images * c.channels * c.height * c.width, threads),
                                  Range(weight, c.filters * depth, threads), offset);
    const Patches patches(c, x, threads);
    const Index pixels = patches.grid.pixels();
    Scratch<Run> all_runs(threads * kWidth);
    Sweep{patches.planes.data, patches.grid, patches.offsets, depth, c.groups, group_filters, kWidth, kRows, kBlock}
        .run(threads, [&](const Panel& panel) {
            const Index rows = panel.last - panel.first, filter = panel.group * group_filters + panel.first;
            const Index width = panel.width;
            if (panel.k == 0) clear(panel.results, rows * width);
            add_products(usual, panel, rows, weight + filter * depth + panel.k, depth, offset, panel.results);
            if (!panel.end) return;
            for (Index r = 0; bias != nullptr && r < rows; ++r)
                for (Index at = r * width; at < (r + 1) * width; at += kLanes)
                    store(panel.results + at, add(load(panel.results + at), all(bias[filter + r])));
            Run* runs = all_runs + panel.thread * kWidth;
            const int number = cut(patches.output, panel.begin, panel.columns, runs);
            write_rows(panel.results, rows, width, runs, number, pixels, y + filter * pixels);
        });
}

// dy, x, weight -> dx [N, C, H, W]; terms of one place of the kernel over its filters, then the places' sums.
inline void input_gradient(const Convolution& c, const float* dy, const float* x, const float* weight, bool exact,
                           std::int32_t offset, float* dx, int threads) {
    const Index channels = c.group_channels(), pixels = c.output(0) * c.output(1);
    const Range grads(dy, c.images * c.filters * pixels, threads), filters(weight, c.filters * c.depth(), threads);
    const Range own(x, c.images * c.channels * c.height * c.width, threads);
    const Factors usual = exact ? slope_factors(grads, filters, own) : factors(grads, filters, offset);
    Scratch<float> all_pictures(threads * channels * kWidth), all_sums(threads * channels * kWidth);
    each_remainder(c, dy, weight, dx, threads, [&](const float* base, const Remainder& part) {
        const Index depth = part.depth, step = exact ? kSlopeRows : kRows;
        Sweep{base, part.grid, part.offsets, depth, c.groups, channels, kWidth, step, c.group_filters()}.run(
            threads, [&](const Panel& panel) {
                const Index rows = panel.last - panel.first, count = rows * panel.width;
                float *picture = all_pictures + panel.thread * channels * kWidth,
                      *sums = all_sums + panel.thread * channels * kWidth;
                if (panel.k == 0) {
                    clear(panel.results, count), clear(picture, count);
                    if (exact) part.each(c, panel, [&](Index to, Index from) { picture[to] = x[from]; });
                }
                const float* some = part.filters + (panel.group * channels + panel.first) * depth + panel.k;
                clear(sums, count);
                if (exact) add_slopes(usual, panel, rows, some, depth, picture, offset, sums);
                else add_products(usual, panel, rows, some, depth, offset, sums);
                for (Index at = 0; at < count; at += kLanes)
                    store(panel.results + at, add(load(panel.results + at), load(sums + at)));
                if (panel.end) part.each(c, panel, [&](Index from, Index to) { dx[to] = panel.results[from]; });
            });
    });
}

// One product of matrices, its columns cut into panels: c[m][n] += over k, rows a [m, k], b [k, n]; with `own` [m, n],
// the slopes of own and a. A row of c or own is `step` floats from the next.
inline void multiply_matrices(Factors usual, Index m, Index k, Index n, const float* a, const float* b,
                              const float* own, std::int32_t offset, bool transposed, float* c, int threads) {
    Scratch<Index> offsets(k);
    for (Index at = 0; at < k; ++at) offsets[at] = at * n;
    const Grid grid{1, 1, n, 0, n, 0};
    Scratch<float> owns(own == nullptr ? 1 : threads * m * kWidth);
    Sweep{b, grid, offsets, k, 1, m, kWidth, own == nullptr ? kRows : kSlopeRows, kBlock}.run(
        threads, [&](const Panel& panel) {
            const Index rows = panel.last - panel.first, width = panel.width;
            const auto each = [&](auto visit) {
                for (Index r = 0; r < rows; ++r)
                    for (Index at = 0; at < panel.columns; ++at) {
                        const Index row = panel.first + r, column = panel.begin + at;
                        visit(r * width + at, transposed ? column * m + row : row * n + column);
                    }
            };
            float* tiles = owns + (own == nullptr ? 0 : panel.thread * m * kWidth);
            if (panel.k == 0) {
                clear(panel.results, rows * width);
                if (own != nullptr) {
                    clear(tiles, rows * width);
                    each([&](Index to, Index from) { tiles[to] = own[from]; });
                }
            }
            const float* some = a + panel.first * k + panel.k;
            if (own != nullptr) add_slopes(usual, panel, rows, some, k, tiles, offset, panel.results);
            else add_products(usual, panel, rows, some, k, offset, panel.results);
            if (panel.end) each([&](Index from, Index to) { c[to] += panel.results[from]; });
        });
}

// out [rows, columns] = over the depth, products of `left` [rows, depth] and `right` [depth, columns]; with `own`,
// which is as large as out, products of right and the slopes of own and left. Transposed, out and own are [columns,
// rows]. All lie `batch` times one after the other.
inline void matmul(Index batch, Index rows, Index depth, Index columns, const float* left, const float* right,
                   const float* own, std::int32_t offset, bool transposed, float* out, int threads) {
    const Range row_range(left, batch * rows * depth, threads), column_range(right, batch * depth * columns, threads);
    const Factors usual = own == nullptr
                              ? factors(column_range, row_range, offset)
                              : slope_factors(column_range, row_range, Range(own, batch * rows * columns, threads));
    clear(out, batch * rows * columns);
    for (Index b = 0; b < batch; ++b)
        multiply_matrices(usual, rows, depth, columns, left + b * rows * depth, right + b * depth * columns,
                          own == nullptr ? nullptr : own + b * rows * columns, offset, transposed,
                          out + b * rows * columns, threads);
}

// dy, x, weight -> dweight [O, C/groups, kh, kw]; terms of a picture over its pixels, then the pictures' sums.
inline void weight_gradient(const Convolution& c, const float* dy, const float* x, const float* weight, bool exact,
                            std::int32_t offset, float* dweight, int threads) {
    const Index depth = c.depth(), filters = c.group_filters();
    const Patches patches(c, x, threads);
    const Grid& grid = patches.grid;
    const Index pixels = grid.pixels();
    const Range grads(dy, c.images * c.filters * pixels, threads);
    Range own(weight, c.filters * depth, threads), rows(x, c.images * c.channels * c.height * c.width, threads);
    rows.zeros |= c.padding[0] > 0 || c.padding[1] > 0;
    const Factors usual = exact ? slope_factors(grads, rows, own) : factors(grads, rows, offset);
    Scratch<float> left(depth * pixels), right(pixels * filters);
    clear(dweight, c.filters * depth);
    for (Index image = 0; image < c.images; ++image)
        for (Index group = 0; group < c.groups; ++group) {
            const float* from = patches.planes.data + image * grid.image_step + group * grid.group_step;
            const float* grad = dy + (image * c.filters + group * filters) * pixels;
#pragma omp parallel for num_threads(threads) schedule(static)
            for (Index k = 0; k < depth; ++k)
                for (Index u = 0; u < grid.height; ++u)
                    std::memcpy(left + k * pixels + u * grid.width, from + patches.offsets[k] + u * grid.row_step,
                                static_cast<std::size_t>(grid.width) * sizeof(float));
#pragma omp parallel for num_threads(threads) schedule(static)
            for (Index pixel = 0; pixel < pixels; ++pixel)
                for (Index filter = 0; filter < filters; ++filter)
                    right[pixel * filters + filter] = grad[filter * pixels + pixel];
            multiply_matrices(usual, depth, pixels, filters, left, right,
                              exact ? weight + group * filters * depth : nullptr, offset, true,
                              dweight + group * filters * depth, threads);
        }
}

// out[i] = product(a[i], b[i]); with `own`, product(a[i], slope(own[i], b[i])).
inline void multiply(Index count, const float* a, const float* b, const float* own, std::int32_t offset, float* out,
                     int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (Index at = 0; at < count; ++at)
        out[at] = own == nullptr ? product(a[at], b[at], offset) : product(a[at], slope(own[at], b[at], offset), 0);
}

}  // namespace mitchell
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
