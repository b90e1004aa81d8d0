// The entropy coders on random symbols, and their decoders on damaged bytes.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "huffman.hpp"
#include "rans.hpp"
#include "sanitize.hpp"
#include "shared_weights.hpp"

namespace sanitize {

namespace fw = featherweight;

// Codes symbols and decodes them; then decodes damaged bytes, which either throws or gives other symbols.
template <class Code>
void decode(const Code& code, const std::vector<std::uint8_t>& symbols, std::vector<std::uint8_t> data) {
    const auto count = static_cast<Index>(symbols.size());
    std::vector<std::uint8_t> decoded(symbols.size());
    code.decode(data.data(), static_cast<Index>(data.size()), decoded.data(), count);
    if (decoded != symbols) std::exit((std::puts("an entropy coder is wrong"), 1));
    record(data);
    for (int damage = 0; damage < 20; ++damage) {
        if (!data.empty()) data[static_cast<std::size_t>(pick(0, static_cast<Index>(data.size()) - 1))] ^= pick(1, 255);
        if (pick(0, 3) == 0) data.resize(static_cast<std::size_t>(pick(0, static_cast<Index>(data.size()))));
        const std::vector<std::uint8_t> exact(data);
        try {
            code.decode(exact.data(), static_cast<Index>(exact.size()), decoded.data(), count);
        } catch (const std::invalid_argument&) {
        }
        record(decoded);
    }
}

inline void entropy() {
    std::vector<std::uint8_t> lengths(1);
    for (Index splits = pick(1, 255); splits > 0; --splits) {
        std::uint8_t& length = lengths[static_cast<std::size_t>(pick(0, static_cast<Index>(lengths.size()) - 1))];
        if (length == fw::Huffman::kLongest) continue;
        const std::uint8_t longer = ++length;
        lengths.push_back(longer);
    }
    std::vector<std::uint32_t> frequencies(lengths.size(), 1);
    frequencies[0] += fw::Rans::kTotal - static_cast<std::uint32_t>(lengths.size());
    auto symbols = bytes(pick(0, 3000));
    for (std::uint8_t& symbol : symbols) symbol = pick(0, 2) ? 0 : static_cast<std::uint8_t>(symbol % lengths.size());
    const auto count = static_cast<Index>(symbols.size()), alphabet = static_cast<Index>(lengths.size());
    const fw::Huffman huffman(lengths.data(), alphabet);
    std::vector<std::uint8_t> data(static_cast<std::size_t>(huffman.size(symbols.data(), count)));
    huffman.encode(symbols.data(), count, data.data());
    decode(huffman, symbols, data);
    const fw::Rans rans(frequencies.data(), alphabet);
    data.resize(static_cast<std::size_t>(fw::Rans::most(count)));
    data.erase(data.begin(), data.end() - rans.encode(symbols.data(), count, data.data()));
    decode(rans, symbols, data);
    const auto codebook = floats(pick(1, 256));
    const auto indices = bytes(pick(0, count));
    std::vector<float> weights(static_cast<std::size_t>(pick(0, 3 * count)));
    try {
        fw::place_weights(symbols.data(), count, indices.data(), static_cast<Index>(indices.size()), codebook.data(),
                          static_cast<Index>(codebook.size()), weights.data(), static_cast<Index>(weights.size()));
    } catch (const std::invalid_argument&) {
    }
    record(weights);
}

}  // namespace sanitize
