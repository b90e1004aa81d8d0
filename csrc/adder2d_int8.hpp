// The adder layer on bytes: sums of absolute differences, scaled, shifted and rounded to the bytes of the next layer.
#pragma once

#include "adder2d_int8_windows.hpp"
#include "planes.hpp"
#include "threads.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d_int8 {

constexpr Index kPlanes = 1 << 18;  // bytes of planes at a time, for each thread

// How a layer is computed, and how long its filters are then.
struct Plan {
    bool windows;
    Index quads, terms, steps;  // of four terms for a kernel's row; terms, and steps of a tile
    Index tiles, tile_bytes;    // of filters, for a group

    explicit Plan(const Convolution& c) {
#if defined(__AVX512BW__)
        windows = c.kernel[1] >= 3 && c.stride[1] == 1 && c.dilation[1] == 1;
#else
        windows = false;
#endif
        quads = (c.kernel[1] + 3) / 4;
        terms = windows ? c.group_channels() * c.kernel[0] * quads : c.depth();
        steps = windows ? terms : (terms + 7) / 8;
        tiles = ceiling(c.group_filters(), kRows);
        tile_bytes = steps * kRows * (windows ? 4 : 8);
    }
};

// Bytes of all filters of a layer, as `pack_filters` lays them.
inline Index packed_size(const Convolution& c) {
    const Plan plan(c);
    return c.groups * plan.tiles * plan.tile_bytes;
}

// A tile of filters [rows, lines, length], in steps of kStep terms of a line.
template <int kStep>
inline void pack_tile(const Byte* weight, Index rows, Index lines, Index length, Byte* to) {
    for (Index line = 0; line < lines; ++line)
        for (Index at = 0; at < length; at += kStep, to += kRows * kStep)
            for (Index r = 0; r < rows; ++r) {
                const Byte* from = weight + (r * lines + line) * length + at;
                const Index count = least(length - at, kStep);
                if (count == kStep) std::memcpy(to + r * kStep, from, kStep);
                else if (count == 3) std::memcpy(to + r * kStep, from, 3);  // the row of a usual kernel
                else
                    for (Index i = 0; i < count; ++i) to[r * kStep + i] = from[i];
            }
}

// weight [O, C/groups, kh, kw] -> packed; what is added to fill up steps and tiles is zero.
inline void pack_filters(const Convolution& c, const Byte* weight, Byte* packed) {
    const Plan plan(c);
    std::memset(packed, 0, static_cast<std::size_t>(packed_size(c)));
    for (Index group = 0; group < c.groups; ++group)
        for (Index o = 0; o < c.group_filters(); o += kRows, packed += plan.tile_bytes) {
            const Index rows = least(kRows, c.group_filters() - o);
            const Byte* from = weight + (group * c.group_filters() + o) * c.depth();
            if (plan.windows) pack_tile<4>(from, rows, c.group_channels() * c.kernel[0], c.kernel[1], packed);
            else pack_tile<8>(from, rows, 1, c.depth(), packed);
        }
}

// Where outputs lie: in panels they follow each other line by line, and a line takes whole pieces.
struct Lines {
    struct Steps {
        Index line, image;  // from one to the next
    };
    Index number, length, pitch;  // of a picture; outputs of one; columns that it takes in panels
    Steps from, to, added;        // in the planes, in y, in the shortcut

    // Cuts the columns of a panel into runs, of at most `most` columns.
    int cut(Index begin, Index images, Index most, Run* runs) const {
        const Index first = begin / pitch;
        Index column = begin - first * pitch, image = first / number, line = first - image * number;
        int found = 0;
        for (int at = 0; at < kColumns && image < images; column = 0) {
            const Index here = least(pitch - column, kColumns - at), count = least(length - column, here);
            const auto place = [&](const Steps& step) { return image * step.image + line * step.line + column; };
            Run run{place(from), place(to), place(added), at, 0};
            for (Index left = count; left > 0; left -= run.count) {
                run.count = static_cast<int>(least(left, most));
                runs[found++] = run;
                run.from += run.count, run.to += run.count, run.added += run.count, run.at += run.count;
            }
            at += static_cast<int>(here);
            if (++line == number) line = 0, ++image;
        }
        return found;
    }
};

// What a layer's sums become.
struct Rounding {
    const float *scale, *shift;
    Maps<const Byte> shortcut;
    float shortcut_scale;
    Maps<Byte> y;

    // Scales, shifts and rounds the sums of one filter; a shortcut's bytes are scaled and added.
    template <bool kAdds>
    void round(const std::int32_t* sums, const Run* runs, int number, Index filter) const {
        const Floats factor = all(scale[filter]), more = all(shift[filter]), of_shortcut = all(shortcut_scale);
        Byte* to = y.data + filter * y.plane;
        const Byte* added = shortcut.data + filter * shortcut.plane;
        for (const Run* run = runs; run < runs + number; ++run) {
            Floats value = add(multiply(numbers(sums + run->at), factor), more);
            if (kAdds) value = add(value, multiply(load_bytes(added + run->added, run->count), of_shortcut));
            store_bytes(to + run->to, value, run->count);
        }
    }
};

template <class Way>
inline void sweep(const Convolution& c, const Plan& plan, const Planes<Byte>& planes, const Byte* filters,
                  const Rounding& rounding, int threads) {
    Scratch<Index> offsets(plan.terms);
    Index* offset = offsets;
    for (Index channel = 0; channel < c.group_channels(); ++channel)
        for (Index i = 0; i < c.kernel[0]; ++i)
            for (Index j = 0; j < c.kernel[1]; j += plan.windows ? 4 : 1)
                *offset++ = channel * planes.plane + planes.offset(i * c.dilation[0], j * c.dilation[1]);
    const Maps<Byte>& y = rounding.y;
    const Maps<const Byte>& shortcut = rounding.shortcut;
    const Index height = c.output(0), width = c.output(1), from_line = c.stride[0] * planes.row;
    const bool flat = from_line == width && y.row == width && (shortcut.data == nullptr || shortcut.row == width);
    const Lines lines{flat ? 1 : height,  // rows without a gap are one
                      flat ? height * width : width,
                      ceiling(flat ? height * width : width, Way::kAlign) * Way::kAlign,
                      {from_line, c.channels * planes.plane},
                      {y.row, c.filters * y.plane},
                      {shortcut.row, c.filters * shortcut.plane}};
    const Index columns = c.images * lines.number * lines.pitch, panels = ceiling(columns, kColumns);
    Index parts = 1;  // of the filters, where there are too few panels to keep all threads busy
    while (threads > 1 && parts < plan.tiles && c.groups * panels * parts < 4 * threads) ++parts;
    const Index part = ceiling(plan.tiles, parts), panel_bytes = plan.steps * Way::kPanelBytes;
    Scratch<Byte> all_panels(threads * panel_bytes);
#pragma omp parallel num_threads(threads)
    {
        Byte* panel = all_panels + thread_number() * panel_bytes;
        alignas(64) std::int32_t sums[(kRows + 1) * kColumns], extra[kColumns];
        Run runs[kColumns], pieces[kColumns];  // the sums' as they are read; and written, a vector each
#pragma omp for schedule(dynamic)
        for (Index item = 0; item < c.groups * panels * parts; ++item) {
            const Index group = item / parts / panels, begin = item / parts % panels * kColumns;
            const int number = lines.cut(begin, c.images, kColumns, runs);
            const int cuts = lines.cut(begin, c.images, kLanes, pieces);
            const Index end = least(columns - begin, kColumns);
            Way::pack({planes.data + group * c.group_channels() * planes.plane, runs, number, offsets, plan.terms,
                       plan.steps},
                      c.kernel[1], plan.quads, panel, extra);
            for (Index tile = item % parts * part; tile < least(plan.tiles, (item % parts + 1) * part); ++tile) {
                const Byte* own = filters + (group * plan.tiles + tile) * plan.tile_bytes;
                for (Index at = 0; at < end; at += Way::kTile)
                    Way::tile(plan.steps, own, panel + at / Way::kTile * plan.steps * Way::kStepBytes, extra + at,
                              sums + at);
                const Index rows = least(kRows, c.group_filters() - tile * kRows);
                for (Index r = 0; r < rows; ++r) {
                    const Index filter = group * c.group_filters() + tile * kRows + r;
                    if (shortcut.data == nullptr) rounding.round<false>(sums + r * kColumns, pieces, cuts, filter);
                    else rounding.round<true>(sums + r * kColumns, pieces, cuts, filter);
                }
            }
        }
    }
}

// x [N, C, H, W] bytes, filters by pack_filters -> y = round(sum |x - f| * scale[o] + shift[o]), [N, O, H', W'] bytes
// from 0 to 255; with a shortcut, bytes as large as y, plus those times its scale. Padding is `zero`.
inline void forward(const Convolution& c, Maps<const Byte> x, Byte zero, const Byte* filters, const float* scale,
                    const float* shift, Maps<const Byte> shortcut, float shortcut_scale, Maps<Byte> y, int threads) {
    const Plan plan(c);
    const Index picture = c.channels * (c.height + 2 * c.padding[0]) * (c.width + 2 * c.padding[1]);
    Convolution some = c;  // so many pictures at a time that their planes stay in the cache
    some.images = least(c.images, ceiling(threads * kPlanes, picture));
    for (Index first = 0; first < c.images; first += some.images) {
        some.images = least(some.images, c.images - first);
        const Planes<Byte> planes({x.data + first * c.channels * x.plane, x.row, x.plane, x.border},
                                  some.images * c.channels, c.height, c.width,
                                  {c.padding[0], c.padding[0], c.padding[1], c.padding[1]},
                                  {c.kernel[0], c.dilation[0], c.stride[0]}, {c.kernel[1], c.dilation[1], c.stride[1]},
                                  threads, zero, plan.windows ? kSlack : 0);
        const Index done = first * c.filters;
        const Byte* added = shortcut.data == nullptr ? nullptr : shortcut.data + done * shortcut.plane;
        const Rounding rounding{scale,
                                shift,
                                {added, shortcut.row, shortcut.plane, 0},
                                shortcut_scale,
                                {y.data + done * y.plane, y.row, y.plane, 0}};
#if defined(__AVX512BW__)
        if (plan.windows) {
            sweep<Windows>(some, plan, planes, filters, rounding, threads);
            continue;
        }
#endif
        sweep<Blocks>(some, plan, planes, filters, rounding, threads);
    }
}

}  // namespace adder2d_int8
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
