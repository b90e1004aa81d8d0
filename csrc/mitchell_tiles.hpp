// Products by one integer addition of bit patterns, I(a) + I(b) - I(1): each product and the order in which they are
// added are those of ops/mitchell/reference.py, bit for bit.
//
// Where no factor is infinite or no number, and no product leaves float32's range, a product is one addition and its
// sum another; zeros, which have no logarithm, are left out of the sum. Whether that is so is read off the factors'
// smallest and largest patterns, once. Where it is not, every product is made with all its cases.
#pragma once

#include <cstring>

#include "panels.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {
namespace mitchell {

constexpr std::int32_t kSize = 0x7FFFFFFF, kExponent = 0x7F800000, kFraction = 0x007FFFFF;  // masks
constexpr std::int32_t kOne = 0x3F800000, kLeast = 0x00800000, kInfinity = 0x7F800000, kNan = 0x7FC00000;

#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kRows = 8, kVectors = 3, kSlopeRows = 4;
#elif defined(__AVX2__)
constexpr int kRows = 4, kVectors = 2, kSlopeRows = 2;
#else
constexpr int kRows = 4, kVectors = 1, kSlopeRows = 2;
#endif
constexpr int kWidth = kVectors * kLanes;

inline std::int32_t pattern(float a) {
    std::int32_t bits;
    std::memcpy(&bits, &a, sizeof(bits));
    return bits;
}

inline float number(std::int32_t bits) {
    float a;
    std::memcpy(&a, &bits, sizeof(a));
    return a;
}

// `offset` is the compensation in units of the last bit.
inline float product(float a, float b, std::int32_t offset) {
    const std::int32_t a_size = pattern(a) & kSize, b_size = pattern(b) & kSize;
    const bool zero = a_size < kLeast || b_size < kLeast, infinite = a_size == kInfinity || b_size == kInfinity;
    if (a_size > kInfinity || b_size > kInfinity || (zero && infinite)) return number(kNan);
    std::int64_t size = std::int64_t{a_size} + b_size - kOne + offset;
    if (zero || size < kLeast) size = 0;
    if (infinite || size > kInfinity) size = kInfinity;
    return number(static_cast<std::int32_t>(size) | ((pattern(a) ^ pattern(b)) & ~kSize));
}

// The derivative of product(a, b) along a.
inline float slope(float a, float b, std::int32_t offset) {
    const std::int32_t a_size = pattern(a) & kSize, b_size = pattern(b) & kSize;
    if (a_size > kInfinity || b_size > kInfinity) return number(kNan);
    const std::int32_t fraction = (a_size < kLeast ? 0 : a_size & kFraction) + (b_size & kFraction) + offset;
    std::int64_t size = std::int64_t{b_size & kExponent} + (fraction & ~kFraction);
    if (size > kInfinity) size = kInfinity;
    if (b_size < kLeast) size = 0;
    return number(static_cast<std::int32_t>(size) | (pattern(b) & ~kSize));
}

// The patterns of many numbers, without their signs.
struct Range {
    std::int32_t least = kNan, most = 0;  // of what is not zero; of all
    bool zeros = false, subnormals = false;

    Range(const float* values, Index count, int threads) {
        std::int32_t low = kNan, high = 0;
        int none = 0, tiny = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(min : low) reduction(max : high) \
    reduction(| : none, tiny)
        for (Index at = 0; at < count; ++at) {
            const std::int32_t size = pattern(values[at]) & kSize;
            high = size > high ? size : high;
            low = size >= kLeast && size < low ? size : low;
            none |= size < kLeast;
            tiny |= size > 0 && size < kLeast;
        }
        least = low, most = high, zeros = none != 0, subnormals = tiny != 0;
    }
};

enum class Factors { kUsual, kSomeZero, kAny };  // nothing special; zeros among the rows' factors; anything

inline Factors factors(const Range& columns, const Range& rows, std::int32_t offset) {
    const std::int64_t least = std::int64_t{columns.least} + rows.least - kOne + offset;
    const std::int64_t most = std::int64_t{columns.most} + rows.most - kOne + offset;
    const bool usual = columns.most < kInfinity && rows.most < kInfinity && least >= kLeast && most < kInfinity;
    return !usual ? Factors::kAny : rows.zeros ? Factors::kSomeZero : Factors::kUsual;
}

// sums[r][column] += product(panel[k][column], rows[r][k]) for each k in order.
template <Factors kFactors>
struct Tile {
    template <int kCount, int kVectors>
    void run(Index depth, const float* rows, Index step, const float* panel, std::int32_t offset, float* sums) const {
        constexpr int kWidth = kVectors * kLanes;
        if constexpr (kFactors == Factors::kAny) {
            for (Index k = 0; k < depth; ++k, panel += kWidth)
                for (int r = 0; r < kCount; ++r)
                    for (int at = 0; at < kWidth; ++at)
                        sums[r * kWidth + at] += product(panel[at], rows[r * step + k], offset);
        } else {
            Floats sum[kCount][kVectors];
            for (int r = 0; r < kCount; ++r)
                for (int v = 0; v < kVectors; ++v) sum[r][v] = load(sums + r * kWidth + v * kLanes);
            const Ints shift = all_bits(offset - kOne), exponent = all_bits(kExponent);
            for (Index k = 0; k < depth; ++k, panel += kWidth) {
                Ints x[kVectors];
                Lanes some[kVectors];
                for (int v = 0; v < kVectors; ++v) {
                    const Ints column = bits(load(panel + v * kLanes));
                    some[v] = meet(column, exponent);
                    x[v] = add(column, shift);
                }
                for (int r = 0; r < kCount; ++r) {
                    const std::int32_t factor = pattern(rows[r * step + k]);
                    if (kFactors == Factors::kSomeZero && (factor & kExponent) == 0) continue;
                    const Ints f = all_bits(factor);
                    for (int v = 0; v < kVectors; ++v) sum[r][v] = add_in(some[v], sum[r][v], floats(add(x[v], f)));
                }
            }
            for (int r = 0; r < kCount; ++r)
                for (int v = 0; v < kVectors; ++v) store(sums + r * kWidth + v * kLanes, sum[r][v]);
        }
    }
};

// sums[r][column] += product(panel[k][column], slope(own[r][column], rows[r][k])) for each k in order.
template <Factors kFactors>
struct SlopeTile {
    template <int kCount, int kVectors>
    void run(Index depth, const float* rows, Index step, const float* panel, const float* own, std::int32_t offset,
             float* sums) const {
        constexpr int kWidth = kVectors * kLanes;
        if constexpr (kFactors == Factors::kAny) {
            for (Index k = 0; k < depth; ++k, panel += kWidth)
                for (int r = 0; r < kCount; ++r)
                    for (int at = 0; at < kWidth; ++at) {
                        const float by = slope(own[r * kWidth + at], rows[r * step + k], offset);
                        sums[r * kWidth + at] += product(panel[at], by, 0);
                    }
        } else {
            Floats sum[kCount][kVectors];
            Ints fraction[kCount][kVectors];
            const Ints exponent = all_bits(kExponent), shift = all_bits(-kOne), mask = all_bits(kFraction);
            for (int r = 0; r < kCount; ++r)
                for (int v = 0; v < kVectors; ++v) {
                    sum[r][v] = load(sums + r * kWidth + v * kLanes);
                    fraction[r][v] = add(both(bits(load(own + r * kWidth + v * kLanes)), mask), all_bits(offset));
                }
            for (Index k = 0; k < depth; ++k, panel += kWidth) {
                Ints grad[kVectors];
                Lanes some[kVectors];
                for (int v = 0; v < kVectors; ++v) {
                    grad[v] = bits(load(panel + v * kLanes));
                    some[v] = meet(grad[v], exponent);
                    grad[v] = add(grad[v], shift);
                }
                for (int r = 0; r < kCount; ++r) {
                    const std::int32_t factor = pattern(rows[r * step + k]);
                    if (kFactors == Factors::kSomeZero && (factor & kExponent) == 0) continue;
                    const Ints own_fraction = all_bits(factor & kFraction), power = all_bits(factor & ~kFraction);
                    for (int v = 0; v < kVectors; ++v) {
                        const Ints carry = both(add(fraction[r][v], own_fraction), exponent);
                        sum[r][v] = add_in(some[v], sum[r][v], floats(add(add(grad[v], power), carry)));
                    }
                }
            }
            for (int r = 0; r < kCount; ++r)
                for (int v = 0; v < kVectors; ++v) store(sums + r * kWidth + v * kLanes, sum[r][v]);
        }
    }
};

inline Factors slope_factors(const Range& columns, const Range& rows, const Range& own) {
    const std::int64_t least = std::int64_t{columns.least} + (rows.least & kExponent) - kOne;
    const std::int64_t most_slope = std::int64_t{rows.most & kExponent} + 2 * kLeast;
    const std::int64_t most = columns.most + most_slope - kOne;
    const bool usual = columns.most < kInfinity && most_slope < kInfinity && least >= kLeast && most < kInfinity &&
                       own.most <= kInfinity && !own.subnormals;
    return !usual ? Factors::kAny : rows.zeros ? Factors::kSomeZero : Factors::kUsual;
}

}  // namespace mitchell
}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
