// Pruned weights that share values: from symbols to weights.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace featherweight {

// Writes the weights that are not zero. A position is how many zeros come before a weight; 255 is so many zeros, and no
// weight behind them. Throws std::invalid_argument where the symbols are not those of so many weights.
inline void place_weights(const std::uint8_t* positions, std::int64_t symbols, const std::uint8_t* indices,
                          std::int64_t kept, const float* codebook, std::int64_t centroids, float* weights,
                          std::int64_t count) {
    constexpr std::uint8_t kEscape = 255;
    std::int64_t place = 0, weight = 0;
    for (std::int64_t at = 0; at < symbols; ++at) {
        place += positions[at];
        if (positions[at] == kEscape) continue;
        if (place >= count) throw std::invalid_argument("a position lies behind the last weight");
        if (weight >= kept) throw std::invalid_argument("there are more positions than indices");
        if (indices[weight] >= centroids) throw std::invalid_argument("an index lies behind the last centroid");
        weights[place++] = codebook[indices[weight++]];
    }
    if (weight != kept) throw std::invalid_argument("there are fewer positions than indices");
    if (symbols > 0 && positions[symbols - 1] == kEscape)
        throw std::invalid_argument("zeros come after the last weight");
}

}  // namespace featherweight
