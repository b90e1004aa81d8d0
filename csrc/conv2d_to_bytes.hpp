// The ordinary convolution at the beginning of a network on bytes: floats in, bytes out.
#pragma once

#include "patches.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace conv2d_to_bytes {

#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2;
#else
constexpr int kRows = 4, kVectors = 2;
#endif
constexpr int kWidth = kVectors * kLanes;
constexpr Index kBlock = 512;

// sums[r][column] += sum over k of x * f; product and sum are rounded one after the other, as everywhere.
struct Tile {
    template <int kCount, int kVectors>
    void run(Index depth, const float* filters, Index step, const float* panel, float* sums) const {
        Floats sum[kCount][kVectors];
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) sum[r][v] = load(sums + (r * kVectors + v) * kLanes);
        for (Index k = 0; k < depth; ++k, panel += kVectors * kLanes) {
            Floats x[kVectors];
            for (int v = 0; v < kVectors; ++v) x[v] = load(panel + v * kLanes);
            for (int r = 0; r < kCount; ++r) {
                const Floats f = all(filters[r * step + k]);
                for (int v = 0; v < kVectors; ++v) sum[r][v] = add(sum[r][v], multiply(x[v], f));
            }
        }
        for (int r = 0; r < kCount; ++r)
            for (int v = 0; v < kVectors; ++v) store(sums + (r * kVectors + v) * kLanes, sum[r][v]);
    }
};

// y = round(conv(x) + shift[o]), no less than 0 and no more than 255.
inline void forward(const Convolution& c, const float* x, const float* weight, const float* shift, Maps<Byte> y,
                    int threads) {
    const Index depth = c.depth(), group_filters = c.group_filters();
    const Patches patches(c, x, threads);
    const Grid output{c.images, c.output(0), c.output(1), c.filters * y.plane, y.row, 0};
    Scratch<Run> all_runs(threads * kWidth);
    Sweep{patches.planes.data, patches.grid, patches.offsets, depth, c.groups, group_filters, kWidth, kRows, kBlock}
        .run(threads, [&](const Panel& panel) {
            const Index rows = panel.last - panel.first, width = panel.width;
            const Index filter = panel.group * group_filters + panel.first;
            if (panel.k == 0) clear(panel.results, rows * width);
            for (Index r = 0; r < rows; r += kRows)
                tile_of<kRows, kVectors>(least(kRows, rows - r), width, Tile(), panel.depth,
                                         weight + (filter + r) * depth + panel.k, depth, panel.terms,
                                         panel.results + r * width);
            if (!panel.end) return;
            Run* runs = all_runs + panel.thread * kWidth;
            const int number = cut(output, panel.begin, panel.columns, runs);
            for (Index r = 0; r < rows; ++r)
                for (int n = 0; n < number; ++n) {
                    std::uint8_t* to = y.data + runs[n].from + (filter + r) * y.plane;
                    const float* from = panel.results + r * width + runs[n].at;
                    for (Index at = 0, some; at < runs[n].count; at += some) {
                        some = least(runs[n].count - at, kLanes);
                        const Floats sums = some == kLanes ? load(from + at) : load_some(from + at, some);
                        store_bytes(to + at, add(sums, all(shift[filter + r])), some);
                    }
                }
        });
}

}  // namespace conv2d_to_bytes
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
