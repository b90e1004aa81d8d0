// A convolution's pictures laid out for its inner loops, and the loop over all of them.
//
// The pixels of the output, of all pictures one after the other, are the columns of a matrix; its rows are the terms
// that an output sums: (channel, place of the kernel). A panel is as many of those columns as an inner loop holds in
// registers, with a block of the rows. It is copied in whole registers, because `Planes` first lays side by side what
// one place of the kernel meets. So memory stays near that of input and output.
#pragma once

#include "memory.hpp"
#include "planes.hpp"
#include "threads.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {

// The pixels of the output, and where in the planes of a group's first channel each lies.
struct Grid {
    Index images, height, width;
    Index image_step, row_step, group_step;  // floats from one picture, row of outputs, group to the next

    Index pixels() const { return height * width; }
    Index columns() const { return images * height * width; }
};

// Columns that lie side by side in memory.
struct Run {
    Index from, at, count;  // floats from the base, column of the panel, how many
};

// Cuts columns [begin, begin + count) into runs, of which there are at most `count`.
inline int cut(const Grid& grid, Index begin, Index count, Run* runs) {
    const Index lines = grid.row_step == grid.width ? 1 : grid.height;  // rows without a gap are one
    const Index length = grid.pixels() / lines;
    Index line = begin / length, column = begin % length;
    int number = 0;
    for (Index at = 0; at < count; ++line, column = 0) {
        const Index some = least(length - column, count - at);
        runs[number++] = {line / lines * grid.image_step + line % lines * grid.row_step + column, at, some};
        at += some;
    }
    return number;
}

template <bool kSums, bool kWhole>
inline void pack_piece(const float* from, const Index* offsets, Index depth, Index count, Index width, float* panel,
                       float* sums) {
    constexpr int kChains = 4;  // sums side by side, since one addition waits for that before it
    Floats sum[kChains], size[kChains];
    for (int chain = 0; chain < kChains; ++chain) sum[chain] = size[chain] = all(0.0f);
    Index k = 0;
    const auto next = [&](int chain) {
        const Floats piece = kWhole ? load(from + offsets[k]) : load_some(from + offsets[k], count);
        if (kWhole) store(panel + k * width, piece);
        else store_some(panel + k * width, piece, count);
        if (kSums) sum[chain] = add(sum[chain], piece), size[chain] = add(size[chain], absolute(piece));
        ++k;
    };
    while (k + kChains <= depth)
        for (int chain = 0; chain < kChains; ++chain) next(chain);
    while (k < depth) next(0);
    const auto put = [&](const Floats* parts, float* to) {
        const Floats total = add(add(parts[0], parts[1]), add(parts[2], parts[3]));
        if (kWhole) store(to, total);
        else store_some(to, total, count);
    };
    if (kSums) put(sum, sums), put(size, sums + width);
}

// Lays runs of columns, one row for each offset, into a panel [depth, width], and sums each column if kSums: sums
// [2, width], of the terms and of their sizes. What is left of the panel's width is zero.
template <bool kSums>
inline void pack(const float* base, const Run* runs, int number, const Index* offsets, Index depth, Index count,
                 Index width, float* panel, float* sums) {
    if (count < width) {
        for (Index k = 0; k < depth; ++k) clear(panel + k * width + count, width - count);
        if (kSums) clear(sums + count, width - count), clear(sums + width + count, width - count);
    }
    for (int r = 0; r < number; ++r) {
        const float* from = base + runs[r].from;
        float *to = panel + runs[r].at, *sum = sums + runs[r].at;
        Index left = runs[r].count;
        for (; left >= kLanes; left -= kLanes, from += kLanes, to += kLanes, sum += kLanes)
            pack_piece<kSums, true>(from, offsets, depth, kLanes, width, to, sum);
        if (left > 0) pack_piece<kSums, false>(from, offsets, depth, left, width, to, sum);
    }
}

// Copies rows of results [count, width] to where runs of columns lie in an array, `row_step` floats a row; or back.
inline void write_rows(const float* results, Index count, Index width, const Run* runs, int number, Index row_step,
                       float* to) {
    for (int n = 0; n < number; ++n)
        for (Index r = 0; r < count; ++r)
            copy(to + runs[n].from + r * row_step, results + r * width + runs[n].at, runs[n].count);
}

// Calls tile.run<rows, vectors>(arguments) with what is known at run time only; at most kRows and kVectors.
template <int kRows, int kVectors, class Tile, class... Arguments>
inline void tile_of(Index rows, Index width, const Tile& tile, Arguments... arguments) {
    if constexpr (kRows > 1) {
        if (rows < kRows) return tile_of<kRows - 1, kVectors>(rows, width, tile, arguments...);
    }
    if constexpr (kVectors > 1) {
        if (width < kVectors * kLanes) return tile_of<kRows, kVectors - 1>(rows, width, tile, arguments...);
    }
    tile.template run<kRows, kVectors>(arguments...);
}

// What a kernel gets to work on: a panel, and the rows of the result that are its part.
struct Panel {
    int thread;
    Index group, begin, columns;  // first of how many columns
    Index width;                  // these, filled up with zeros to whole vectors
    Index first, last;            // rows of the group's results
    Index k, depth;               // first of how many terms
    bool end;                     // there are no terms behind these
    const float* terms;           // [depth, width]
    const float* sums;            // [2, width], of the terms and of their sizes, if asked for
    float* results;               // [last - first, width], kept from one block of terms to the next
};

// What a sweep goes over.
struct Sweep {
    const float* base;
    const Grid& grid;
    const Index* offsets;       // [depth]
    Index depth, groups, rows;  // terms of one result; groups; rows of results of one group
    Index width, step, block;   // most columns of a panel; rows that a kernel does at a time; most terms at a time

    Index blocks() const { return ceiling(depth, block); }
    Index size() const { return ceiling(depth, blocks()); }  // terms of a block; of the last, what is left

    // Calls kernel(panel) for all panels; the blocks of terms of one panel follow each other in one thread.
    template <bool kSums = false, class Kernel>
    void run(int threads, const Kernel& kernel) const {
        const Index blocks = this->blocks(), size = this->size();
        const Index panels = ceiling(grid.columns(), width), steps = ceiling(rows, step);
        Index parts = 1;  // of the rows, where there are too few panels to keep all threads busy
        while (threads > 1 && parts < steps && groups * panels * parts < 4 * threads) ++parts;
        const Index part = ceiling(steps, parts) * step;
        parts = ceiling(rows, part);
        Scratch<float> terms(threads * size * width), results(threads * part * width), sums(threads * 2 * width);
        Scratch<Run> all_runs(threads * width);
#pragma omp parallel num_threads(threads)
        {
            const int thread = thread_number();
            Panel panel{};
            panel.thread = thread;
            panel.results = results + thread * part * width;
            float *own_terms = terms + thread * size * width, *own_sums = sums + thread * 2 * width;
            panel.terms = own_terms, panel.sums = own_sums;
            Run* runs = all_runs + thread * width;
#pragma omp for schedule(dynamic)
            for (Index item = 0; item < groups * panels * parts; ++item) {
                panel.group = item / parts / panels;
                panel.begin = item / parts % panels * width;
                panel.columns = least(width, grid.columns() - panel.begin);
                panel.width = ceiling(panel.columns, kLanes) * kLanes;
                panel.first = item % parts * part, panel.last = least(panel.first + part, rows);
                const int number = cut(grid, panel.begin, panel.columns, runs);
                const float* from = base + panel.group * grid.group_step;
                for (Index b = 0; b < blocks; ++b) {
                    panel.k = b * size, panel.depth = least(size, depth - panel.k), panel.end = b + 1 == blocks;
                    pack<kSums>(from, runs, number, offsets + panel.k, panel.depth, panel.columns, panel.width,
                                own_terms, own_sums);
                    kernel(panel);
                }
            }
        }
    }
};

}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
