// The values of a network on bytes, and the memory that a thread keeps them in.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace featherweight {
namespace int8_network {

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

struct Value {
    bool is_bytes;
    std::int64_t channels, height, width;
    std::int64_t border;  // pixels around it, of the byte `around`
    std::uint8_t around;
    std::int64_t size() const { return channels * height * width; }
    std::int64_t row() const { return width + 2 * border; }
    std::int64_t plane() const { return (height + 2 * border) * row(); }
};

// What one thread works on.
struct Work {
    const std::vector<Value>& values;
    std::vector<Bytes> own_bytes;
    std::vector<Floats> own_floats;
    const float* picture = nullptr;
    std::int64_t images = 0, room = 0;
    int threads = 1;

    void make_room(std::int64_t wanted) {
        if (wanted <= room && own_bytes.size() == values.size()) return;
        room = wanted;
        own_bytes.assign(values.size(), {}), own_floats.assign(values.size(), {});
        for (std::size_t v = 1; v < values.size(); ++v) {
            const Value& value = values[v];
            if (value.is_bytes) {
                const std::int64_t size = room * value.channels * value.plane() + kSlack;
                own_bytes[v].assign(static_cast<std::size_t>(size), value.around);
            } else {
                own_floats[v].resize(static_cast<std::size_t>(room * value.size()));
            }
        }
    }

    Convolution of(Convolution c) const {
        c.images = images;
        return c;
    }
    Maps<std::uint8_t> maps(int number) {
        const auto at = static_cast<std::size_t>(number);
        const Value& value = values[at];
        return {own_bytes[at].data() + value.border * (value.row() + 1), value.row(), value.plane(), value.border};
    }
    Maps<const std::uint8_t> seen(int number) {
        const Maps<std::uint8_t> own = maps(number);
        return {own.data, own.row, own.plane, own.border};
    }
    float* floats(int number) { return own_floats[static_cast<std::size_t>(number)].data(); }

    // Visits the rows of a value one after the other.
    template <class Visit>
    void each_row(int number, const Visit& visit) {
        const Maps<std::uint8_t> own = maps(number);
        const Value& value = values[static_cast<std::size_t>(number)];
        for (std::int64_t plane = 0; plane < images * value.channels; ++plane)
            for (std::int64_t i = 0; i < value.height; ++i) visit(own.data + plane * own.plane + i * own.row);
    }
};

}  // namespace int8_network
}  // namespace featherweight
