// What `make sanitize` draws, and the digest of what comes of it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace sanitize {

using Index = std::int64_t;

inline std::mt19937
    engine;  // whose numbers the standard lays down; those of its distributions differ between libraries

inline Index pick(Index low, Index high) {
    return low + static_cast<Index>(engine() % static_cast<Index>(high - low + 1));
}

// From -2 to 2.
inline std::vector<float> floats(Index count, bool zeros = false) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values)
        value = zeros && pick(0, 2) == 0 ? 0.0f : static_cast<float>(pick(-(1 << 23), 1 << 23)) * 0x1p-22f;
    return values;
}

// Numbers of any size, infinite ones, and what is none.
inline std::vector<float> any_floats(Index count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
        const auto bits = static_cast<std::uint32_t>(engine());
        const float special[] = {0.0f, -0.0f, 1e-40f, HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::quiet_NaN()};
        if (pick(0, 9) == 0) value = special[pick(0, 5)];
        else std::memcpy(&value, &bits, sizeof(value));
    }
    return values;
}

// The digest (FNV-1a) of all results that are the same bits with every instruction set and on every processor.
inline std::uint64_t digest;

inline void record(std::uint32_t bits) { digest = (digest ^ bits) * 1099511628211u; }

inline void record(const std::vector<std::uint8_t>& values) {
    for (std::uint8_t value : values) record(std::uint32_t{value});
}

inline void record(const std::vector<float>& values) {
    for (float value : values) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        record(std::isnan(value) ? 0x7FC00000u : bits);  // which of those that are no number, sums choose
    }
}

inline std::vector<std::uint8_t> bytes(Index count) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
    for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(pick(0, 255));
    return values;
}

}  // namespace sanitize
