// The geometry that all operators of a convolution's shape share.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace featherweight {

struct Convolution {
    std::int64_t images, channels, height, width;  // of the input, [N, C, H, W]
    std::int64_t filters, kernel[2];               // of the weight, [O, C/groups, kh, kw]
    std::int64_t stride[2], padding[2], dilation[2], groups;

    std::int64_t output(int side) const {
        const std::int64_t length = side == 0 ? height : width;
        return (length + 2 * padding[side] - dilation[side] * (kernel[side] - 1) - 1) / stride[side] + 1;
    }
    std::int64_t group_channels() const { return channels / groups; }
    std::int64_t group_filters() const { return filters / groups; }
    std::int64_t places() const { return kernel[0] * kernel[1]; }       // of the kernel
    std::int64_t depth() const { return group_channels() * places(); }  // terms of one output
};

// How many of these threads the work is worth: one for each two million terms, which take some 20 to 50 microseconds.
// Threads wait for each other at the end of a layer, and one that comes late costs more than it does.
inline int worth(const Convolution& c, int threads) {
    const double terms = static_cast<double>(c.images) * static_cast<double>(c.filters * c.output(0) * c.output(1)) *
                         static_cast<double>(c.depth()),
                 most = terms / (1 << 21);
    return most >= threads ? threads : most < 1 ? 1 : static_cast<int>(most);
}

// Throws std::invalid_argument where a geometry is none. A step beyond the picture becomes one to its end.
inline void check(Convolution& c) {
    constexpr std::int64_t kMost = std::int64_t{1} << 31;  // of any length, so that sums of some do not overflow
    const auto want = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(what);
    };
    want(c.groups > 0 && c.channels > 0 && c.channels % c.groups == 0 && c.filters % c.groups == 0 && c.images >= 0,
         "groups do not divide the channels and the filters");
    for (int side = 0; side < 2; ++side) {
        const std::int64_t length = side == 0 ? c.height : c.width;
        want(length < kMost && c.kernel[side] < kMost && c.stride[side] < kMost && c.dilation[side] < kMost &&
                 c.padding[side] < kMost,
             "sides, kernel, stride, dilation and padding are less than 2^31");
        want(c.kernel[side] > 0 && c.stride[side] > 0 && c.dilation[side] > 0 && c.padding[side] >= 0,
             "kernel, stride and dilation are 1 or more, padding 0 or more");
        const std::int64_t room = length + 2 * c.padding[side] - c.dilation[side] * (c.kernel[side] - 1);
        want(room > 0, "the kernel is larger than x");
        if (c.stride[side] > room) c.stride[side] = room;
    }
}

}  // namespace featherweight
