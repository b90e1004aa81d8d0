// The inner loops of the adder layer on bytes.
//
// Processors sum absolute differences of bytes by one instruction, in one of two ways. Blocks, here: eight terms of a
// pixel against eight of a filter. Windows (AVX-512) are in a file of their own.
#pragma once

#include "bytes.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d_int8 {

constexpr int kColumns = 64;  // outputs of a panel
constexpr int kRows = 8;      // filters of a tile

// Outputs of a panel that lie side by side in memory.
struct Run {
    Index from, to, added;  // of the first channel: of the group in the planes, of y, of the shortcut
    int at, count;          // in the panel
};

// Of a panel: the planes' first pixel, where its runs are, and the offsets of the terms.
struct Source {
    const Byte* data;
    const Run* runs;
    int number;
    const Index* offsets;
    Index terms, steps;
};

// Panels of [kColumns / kTile][steps][kTile pixels][8 terms], filters of [steps][kRows][8 terms].
struct Blocks {
    static constexpr int kTile = 16, kAlign = 1;  // columns of a tile; those that lie side by side in any case
    static constexpr int kStepBytes = 128, kPanelBytes = 8 * kColumns;  // of a tile and of a panel, at each step

    // sums[r][column] over all steps of one tile.
    static void tile(Index steps, const Byte* filters, const Byte* panel, const std::int32_t*, std::int32_t* sums) {
#if defined(__AVX512BW__)
        __m512i sum[kRows][2];
        for (auto& row : sum)
            for (auto& one : row) one = _mm512_setzero_si512();
#pragma GCC unroll 2
        for (Index k = 0; k < steps; ++k, panel += 128, filters += kRows * 8) {
            const __m512i x[2] = {_mm512_load_si512(panel), _mm512_load_si512(panel + 64)};
            for (int r = 0; r < kRows; ++r) {
                std::int64_t terms;
                std::memcpy(&terms, filters + r * 8, 8);
                const __m512i f = _mm512_set1_epi64(terms);
                for (int p = 0; p < 2; ++p) sum[r][p] = _mm512_add_epi64(sum[r][p], _mm512_sad_epu8(x[p], f));
            }
        }
        const __m512i low = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        for (int r = 0; r < kRows; ++r)
            _mm512_storeu_si512(sums + r * kColumns, _mm512_permutex2var_epi32(sum[r][0], low, sum[r][1]));
#elif defined(__AVX2__)
        for (int part = 0; part < 4; ++part) {  // of eight pixels and four filters
            const int pixel = part / 2 * 8, row = part % 2 * 4;
            __m256i sum[4][2];
            for (auto& one : sum) one[0] = one[1] = _mm256_setzero_si256();
            const __m256i* at = reinterpret_cast<const __m256i*>(panel + pixel * 8);
            const Byte* f = filters + row * 8;
            for (Index k = 0; k < steps; ++k, at += 4, f += kRows * 8) {
                const __m256i x[2] = {_mm256_load_si256(at), _mm256_load_si256(at + 1)};
                for (int r = 0; r < 4; ++r) {
                    long long terms;
                    std::memcpy(&terms, f + r * 8, 8);
                    for (int p = 0; p < 2; ++p)
                        sum[r][p] = _mm256_add_epi64(sum[r][p], _mm256_sad_epu8(x[p], _mm256_set1_epi64x(terms)));
                }
            }
            for (int r = 0; r < 4; ++r) {
                const __m256i both = _mm256_castps_si256(
                    _mm256_shuffle_ps(_mm256_castsi256_ps(sum[r][0]), _mm256_castsi256_ps(sum[r][1]), 0x88));
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + (row + r) * kColumns + pixel),
                                    _mm256_permute4x64_epi64(both, 0xd8));
            }
        }
#else
        for (int r = 0; r < kRows; ++r) {
            std::int32_t sum[kTile] = {};
            for (Index k = 0; k < steps; ++k)
                for (int i = 0; i < kTile; ++i)
                    for (int term = 0; term < 8; ++term) {
                        const int difference = panel[(k * kTile + i) * 8 + term] - filters[(k * kRows + r) * 8 + term];
                        sum[i] += difference < 0 ? -difference : difference;
                    }
            for (int i = 0; i < kTile; ++i) sums[r * kColumns + i] = sum[i];
        }
#endif
    }

#if defined(__AVX512BW__)
    static void pack(const Source& s, Index, Index, Byte* panel, std::int32_t*) {
        const Index tile = s.steps * 128;
        for (int begin = 0; begin < kColumns; begin += 32, panel += 2 * tile) {
            struct {
                const Byte* from;
                __mmask32 mask;
            } parts[32];
            int number = 0;
            for (int n = 0; n < s.number; ++n) {
                const Run& run = s.runs[n];
                const int low = run.at > begin ? run.at - begin : 0;
                const int high = run.at + run.count < begin + 32 ? run.at + run.count - begin : 32;
                if (low >= high) continue;
                const auto mask = static_cast<__mmask32>(((std::uint64_t{1} << high) - 1) & (~std::uint64_t{0} << low));
                parts[number++] = {s.data + run.from + begin - run.at, mask};
            }
            if (number == 0) return;
            if (number == 1 && parts[0].mask == ~__mmask32{0}) {
                turn(s, panel, tile, [&](Index offset) {
                    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(parts[0].from + offset));
                });
            } else {
                turn(s, panel, tile, [&](Index offset) {
                    __m256i row = _mm256_maskz_loadu_epi8(parts[0].mask, parts[0].from + offset);
                    for (int n = 1; n < number; ++n)
                        row = _mm256_mask_loadu_epi8(row, parts[n].mask, parts[n].from + offset);
                    return row;
                });
            }
        }
    }

    // From rows of 32 pixels, one for each term, to eight terms of each pixel, in two tiles.
    template <class Load>
    static void turn(const Source& s, Byte* panel, Index tile, const Load& load) {
        const __m512i left = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27);
        const __m512i right = _mm512_add_epi32(left, _mm512_set1_epi32(4));
        for (Index k = 0; k < s.terms; k += 8, panel += 128) {
            const auto row = [&](Index term) {
                return term < s.terms ? load(s.offsets[term]) : _mm256_setzero_si256();
            };
            __m512i rows[4];  // terms 0 and 4, 1 and 5, ...
            for (int i = 0; i < 4; ++i)
                rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(row(k + i)), row(k + 4 + i), 1);
            const __m512i low[2] = {_mm512_unpacklo_epi8(rows[0], rows[1]), _mm512_unpacklo_epi8(rows[2], rows[3])};
            const __m512i high[2] = {_mm512_unpackhi_epi8(rows[0], rows[1]), _mm512_unpackhi_epi8(rows[2], rows[3])};
            const __m512i fours[4] = {// four terms of pixels 0 to 3, 4 to 7, ..., and 16 pixels behind them
                                      _mm512_unpacklo_epi16(low[0], low[1]), _mm512_unpackhi_epi16(low[0], low[1]),
                                      _mm512_unpacklo_epi16(high[0], high[1]), _mm512_unpackhi_epi16(high[0], high[1])};
            for (int half = 0; half < 2; ++half) {
                const __m512i &a = fours[2 * half], &b = fours[2 * half + 1];
                _mm512_store_si512(panel + 64 * half, _mm512_permutex2var_epi32(a, left, b));
                _mm512_store_si512(panel + tile + 64 * half, _mm512_permutex2var_epi32(a, right, b));
            }
        }
    }
#else
    static void pack(const Source& s, Index, Index, Byte* panel, std::int32_t*) {
        for (int begin = 0, n = 0; begin < kColumns && n < s.number; begin += kTile) {
            const Byte* first = s.data + s.runs[n].from + begin - s.runs[n].at;
            const bool whole = s.runs[n].at <= begin && s.runs[n].at + s.runs[n].count >= begin + kTile;
            Byte own[8][kTile] = {};
            for (Index k = 0; k < s.terms; k += 8, panel += 8 * kTile) {
                const Byte* rows[8];
                for (int i = 0; i < 8; ++i) {
                    rows[i] = own[i];
                    if (k + i >= s.terms) std::memset(own[i], 0, kTile);
                    else if (whole) rows[i] = first + s.offsets[k + i];
                    else gather(s, n, begin, s.data + s.offsets[k + i], own[i]);
                }
                turn(rows, panel);
            }
            while (n < s.number && s.runs[n].at + s.runs[n].count <= begin + kTile) ++n;
        }
    }

    static void gather(const Source& s, int n, int begin, const Byte* from, Byte* to) {
        for (; n < s.number && s.runs[n].at < begin + kTile; ++n) {
            const Run& run = s.runs[n];
            const int low = run.at > begin ? run.at : begin;
            const int high = run.at + run.count < begin + kTile ? run.at + run.count : begin + kTile;
            const Byte* first = from + run.from + low - run.at;
            if (high - low == kTile / 2) std::memcpy(to + low - begin, first, kTile / 2);
            else std::memcpy(to + low - begin, first, static_cast<std::size_t>(high - low));
        }
    }

    // From rows of kTile pixels, one for each term, to eight terms of each pixel.
    static void turn(const Byte* const* rows, Byte* panel) {
#if defined(__AVX2__)
        __m128i row[8];
        for (int i = 0; i < 8; ++i) row[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i]));
        __m128i* to = reinterpret_cast<__m128i*>(panel);
        for (int half = 0; half < 2; ++half, to += 4) {
            __m128i pairs[4], fours[4];
            for (int i = 0; i < 4; ++i)
                pairs[i] = half ? _mm_unpackhi_epi8(row[2 * i], row[2 * i + 1])
                                : _mm_unpacklo_epi8(row[2 * i], row[2 * i + 1]);
            for (int i = 0; i < 2; ++i) {
                fours[2 * i] = _mm_unpacklo_epi16(pairs[2 * i], pairs[2 * i + 1]);
                fours[2 * i + 1] = _mm_unpackhi_epi16(pairs[2 * i], pairs[2 * i + 1]);
            }
            for (int i = 0; i < 2; ++i) {
                _mm_store_si128(to + 2 * i, _mm_unpacklo_epi32(fours[i], fours[2 + i]));
                _mm_store_si128(to + 2 * i + 1, _mm_unpackhi_epi32(fours[i], fours[2 + i]));
            }
        }
#else
        for (int i = 0; i < kTile; ++i)
            for (int term = 0; term < 8; ++term) panel[i * 8 + term] = rows[term][i];
#endif
    }
#endif
};

}  // namespace adder2d_int8
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
