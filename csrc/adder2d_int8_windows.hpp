// The inner loops of the adder layer on bytes where the kernel's rows are wide, in AVX-512.
//
// One instruction compares four terms of a filter's row with a row of the picture at four places side by side: twice as
// many terms as a block of eight. A row of three is filled up with a zero, whose terms, the picture's bytes, are taken
// off again.
#pragma once

#include "adder2d_int8_tiles.hpp"

#if defined(__AVX512BW__)

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d_int8 {

// Panels of [kColumns / kTile][steps][4 pieces][16 bytes, of eight pixels and those behind], filters of
// [steps][kRows][4 terms].
struct Windows {
    static constexpr int kTile = 64, kAlign = 8, kVectors = kTile / 32;
    static constexpr int kStepBytes = 128, kPanelBytes = 2 * kColumns;
    static constexpr Index kSteps = 64;  // so many sums of four differences fit 16 bits

    // Lays a panel, and sums what the zeros behind a kernel's row meet.
    static void pack(const Source& s, Index kernel, Index quads, Byte* panel, std::int32_t* extra) {
        const Byte* pieces[kColumns / kAlign];
        for (const Byte*& piece : pieces) piece = s.data;
        for (int n = 0; n < s.number; ++n)
            for (int at = 0; at < s.runs[n].count; at += kAlign)
                pieces[(s.runs[n].at + at) / kAlign] = s.data + s.runs[n].from + at;
        for (const Byte** p = pieces; p < pieces + kColumns / kAlign; p += 4, panel += 64, extra += 32) {
            const auto follow = [&](int a, int b) { return p[b] == p[a] + 8 * (b - a); };
            if (follow(0, 1) && follow(1, 2) && follow(2, 3)) {
                const __m512i lanes = _mm512_setr_epi64(0, 1, 1, 2, 2, 3, 3, 4);
                lay(s, kernel, quads, panel, extra,
                    [&](Index offset) { return _mm512_permutexvar_epi64(lanes, _mm512_loadu_si512(p[0] + offset)); });
            } else {
                const auto piece = [&](int i, Index offset) {
                    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[i] + offset));
                };
                lay(s, kernel, quads, panel, extra, [&](Index offset) {
                    const __m256i low =
                        _mm256_inserti128_si256(_mm256_castsi128_si256(piece(0, offset)), piece(1, offset), 1);
                    const __m256i high =
                        _mm256_inserti128_si256(_mm256_castsi128_si256(piece(2, offset)), piece(3, offset), 1);
                    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
                });
            }
        }
    }

    template <class Load>
    static void lay(const Source& s, Index kernel, Index quads, Byte* panel, std::int32_t* extra, const Load& load) {
        const __m512i places = _mm512_set4_epi32(static_cast<int>(0x80078006), static_cast<int>(0x80058004),
                                                 static_cast<int>(0x80038002), static_cast<int>(0x80018000));
        __m512i low = _mm512_setzero_si512(), high = low;
        for (Index begin = 0; begin < s.steps; begin += kSteps * quads) {
            const Index end = begin + kSteps * quads < s.steps ? begin + kSteps * quads : s.steps;
            __m512i sum = _mm512_setzero_si512();
            for (Index k = begin; k < end; k += quads) {
                __m512i x = low;
                for (Index quad = 0; quad < quads; ++quad, panel += kStepBytes)
                    _mm512_store_si512(panel, x = load(s.offsets[k + quad]));
                for (Index behind = kernel - 4 * (quads - 1); behind < 4; ++behind) {
                    const __m512i here = _mm512_add_epi16(places, _mm512_set1_epi16(static_cast<short>(behind)));
                    sum = _mm512_add_epi16(sum, _mm512_shuffle_epi8(x, here));
                }
            }
            low = _mm512_add_epi32(low, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(sum)));
            high = _mm512_add_epi32(high, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(sum, 1)));
        }
        _mm512_storeu_si512(extra, low);
        _mm512_storeu_si512(extra + 16, high);
    }

    static void tile(Index steps, const Byte* filters, const Byte* panel, const std::int32_t* extra,
                     std::int32_t* sums) {
        for (Index begin = 0; begin < steps; begin += kSteps) {
            const Index end = begin + kSteps < steps ? begin + kSteps : steps;
            __m512i sum[kRows][kVectors];
            for (auto& row : sum)
                for (auto& one : row) one = _mm512_setzero_si512();
#pragma GCC unroll 2
            for (Index k = begin; k < end; ++k, panel += kStepBytes, filters += kRows * 4) {
                const __m512i x[kVectors] = {_mm512_load_si512(panel), _mm512_load_si512(panel + 64)};
                for (int r = 0; r < kRows; ++r) {
                    std::int32_t terms;
                    std::memcpy(&terms, filters + r * 4, 4);
                    const __m512i f = _mm512_set1_epi32(terms);
                    for (int v = 0; v < kVectors; ++v)  // of each 16 bytes, the places 0 to 7 and 4 to 11
                        sum[r][v] = _mm512_add_epi16(sum[r][v], _mm512_dbsad_epu8(f, x[v], 0x94));
                }
            }
            for (int r = 0; r < kRows; ++r)
                for (int v = 0; v < kVectors; ++v) {
                    const __m512i halves[2] = {_mm512_cvtepu16_epi32(_mm512_castsi512_si256(sum[r][v])),
                                               _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(sum[r][v], 1))};
                    for (int h = 0; h < 2; ++h) {
                        const int at = v * 32 + h * 16;
                        std::int32_t* to = sums + r * kColumns + at;
                        _mm512_storeu_si512(to, begin ? _mm512_add_epi32(halves[h], _mm512_loadu_si512(to))
                                                      : _mm512_sub_epi32(halves[h], _mm512_loadu_si512(extra + at)));
                    }
                }
        }
    }
};

}  // namespace adder2d_int8
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight

#endif
