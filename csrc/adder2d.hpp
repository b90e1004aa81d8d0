// The adder layer, Y = - sum |X - F|, and its gradient by the input.
#pragma once

#include <cfloat>

#include "patches.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d {

// Most terms of a panel at a time: it then stays near the processor.
constexpr Index kBlock = 512;

// Forward.
//
// |x - f| = 2 max(x, f) - x - f, and the sums of x and of f alone are known beforehand. So a term costs two
// instructions, the larger and an addition, where |x - f| as it stands costs three. The difference of large sums would
// lose digits where x and f are large and near each other; where the sizes of the terms show that, a tile is summed
// again as it stands.

// A tile's rows (filters) and vectors (columns): its sums, a row of the panel and one filter fill the registers.
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2;
#else
constexpr int kRows = 4, kVectors = 2;
#endif
constexpr int kWidth = kVectors * kLanes;
constexpr float kCancellation = 16.0f;  // how many times larger than their distance the sizes may be

// sums[r][column] = sum over k of max(x, f) or, directly, of |x - f|, for filters r, which lie `step` apart.
template <bool kDirect>
struct Tile {
    template <int kCount, int kVectors>
    void run(Index depth, const float* filters, Index step, const float* panel, float* sums) const {
        Floats sum[kCount][kVectors];
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) sum[r][v] = all(0.0f);
        for (Index k = 0; k < depth; ++k, panel += kVectors * kLanes) {
            Floats x[kVectors];
            for (int v = 0; v < kVectors; ++v) x[v] = load(panel + v * kLanes);
            for (int r = 0; r < kCount; ++r) {
                const Floats f = all(filters[r * step + k]);
                for (int v = 0; v < kVectors; ++v)
                    sum[r][v] = add(sum[r][v], kDirect ? absolute(sub(x[v], f)) : larger(x[v], f));
            }
        }
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) store(sums + (r * kVectors + v) * kLanes, sum[r][v]);
    }
};

// Of a filter's terms, and of their sizes.
struct Sum {
    float sum, size;
};

// Takes a tile's distances, made of its sums of the larger, from what is `before`, if anything, plus the bias. False
// where digits were lost.
inline bool subtract(Index count, Index width, const float* column_sums, const Sum* filter_sums, const float* before,
                     const float* bias, float* sums) {
    bool exact = true;
    for (Index r = 0; r < count; ++r) {
        const Floats filter_sum = all(filter_sums[r].sum), filter_size = all(filter_sums[r].size);
        const Floats more = all(bias == nullptr ? 0.0f : bias[r]);
        for (Index at = r * width, column = 0; column < width; at += kLanes, column += kLanes) {
            const Floats column_sum = load(column_sums + column), sum = load(sums + at);
            const Floats distance = sub(add(sum, sum), add(column_sum, filter_sum));
            const Floats size = add(load(column_sums + width + column), filter_size);
            exact &= !any_above(size, multiply(distance, all(kCancellation)));
            store(sums + at, sub(before == nullptr ? more : add(load(before + at), more), distance));
        }
    }
    return exact;
}

inline void subtract_direct(Index count, Index width, const float* before, const float* bias, float* sums) {
    for (Index r = 0; r < count; ++r) {
        const Floats more = all(bias == nullptr ? 0.0f : bias[r]);
        for (Index at = r * width; at < (r + 1) * width; at += kLanes)
            store(sums + at, sub(before == nullptr ? more : add(load(before + at), more), load(sums + at)));
    }
}

inline float total_of(Floats values) {
    float lane[kLanes], total = 0.0f;
    store(lane, values);
    for (float one : lane) total += one;
    return total;
}

inline Sum sum_of(const float* values, Index count) {
    Floats sum = all(0.0f), size = all(0.0f);
    for (Index at = 0; at < count; at += kLanes) {
        const Floats some = at + kLanes <= count ? load(values + at) : load_some(values + at, count - at);
        sum = add(sum, some), size = add(size, absolute(some));
    }
    return {total_of(sum), total_of(size)};
}

// x [N, C, H, W], filters [O, C/groups, kh, kw], bias [O] or null -> y [N, O, H', W'].
inline void forward(const Convolution& c, const float* x, const float* filters, const float* bias, float* y,
                    int threads) {
    const Index depth = c.depth(), group_filters = c.group_filters();
    const Patches patches(c, x, threads);
    const Index pixels = patches.grid.pixels();
    Scratch<Run> all_runs(threads * kWidth);
    Scratch<float> tiles(threads * kRows * kWidth);

    const Sweep sweep{patches.planes.data, patches.grid, patches.offsets, depth, c.groups,
                      group_filters,       kWidth,       kRows,           kBlock};
    Scratch<Sum> filter_sums(sweep.blocks() * c.filters);
    for (Index block = 0; block < sweep.blocks(); ++block)
        for (Index o = 0; o < c.filters; ++o) {
            const Index k = block * sweep.size();
            filter_sums[block * c.filters + o] = sum_of(filters + o * depth + k, least(sweep.size(), depth - k));
        }

    sweep.run<true>(threads, [&](const Panel& panel) {
        float* sums = tiles + panel.thread * kRows * kWidth;
        Run* runs = all_runs + panel.thread * kWidth;
        const int number = panel.end ? cut(patches.output, panel.begin, panel.columns, runs) : 0;
        const Index width = panel.width;
        for (Index o = panel.first; o < panel.last; o += kRows) {
            const Index rows = least(kRows, panel.last - o), filter = panel.group * group_filters + o;
            const float *some = filters + filter * depth + panel.k, *more = panel.end && bias ? bias + filter : nullptr;
            const Sum* own_sums = filter_sums + panel.k / sweep.size() * c.filters + filter;
            float* results = panel.results + (o - panel.first) * width;
            const float* before = panel.k > 0 ? results : nullptr;
            tile_of<kRows, kVectors>(rows, width, Tile<false>(), panel.depth, some, depth, panel.terms, sums);
            if (!subtract(rows, width, panel.sums, own_sums, before, more, sums)) {
                tile_of<kRows, kVectors>(rows, width, Tile<true>(), panel.depth, some, depth, panel.terms, sums);
                subtract_direct(rows, width, before, more, sums);
            }
            if (panel.end) write_rows(sums, rows, width, runs, number, pixels, y + filter * pixels);
            else std::memcpy(results, sums, static_cast<std::size_t>(rows * width) * sizeof(float));
        }
    });
}

// The gradient by the input.
//
// dX = sum over filters and places of slope(F - X) dY, with the slope clipped to [-1, 1] or the sign. It is a
// convolution of dY whose filter depends on X, so that a tile of X stays in registers.

#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kGradientRows = 4;
#else
constexpr int kGradientRows = 2;
#endif

enum class Slope { kClip, kClipAny, kSign };  // of finite numbers only; of any; the sign

template <Slope kSlope>
inline Floats add_slope(Floats difference, Floats grad, Floats sum) {
    if (kSlope == Slope::kSign) return add_signed(difference, grad, sum);
    return multiply_add(kSlope == Slope::kClip ? clip(difference) : clip_any(difference), grad, sum);
}

// sums[r][column] += sum over k of slope(filters[r][k] - x[r][column]) panel[k][column], for input channels r.
template <Slope kSlope>
struct GradientTile {
    template <int kCount, int kVectors>
    void run(Index depth, const float* filters, Index step, const float* panel, const float* x, float* sums) const {
        Floats own[kCount][kVectors], sum[kCount][kVectors];
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) {
                own[r][v] = load(x + (r * kVectors + v) * kLanes);
                sum[r][v] = load(sums + (r * kVectors + v) * kLanes);
            }
        for (Index k = 0; k < depth; ++k, panel += kVectors * kLanes) {
            Floats grad[kVectors];
            for (int v = 0; v < kVectors; ++v) grad[v] = load(panel + v * kLanes);
            for (int r = 0; r < kCount; ++r) {
                const Floats f = all(filters[r * step + k]);
                for (int v = 0; v < kVectors; ++v) sum[r][v] = add_slope<kSlope>(sub(f, own[r][v]), grad[v], sum[r][v]);
            }
        }
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) store(sums + (r * kVectors + v) * kLanes, sum[r][v]);
    }
};

inline bool all_finite(const float* values, Index count) {
    bool finite = true;
    for (Index at = 0; at < count; ++at) finite &= values[at] <= FLT_MAX && values[at] >= -FLT_MAX;
    return finite;
}

template <class... Arguments>
inline void gradient_tile(bool sign, bool finite, Index rows, Index width, Arguments... arguments) {
    if (sign) tile_of<kGradientRows, kVectors>(rows, width, GradientTile<Slope::kSign>(), arguments...);
    else if (finite) tile_of<kGradientRows, kVectors>(rows, width, GradientTile<Slope::kClip>(), arguments...);
    else tile_of<kGradientRows, kVectors>(rows, width, GradientTile<Slope::kClipAny>(), arguments...);
}

// dy [N, O, H', W'], x [N, C, H, W], filters [O, C/groups, kh, kw] -> dx [N, C, H, W].
inline void input_gradient(const Convolution& c, const float* dy, const float* x, const float* filters, bool sign,
                           float* dx, int threads) {
    const Index channels = c.group_channels();
    const bool finite = all_finite(filters, c.filters * c.depth());
    Scratch<float> pictures(threads * channels * kWidth);
    Scratch<char> finites(threads);
    each_remainder(c, dy, filters, dx, threads, [&](const float* grads, const Remainder& own) {
        const Index depth = own.depth;
        Sweep{grads, own.grid, own.offsets, depth, c.groups, channels, kWidth, kGradientRows, kBlock}.run(
            threads, [&](const Panel& panel) {
                float* picture = pictures + panel.thread * channels * kWidth;
                const Index rows = panel.last - panel.first, width = panel.width;
                if (panel.k == 0) {
                    clear(picture, rows * width), clear(panel.results, rows * width);
                    own.each(c, panel, [&](Index to, Index from) { picture[to] = x[from]; });
                    finites[panel.thread] = finite && all_finite(picture, rows * width);
                }
                for (Index r = 0; r < rows; r += kGradientRows) {
                    const float* some = own.filters + (panel.group * channels + panel.first + r) * depth + panel.k;
                    gradient_tile(sign, finites[panel.thread], least(kGradientRows, rows - r), width, panel.depth, some,
                                  depth, panel.terms, picture + r * width, panel.results + r * width);
                }
                if (panel.end) own.each(c, panel, [&](Index from, Index to) { dx[to] = panel.results[from]; });
            });
    });
}

}  // namespace adder2d
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
