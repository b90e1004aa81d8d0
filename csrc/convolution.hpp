// The geometry that all operators of a convolution's shape share.
#pragma once

#include <cstdint>

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

}  // namespace featherweight
