// What is compiled once for each instruction set, and the choice among them at run time.
#pragma once

#include <vector>

#include "convolution.hpp"

namespace featherweight {

// The pictures [N, C, H, W] of a tensor: their first pixel, and the steps from one row and one channel to the next.
// `border` pixels of one value lie around each channel; where there is such a border, so do kSlack bytes behind all.
template <class T>
struct Maps {
    T* data;
    std::int64_t row, plane, border;
};

constexpr std::int64_t kSlack = 128;

// Those of a tensor without borders.
template <class T>
Maps<T> maps(T* data, std::int64_t height, std::int64_t width) {
    return {data, width, height * width, 0};
}

struct Kernels {
    const char* name;
    // x [N, C, H, W], filters [O, C/groups, kh, kw], bias [O] or null -> y [N, O, H', W']
    void (*adder2d)(const Convolution&, const float* x, const float* filters, const float* bias, float* y, int threads);
    // dy, x, filters -> dx [N, C, H, W]
    void (*adder2d_input_gradient)(const Convolution&, const float* dy, const float* x, const float* filters, bool sign,
                                   float* dx, int threads);
    // The same with products by integer addition; `offset` is the compensation in units of the last bit.
    void (*mitchell_conv2d)(const Convolution&, const float* x, const float* weight, const float* bias,
                            std::int32_t offset, float* y, int threads);
    void (*mitchell_input_gradient)(const Convolution&, const float* dy, const float* x, const float* weight,
                                    bool exact, std::int32_t offset, float* dx, int threads);
    void (*mitchell_weight_gradient)(const Convolution&, const float* dy, const float* x, const float* weight,
                                     bool exact, std::int32_t offset, float* dweight, int threads);
    // left [batch, rows, depth], right [batch, depth, columns], own or null -> out [batch, rows, columns] or transposed
    void (*mitchell_matmul)(std::int64_t batch, std::int64_t rows, std::int64_t depth, std::int64_t columns,
                            const float* left, const float* right, const float* own, std::int32_t offset,
                            bool transposed, float* out, int threads);
    void (*mitchell_multiply)(std::int64_t count, const float* a, const float* b, const float* own, std::int32_t offset,
                              float* out, int threads);
    // The adder layer on bytes; the filters as this set packs them, of so many bytes.
    std::int64_t (*adder2d_int8_packed_size)(const Convolution&);
    void (*adder2d_int8_pack)(const Convolution&, const std::uint8_t* weight, std::uint8_t* packed);
    // In a border of x, `zero` lies; no border of y is written. A shortcut's data may be null.
    void (*adder2d_int8)(const Convolution&, Maps<const std::uint8_t> x, std::uint8_t zero, const std::uint8_t* packed,
                         const float* scale, const float* shift, Maps<const std::uint8_t> shortcut,
                         float shortcut_scale, Maps<std::uint8_t> y, int threads);
    // y = round(conv(x) + shift[o]) as bytes
    void (*conv2d_to_bytes)(const Convolution&, const float* x, const float* weight, const float* shift,
                            Maps<std::uint8_t> y, int threads);
};

// Those that this processor runs, the best first.
std::vector<const Kernels*> all_kernels();

// The set that the environment variable FEATHERWEIGHT_ISA names, or else the best that this processor runs. Throws
// std::invalid_argument where there is no such set or this processor does not run it.
const Kernels& kernels();

}  // namespace featherweight
