// The inner loops of the adder layer on bytes.
//
// Processors sum absolute differences of bytes by one instruction, in one of two ways. Blocks: eight terms of a pixel
// against eight of a filter. Windows (AVX-512): four terms of a filter's row against a row of the picture at four
// places side by side, twice as many terms at once; a row of three is filled up with a zero, whose terms, the picture's
// bytes, are taken off again.
#pragma once

#include "simd.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace adder2d_int8 {

using Byte = std::uint8_t;
using Index = std::int64_t;

constexpr int kPiece = 8;  // outputs side by side in a row, which are handled together
constexpr int kRows = 8;   // filters of a tile

// A tile's sums over `depth` steps: sums[r][pixel], for a panel of `kPieces` pieces and kRows filters `step` bytes
// apart.
struct Blocks {
#if defined(__AVX512BW__)
    static constexpr int kPieces = 3;
#else
    static constexpr int kPieces = 1;
#endif
    static constexpr int kStepBytes = 8;            // of a filter, at each step
    static constexpr int kPieceBytes = 8 * kPiece;  // of a panel's piece, at each step

    // panel [depth][kPieces][kPiece pixels][8 terms]
    static void tile(Index depth, const Byte* filters, Index step, const Byte* panel, std::int32_t* sums) {
#if defined(__AVX512BW__)
        __m512i sum[kRows][kPieces];
        for (auto& row : sum)
            for (auto& one : row) one = _mm512_setzero_si512();
        for (Index k = 0; k < depth; ++k, panel += kPieces * kPieceBytes) {
            __m512i x[kPieces];
            for (int p = 0; p < kPieces; ++p) x[p] = _mm512_load_si512(panel + p * kPieceBytes);
            for (int r = 0; r < kRows; ++r) {
                std::int64_t terms;
                std::memcpy(&terms, filters + r * step + k * 8, 8);
                const __m512i f = _mm512_set1_epi64(terms);
                for (int p = 0; p < kPieces; ++p) sum[r][p] = _mm512_add_epi64(sum[r][p], _mm512_sad_epu8(x[p], f));
            }
        }
        for (int r = 0; r < kRows; ++r)
            for (int p = 0; p < kPieces; ++p)
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + (r * kPieces + p) * kPiece),
                                    _mm512_cvtepi64_epi32(sum[r][p]));
#elif defined(__AVX2__)
        for (int half = 0; half < kRows; half += kRows / 2) {
            __m256i sum[kRows / 2][2];
            for (auto& row : sum)
                for (auto& one : row) one = _mm256_setzero_si256();
            const Byte* at = panel;
            for (Index k = 0; k < depth; ++k, at += kPieceBytes) {
                const __m256i x[2] = {_mm256_load_si256(reinterpret_cast<const __m256i*>(at)),
                                      _mm256_load_si256(reinterpret_cast<const __m256i*>(at + 32))};
                for (int r = 0; r < kRows / 2; ++r) {
                    long long terms;
                    std::memcpy(&terms, filters + (half + r) * step + k * 8, 8);
                    const __m256i f = _mm256_set1_epi64x(terms);
                    for (int p = 0; p < 2; ++p) sum[r][p] = _mm256_add_epi64(sum[r][p], _mm256_sad_epu8(x[p], f));
                }
            }
            for (int r = 0; r < kRows / 2; ++r)
                for (int p = 0; p < 2; ++p) {
                    long long lane[4];
                    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lane), sum[r][p]);
                    for (int i = 0; i < 4; ++i)
                        sums[(half + r) * kPiece + p * 4 + i] = static_cast<std::int32_t>(lane[i]);
                }
        }
#else
        for (int r = 0; r < kRows; ++r) {
            std::int32_t sum[kPiece] = {};
            for (Index k = 0; k < depth; ++k)
                for (int i = 0; i < kPiece; ++i)
                    for (int term = 0; term < 8; ++term) {
                        const int difference = panel[(k * kPiece + i) * 8 + term] - filters[r * step + k * 8 + term];
                        sum[i] += difference < 0 ? -difference : difference;
                    }
            for (int i = 0; i < kPiece; ++i) sums[r * kPiece + i] = sum[i];
        }
#endif
    }

    // Lays one piece of the panel: bytes of pixels side by side, at the offsets of eight terms a step.
    static void pack(const Byte* from, const Index* offsets, Index terms, Index stride, Byte* panel, std::int32_t*,
                     Index, Index) {
        for (Index k = 0; k < terms; k += 8, panel += stride) {
#if defined(__AVX2__)
            __m128i row[8];
            for (int i = 0; i < 8; ++i)
                row[i] = k + i < terms ? _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + offsets[k + i]))
                                       : _mm_setzero_si128();
            __m128i pairs[4], fours[4];
            for (int i = 0; i < 4; ++i) pairs[i] = _mm_unpacklo_epi8(row[2 * i], row[2 * i + 1]);
            for (int i = 0; i < 2; ++i) {
                fours[2 * i] = _mm_unpacklo_epi16(pairs[2 * i], pairs[2 * i + 1]);
                fours[2 * i + 1] = _mm_unpackhi_epi16(pairs[2 * i], pairs[2 * i + 1]);
            }
            __m128i* to = reinterpret_cast<__m128i*>(panel);
            for (int i = 0; i < 2; ++i) {
                _mm_store_si128(to + 2 * i, _mm_unpacklo_epi32(fours[i], fours[2 + i]));
                _mm_store_si128(to + 2 * i + 1, _mm_unpackhi_epi32(fours[i], fours[2 + i]));
            }
#else
            for (int i = 0; i < kPiece; ++i)
                for (int term = 0; term < 8; ++term)
                    panel[i * 8 + term] = k + term < terms ? from[offsets[k + term] + i] : Byte{0};
#endif
        }
    }
};

#if defined(__AVX512BW__)
struct Windows {
    static constexpr int kPieces = 12;
    static constexpr int kStepBytes = 4;
    static constexpr int kPieceBytes = 16;
    static constexpr int kVectors = kPieces / 4;
    static constexpr Index kSteps = 64;  // so many sums of four differences fit 16 bits

    // Lays one piece of the panel, and sums what the zeros behind a kernel's row meet.
    static void pack(const Byte* from, const Index* offsets, Index steps, Index stride, Byte* panel,
                     std::int32_t* extra, Index kernel, Index quads) {
        __m256i sum = _mm256_setzero_si256();
        const auto copy = [&](const Byte* at) {
            _mm_store_si128(reinterpret_cast<__m128i*>(panel), _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
            panel += stride;
        };
        const auto take = [&](const Byte* at) {
            sum = _mm256_add_epi32(sum, _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
        };
        if (kernel == 3) {  // the usual one, without the loops inside
            for (Index k = 0; k < steps; ++k) {
                copy(from + offsets[k]);
                take(from + offsets[k] + 3);
            }
        } else {
            for (Index k = 0; k < steps; k += quads) {
                for (Index quad = 0; quad < quads; ++quad) copy(from + offsets[k + quad]);
                for (Index behind = kernel; behind < 4 * quads; ++behind) take(from + offsets[k] + behind);
            }
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(extra), sum);
    }

    // panel [depth][kPieces][16 bytes side by side]
    static void tile(Index depth, const Byte* filters, Index step, const Byte* panel, std::int32_t* sums) {
        for (Index begin = 0; begin < depth; begin += kSteps) {
            const Index end = begin + kSteps < depth ? begin + kSteps : depth;
            __m512i sum[kRows][kVectors];
            for (auto& row : sum)
                for (auto& one : row) one = _mm512_setzero_si512();
            for (Index k = begin; k < end; ++k) {
                __m512i x[kVectors];
                for (int v = 0; v < kVectors; ++v)
                    x[v] = _mm512_load_si512(panel + (k * kPieces + 4 * v) * kPieceBytes);
                for (int r = 0; r < kRows; ++r) {
                    std::int32_t terms;
                    std::memcpy(&terms, filters + r * step + k * 4, 4);
                    const __m512i f = _mm512_set1_epi32(terms);
                    for (int v = 0; v < kVectors; ++v)  // of each 16 bytes, the places 0 to 7 and 4 to 11
                        sum[r][v] = _mm512_add_epi16(sum[r][v], _mm512_dbsad_epu8(f, x[v], 0x94));
                }
            }
            for (int r = 0; r < kRows; ++r)
                for (int v = 0; v < kVectors; ++v) {
                    std::int32_t* to = sums + (r * kVectors + v) * 32;
                    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(sum[r][v]));
                    const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(sum[r][v], 1));
                    _mm512_storeu_si512(to, begin ? _mm512_add_epi32(low, _mm512_loadu_si512(to)) : low);
                    _mm512_storeu_si512(to + 16, begin ? _mm512_add_epi32(high, _mm512_loadu_si512(to + 16)) : high);
                }
        }
    }
};
#endif

}  // namespace adder2d_int8
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
