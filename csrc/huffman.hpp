// Canonical Huffman codes (Huffman, 1952) of at most 12 bits on bytes: given each symbol's length, shorter codes come
// first, and of one length those of smaller symbols. The first bit is the highest of the first byte.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace featherweight {

class Huffman {
  public:
    static constexpr int kLongest = 12;

    // The bits of each symbol 0, 1, ...; 0 of those that do not come. Throws std::invalid_argument where they are not
    // those of a full code.
    Huffman(const std::uint8_t* lengths, std::int64_t symbols) {
        if (symbols < 1 || symbols > 256) throw std::invalid_argument("a table is for 1 to 256 symbols");
        std::uint32_t next = 0;  // code, with kLongest bits
        for (int length = 1; length <= kLongest; ++length)
            for (std::int64_t symbol = 0; symbol < symbols; ++symbol) {
                if (lengths[symbol] > kLongest) throw std::invalid_argument("a code has more than 12 bits");
                if (lengths[symbol] != length) continue;
                code_[static_cast<std::size_t>(symbol)] = {next >> (kLongest - length), length};
                next += 1u << (kLongest - length);
                if (next > 1u << kLongest) throw std::invalid_argument("the codes are too short to differ");
            }
        if (next != 1u << kLongest) throw std::invalid_argument("some bits are no code");
    }

    // How many bytes so many symbols take.
    std::int64_t size(const std::uint8_t* symbols, std::int64_t count) const {
        std::int64_t bits = 0;
        for (std::int64_t at = 0; at < count; ++at) bits += code_[symbols[at]].length;
        return (bits + 7) / 8;
    }

    // Codes into out, which has room for `size` bytes.
    void encode(const std::uint8_t* symbols, std::int64_t count, std::uint8_t* out) const {
        std::uint32_t pending = 0;
        int bits = 0;
        for (std::int64_t at = 0; at < count; ++at) {
            const auto [code, length] = code_[symbols[at]];
            if (length == 0) throw std::invalid_argument("a symbol has no code");
            pending = pending << length | code, bits += length;
            for (; bits >= 8; bits -= 8) *out++ = static_cast<std::uint8_t>(pending >> (bits - 8));
        }
        if (bits > 0) *out = static_cast<std::uint8_t>(pending << (8 - bits));
    }

    // Throws std::invalid_argument where the bytes are not those of so many symbols.
    void decode(const std::uint8_t* data, std::int64_t bytes, std::uint8_t* symbols, std::int64_t count) const {
        const std::vector<Found> found = beginnings();
        const std::uint8_t *const end = data + bytes, *from = data;
        std::uint64_t pending = 0;  // the next bits, from the highest; behind the end come zeros
        int bits = 0;               // of those, how many are the stream's; below 0 it is over
        for (std::int64_t at = 0; at < count;) {
            for (; bits <= 56 && from < end; bits += 8) pending |= static_cast<std::uint64_t>(*from++) << (56 - bits);
            for (int some = 0; some < 4 && at < count; ++some) {  // 4 codes of 12 bits are at hand
                const auto [symbol, length] = found[pending >> (64 - kLongest)];
                symbols[at++] = symbol, pending <<= length, bits -= length;
            }
            if (bits < 0) throw std::invalid_argument("the stream ends too early");
        }
        if (from != end || bits >= 8) throw std::invalid_argument("bytes are left over");
        if (pending != 0) throw std::invalid_argument("the last bits are not zero");
    }

  private:
    struct Code {
        std::uint32_t code;
        int length;
    };
    struct Found {
        std::uint8_t symbol, length;
    };

    // For each 12 bits, the symbol that they begin with.
    std::vector<Found> beginnings() const {
        std::vector<Found> found(1u << kLongest);
        for (std::size_t symbol = 0; symbol < code_.size(); ++symbol) {
            const auto [code, length] = code_[symbol];
            if (length == 0) continue;
            const std::uint32_t first = code << (kLongest - length), count = 1u << (kLongest - length);
            for (std::uint32_t at = first; at < first + count; ++at)
                found[at] = {static_cast<std::uint8_t>(symbol), static_cast<std::uint8_t>(length)};
        }
        return found;
    }

    std::array<Code, 256> code_{};
};

}  // namespace featherweight
