// The adder layer on bytes: sums of absolute differences, scaled, shifted and rounded to the bytes of the next layer.
#pragma once

#include <cmath>

#include "adder2d_int8_tiles.hpp"
#include "convolution.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d_int8 {

// How a layer is computed, and how long its filters are then.
struct Plan {
    bool windows;
    Index quads, steps, filter_bytes;  // of four terms for a kernel's row; steps of a tile; bytes of one filter

    explicit Plan(const Convolution& c) {
#if defined(__AVX512BW__)
        windows = c.kernel[1] >= 3 && c.stride[1] == 1 && c.dilation[1] == 1;
#else
        windows = false;
#endif
        quads = (c.kernel[1] + 3) / 4;
        steps = windows ? c.group_channels() * c.kernel[0] * quads : (c.depth() + 7) / 8;
        filter_bytes = steps * (windows ? 4 : 8);
    }
};

inline Index rounded_up(Index count, Index step) { return (count + step - 1) / step * step; }

// Bytes of all filters of a layer, as `pack_filters` lays them.
inline Index packed_size(const Convolution& c) {
    return c.groups * rounded_up(c.group_filters(), kRows) * Plan(c).filter_bytes;
}

// weight [O, C/groups, kh, kw] -> packed; what is added to fill up steps and tiles is zero.
inline void pack_filters(const Convolution& c, const Byte* weight, Byte* packed) {
    const Plan plan(c);
    std::memset(packed, 0, static_cast<std::size_t>(packed_size(c)));
    const Index rows = c.group_channels() * c.kernel[0], width = plan.windows ? 4 * plan.quads : c.kernel[1];
    for (Index o = 0; o < c.filters; ++o) {
        const Index group = o / c.group_filters(), own = o % c.group_filters();
        Byte* to = packed + (group * rounded_up(c.group_filters(), kRows) + own) * plan.filter_bytes;
        for (Index row = 0; row < rows; ++row)
            std::memcpy(to + row * width, weight + (o * rows + row) * c.kernel[1],
                        static_cast<std::size_t>(c.kernel[1]));
    }
}

// Pictures with `zero` around them, each row's columns sorted by what remains after division by the stride; behind
// all of them some bytes that may be read.
struct Planes {
    static constexpr Index kSlack = 64;
    Index phase, row, plane;
    Scratch<Byte> copy;

    Planes(const Convolution& c, const Byte* x, Byte zero, int threads)
        : phase((c.width + 2 * c.padding[1] + c.stride[1] - 1) / c.stride[1]),
          row(phase * c.stride[1]),
          plane((c.height + 2 * c.padding[0]) * row),
          copy(c.images * c.channels * plane + kSlack) {
        const Index lines = c.height + 2 * c.padding[0], stride = c.stride[1], left = c.padding[1];
        struct Columns {
            Index from, to, count;  // first in the picture, first in the row, how many
        };
        Scratch<Columns> some(stride);
        for (Index remainder = 0; remainder < stride; ++remainder) {
            const Index first = (remainder + stride - left % stride) % stride;
            const Index count = first < c.width ? (c.width - first + stride - 1) / stride : 0;
            some[remainder] = {first, remainder * phase + (first + left) / stride, count};
        }
#pragma omp parallel for num_threads(threads) schedule(static)
        for (Index p = 0; p < c.images * c.channels; ++p) {
            Byte* out = copy + p * plane;
            for (Index i = 0; i < lines; ++i, out += row) {
                const Index line = i - c.padding[0];
                std::memset(out, zero, static_cast<std::size_t>(row));
                if (line < 0 || line >= c.height) continue;
                const Byte* from = x + (p * c.height + line) * c.width;
                if (stride == 1) {
                    std::memcpy(out + left, from, static_cast<std::size_t>(c.width));
                    continue;
                }
                for (Index remainder = 0; remainder < stride; ++remainder) {
                    Byte* to = out + some[remainder].to;
                    const Byte* first = from + some[remainder].from;
                    const Index count = some[remainder].count;
                    if (stride == 2) {  // which a compiler makes vectors of
                        for (Index at = 0; at < count; ++at) to[at] = first[2 * at];
                    } else {
                        for (Index at = 0; at < count; ++at) to[at] = first[stride * at];
                    }
                }
            }
        }
    }
};

// Scales, shifts and rounds `count` sums of one filter side by side to bytes; a shortcut's bytes are scaled and added.
inline void to_bytes(const std::int32_t* sums, const std::int32_t* extra, Index count, float scale, float shift,
                     const Byte* shortcut, float shortcut_scale, Byte* y) {
#if defined(__AVX512BW__)
    const bool whole = count == 16;
    const __mmask16 some = static_cast<__mmask16>((1u << count) - 1u);
    __m512i sum = _mm512_loadu_si512(sums);
    if (extra != nullptr) sum = _mm512_sub_epi32(sum, _mm512_loadu_si512(extra));
    __m512 value = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale)), _mm512_set1_ps(shift));
    if (shortcut != nullptr) {
        const __m128i own =
            whole ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(shortcut)) : _mm_maskz_loadu_epi8(some, shortcut);
        const __m512 bytes = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(own));
        value = _mm512_add_ps(value, _mm512_mul_ps(bytes, _mm512_set1_ps(shortcut_scale)));
    }
    value = _mm512_max_ps(_mm512_setzero_ps(), _mm512_min_ps(value, _mm512_set1_ps(255.0f)));
    const __m128i rounded = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
    if (whole) _mm_storeu_si128(reinterpret_cast<__m128i*>(y), rounded);
    else _mm_mask_storeu_epi8(y, some, rounded);
#else
    for (Index i = 0; i < count; ++i) {
        float value = static_cast<float>(sums[i] - (extra == nullptr ? 0 : extra[i])) * scale + shift;
        if (shortcut != nullptr) value += static_cast<float>(shortcut[i]) * shortcut_scale;
        value = value < 255.0f ? value : 255.0f;
        value = value > 0.0f ? value : 0.0f;
        y[i] = static_cast<Byte>(std::nearbyintf(value));
    }
#endif
}

struct Piece {
    Index from, to, count;  // in the planes of the group's first channel; in y, first channel; outputs
};

template <class Way>
inline void sweep(const Convolution& c, const Plan& plan, const Planes& planes, const Byte* filters, const float* scale,
                  const float* shift, const Byte* shortcut, float shortcut_scale, Byte* y, int threads) {
    constexpr int kPieces = Way::kPieces, kWidth = kPieces * kPiece;
    const Index terms = plan.windows ? plan.steps : c.depth();
    Scratch<Index> offsets(terms);
    for (Index k = 0; k < terms; ++k) {
        const Index columns = plan.windows ? plan.quads : c.kernel[1], row = k / columns;
        const Index channel = row / c.kernel[0], down = row % c.kernel[0] * c.dilation[0];
        const Index right = k % columns * (plan.windows ? 4 : c.dilation[1]);
        offsets[k] =
            channel * planes.plane + down * planes.row + right % c.stride[1] * planes.phase + right / c.stride[1];
    }
    const Index height = c.output(0), width = c.output(1), pixels = height * width;
    const bool flat = c.stride[0] * planes.row == width;  // rows without a gap are one
    const Index lines = flat ? 1 : height, length = pixels / lines, line_pieces = (length + kPiece - 1) / kPiece;
    const Index pieces = c.images * lines * line_pieces, panels = (pieces + kPieces - 1) / kPieces;
    const Index group_filters = c.group_filters(), tiles = (group_filters + kRows - 1) / kRows;
    Index parts = 1;
    while (threads > 1 && parts < tiles && c.groups * panels * parts < 4 * threads) ++parts;
    const Index part = (tiles + parts - 1) / parts * kRows;
    const Index panel_bytes = plan.steps * kPieces * Way::kPieceBytes;
    Scratch<Byte> all_panels(threads * panel_bytes);
    Scratch<std::int32_t> all_sums(threads * (kRows + 1) * kWidth + kPiece);  // the last piece is read as two
#pragma omp parallel num_threads(threads)
    {
        const int thread = thread_number();
        Byte* panel = all_panels + thread * panel_bytes;
        std::int32_t *sums = all_sums + thread * (kRows + 1) * kWidth, *extra = sums + kRows * kWidth;
        Piece own[kPieces];
#pragma omp for schedule(dynamic)
        for (Index item = 0; item < c.groups * panels * parts; ++item) {
            const Index group = item / parts / panels, begin = item / parts % panels * kPieces;
            std::memset(extra, 0, sizeof(std::int32_t) * kWidth);
            Index line = begin / line_pieces, at = begin % line_pieces * kPiece;
            for (int p = 0; p < kPieces; ++p) {
                if (begin + p >= pieces) {
                    own[p] = {0, 0, 0};
                    continue;
                }
                const Index image = line / lines, row = line % lines;
                own[p] = {(image * c.channels + group * c.group_channels()) * planes.plane +
                              row * c.stride[0] * planes.row + at,
                          image * c.filters * pixels + row * length + at, length - at < kPiece ? length - at : kPiece};
                Way::pack(planes.copy + own[p].from, offsets, terms, Index{kPieces} * Way::kPieceBytes,
                          panel + p * Way::kPieceBytes, extra + p * kPiece, c.kernel[1], plan.quads);
                at += kPiece;
                if (at >= length) at = 0, ++line;
            }
            const Index first = item % parts * part, last = first + part < group_filters ? first + part : group_filters;
            for (Index o = first; o < last; o += kRows) {
                const Index row = group * rounded_up(group_filters, kRows) + o;
                Way::tile(plan.steps, filters + row * plan.filter_bytes, plan.filter_bytes, panel, sums);
                for (Index r = 0; r < kRows && o + r < last; ++r) {
                    const Index filter = group * group_filters + o + r;
                    for (int p = 0; p < kPieces; ++p) {
                        int next = p;  // pieces that lie side by side are written together
                        Index count = own[p].count;
                        while (count == (next - p + 1) * kPiece && next - p < 1 && next + 1 < kPieces &&
                               own[next + 1].count > 0 && own[next + 1].to == own[p].to + count)
                            count += own[++next].count;
                        if (count == 0) break;
                        const Index to = own[p].to + filter * pixels;
                        to_bytes(sums + r * kWidth + p * kPiece, plan.windows ? extra + p * kPiece : nullptr, count,
                                 scale[filter], shift[filter], shortcut == nullptr ? nullptr : shortcut + to,
                                 shortcut_scale, y + to);
                        p = next;
                    }
                }
            }
        }
    }
}

// x [N, C, H, W] bytes, filters by pack_filters -> y = round(sum |x - f| * scale[o] + shift[o]), [N, O, H', W'] bytes
// from 0 to 255; with a shortcut, bytes as large as y, plus those times its scale. Padding is `zero`.
inline void forward(const Convolution& c, const Byte* x, Byte zero, const Byte* filters, const float* scale,
                    const float* shift, const Byte* shortcut, float shortcut_scale, Byte* y, int threads) {
    const Plan plan(c);
    const Planes planes(c, x, zero, threads);
#if defined(__AVX512BW__)
    if (plan.windows) {
        sweep<Windows>(c, plan, planes, filters, scale, shift, shortcut, shortcut_scale, y, threads);
        return;
    }
#endif
    sweep<Blocks>(c, plan, planes, filters, scale, shift, shortcut, shortcut_scale, y, threads);
}

}  // namespace adder2d_int8
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
