// Range asymmetric numeral systems (Duda, 2013, https://arxiv.org/abs/1311.2540) on bytes, with a table of frequencies
// that sum to 2^15: four states in turn, so that their chains of multiplications overlap. A state is in [2^16, 2^32)
// and gives or takes 16 bits at a time. The coder writes from the end, so that the decoder reads from the beginning:
// the four states, then words; all numbers are little-endian.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace featherweight {

class Rans {
  public:
    static constexpr int kLanes = 4;
    static constexpr std::uint32_t kBits = 15, kTotal = 1u << kBits, kLeast = 1u << 16;

    // How often each symbol 0, 1, ... comes, of kTotal. Throws std::invalid_argument where that is no such table.
    Rans(const std::uint32_t* frequencies, std::int64_t symbols) {
        if (symbols < 1 || symbols > 256) throw std::invalid_argument("a table is for 1 to 256 symbols");
        std::uint32_t sum = 0;
        for (std::int64_t symbol = 0; symbol < symbols; ++symbol) {
            if (frequencies[symbol] > kTotal - sum) throw std::invalid_argument("the frequencies sum to over 2^15");
            range_[static_cast<std::size_t>(symbol)] = {sum, frequencies[symbol]};
            sum += frequencies[symbol];
        }
        if (sum != kTotal) throw std::invalid_argument("the frequencies sum to less than 2^15");
    }

    // Codes into the end of out, which has room for `most(count)` bytes, and returns how many it took.
    std::int64_t encode(const std::uint8_t* symbols, std::int64_t count, std::uint8_t* out) const {
        std::array<std::uint32_t, kLanes> states;
        states.fill(kLeast);
        std::uint8_t* const end = out + most(count);
        std::uint8_t* to = end;
        for (std::int64_t at = count - 1; at >= 0; --at) {
            const auto [start, frequency] = range_[symbols[at]];
            if (frequency == 0) throw std::invalid_argument("a symbol has no frequency");
            std::uint32_t& state = states[static_cast<std::size_t>(at % kLanes)];
            if (state >= static_cast<std::uint64_t>(frequency) << (32 - kBits)) {
                *--to = static_cast<std::uint8_t>(state >> 8), *--to = static_cast<std::uint8_t>(state);
                state >>= 16;
            }
            state = (state / frequency << kBits) + state % frequency + start;
        }
        for (std::size_t lane = kLanes; lane-- > 0;)
            for (int shift = 24; shift >= 0; shift -= 8) *--to = static_cast<std::uint8_t>(states[lane] >> shift);
        return end - to;
    }

    static std::int64_t most(std::int64_t count) { return 2 * count + 4 * kLanes; }

    // Throws std::invalid_argument where the bytes are not those of so many symbols.
    void decode(const std::uint8_t* data, std::int64_t bytes, std::uint8_t* symbols, std::int64_t count) const {
        if (bytes < 4 * kLanes) throw std::invalid_argument("the stream ends in its states");
        const std::vector<std::uint8_t> symbol_at = slots();
        const std::uint8_t *const end = data + bytes, *from = data + 4 * kLanes;
        std::array<std::uint32_t, kLanes> states{};
        for (std::size_t lane = 0; lane < kLanes; ++lane)
            for (std::size_t byte = 0; byte < 4; ++byte)
                states[lane] |= static_cast<std::uint32_t>(data[4 * lane + byte]) << (8 * byte);
        const auto next = [&](std::uint32_t& state) {
            const std::uint8_t symbol = symbol_at[state & (kTotal - 1)];
            const auto [start, frequency] = range_[symbol];
            state = frequency * (state >> kBits) + (state & (kTotal - 1)) - start;
            return symbol;
        };
        const auto refill = [&](std::uint32_t& state) {
            if (state < kLeast) state = state << 16 | from[0] | static_cast<std::uint32_t>(from[1]) << 8, from += 2;
        };
        std::int64_t at = 0;
        for (; count - at >= kLanes && end - from >= 2 * kLanes; at += kLanes)
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
                symbols[at + static_cast<std::int64_t>(lane)] = next(states[lane]);
                refill(states[lane]);
            }
        for (; at < count; ++at) {
            std::uint32_t& state = states[static_cast<std::size_t>(at % kLanes)];
            symbols[at] = next(state);
            if (state < kLeast && end - from < 2) throw std::invalid_argument("the stream ends too early");
            refill(state);
        }
        for (const std::uint32_t state : states)
            if (state != kLeast) throw std::invalid_argument("the stream does not end where it should");
        if (from != end) throw std::invalid_argument("bytes are left over");
    }

  private:
    struct Range {
        std::uint32_t start, frequency;
    };

    std::vector<std::uint8_t> slots() const {
        std::vector<std::uint8_t> symbol_at(kTotal);
        for (std::size_t symbol = 0; symbol < range_.size(); ++symbol)
            std::fill_n(symbol_at.data() + range_[symbol].start, range_[symbol].frequency,
                        static_cast<std::uint8_t>(symbol));
        return symbol_at;
    }

    std::array<Range, 256> range_{};
};

}  // namespace featherweight
