// A convolution as sweeps over panels: forward over the pixels of its output, backward over those of its input.
#pragma once

#include "convolution.hpp"
#include "panels.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {

// Forward: column = pixel of the output; row = (channel of the group, i, j), as the weight lies.
struct Patches {
    Planes<float> planes;
    Grid grid, output;  // where the columns lie in the planes; in y [N, O, H', W']
    Scratch<Index> offsets;

    Patches(const Convolution& c, const float* x, int threads)
        : planes({x, c.width, c.height * c.width, 0}, c.images * c.channels, c.height, c.width,
                 {c.padding[0], c.padding[0], c.padding[1], c.padding[1]}, {c.kernel[0], c.dilation[0], c.stride[0]},
                 {c.kernel[1], c.dilation[1], c.stride[1]}, threads),
          grid{c.images,
               c.output(0),
               c.output(1),
               c.channels * planes.plane,
               c.stride[0] * planes.row,
               c.group_channels() * planes.plane},
          output{c.images, c.output(0), c.output(1), c.filters * grid.pixels(), c.output(1), 0},
          offsets(c.depth()) {
        for (Index k = 0; k < c.depth(); ++k) {
            const Index channel = k / c.places(), i = k % c.places() / c.kernel[1], j = k % c.kernel[1];
            offsets[k] = channel * planes.plane + planes.offset(i * c.dilation[0], j * c.dilation[1]);
        }
    }
};

// dY with as many zeros around it as the kernel reaches over from the pixels of the input.
struct Gradients {
    Index top, left;
    Planes<float> planes;

    Gradients(const Convolution& c, const float* dy, int threads)
        : top(before(c, 0)),
          left(before(c, 1)),
          planes({dy, c.output(1), c.output(0) * c.output(1), 0}, c.images * c.filters, c.output(0), c.output(1),
                 {top, behind(c, 0, c.height), left, behind(c, 1, c.width)}, {1, 1, 1}, {1, 1, 1}, threads) {}

  private:
    static Index before(const Convolution& c, int side) {
        const Index last = c.dilation[side] * (c.kernel[side] - 1) - c.padding[side];
        return last > 0 ? ceiling(last, c.stride[side]) : 0;
    }
    static Index behind(const Convolution& c, int side, Index length) {
        const Index more = (length - 1 + c.padding[side]) / c.stride[side] - (c.output(side) - 1);
        return more > 0 ? more : 0;
    }
};

// Backward: an input pixel meets only the places of the kernel that agree with its remainder after division by the
// stride. So each pair of remainders is a convolution of dY without a stride, of its own pixels and places.
// Column = such a pixel; row = (place, filter of the group).
struct Remainder {
    Index down, right;  // the remainders
    Index places, depth;
    Grid grid;               // where the columns lie in the planes of dY
    Scratch<Index> offsets;  // [depth]
    Scratch<float> filters;  // [C, depth]

    Remainder(const Convolution& c, const Gradients& grads, const float* weight, Index down, Index right)
        : down(down),
          right(right),
          places(met(c, 0, down) * met(c, 1, right)),
          depth(places * c.group_filters()),
          grid{c.images,
               ceiling(c.height - down, c.stride[0]),
               ceiling(c.width - right, c.stride[1]),
               c.filters * grads.planes.plane,
               grads.planes.row,
               c.group_filters() * grads.planes.plane},
          offsets(depth),
          filters(c.channels * depth) {
        Index place = 0;
        for (Index i = 0; i < c.kernel[0]; ++i)
            for (Index j = 0; j < c.kernel[1]; ++j) {
                const Index above = down + c.padding[0] - i * c.dilation[0],
                            before = right + c.padding[1] - j * c.dilation[1];
                if (above % c.stride[0] != 0 || before % c.stride[1] != 0) continue;
                for (Index filter = 0; filter < c.group_filters(); ++filter) {
                    const Index k = place * c.group_filters() + filter;
                    offsets[k] = filter * grads.planes.plane + grads.planes.offset(grads.top + above / c.stride[0],
                                                                                   grads.left + before / c.stride[1]);
                    for (Index channel = 0; channel < c.channels; ++channel) {
                        const Index group = channel / c.group_channels(), own = channel % c.group_channels();
                        const Index of = (group * c.group_filters() + filter) * c.group_channels() + own;
                        filters[channel * depth + k] = weight[of * c.places() + i * c.kernel[1] + j];
                    }
                }
                ++place;
            }
    }

    // Visits each column of a panel's rows (input channels) as (place in a tile [rows, width], place in x).
    template <class Visit>
    void each(const Convolution& c, const Panel& panel, const Visit& visit) const {
        const Index picture = c.height * c.width;
        for (Index column = 0; column < panel.columns; ++column) {
            const Index pixel = panel.begin + column, image = pixel / grid.pixels();
            const Index u = pixel % grid.pixels() / grid.width, v = pixel % grid.width;
            const Index at = (image * c.channels + panel.group * c.group_channels() + panel.first) * picture +
                             (down + u * c.stride[0]) * c.width + right + v * c.stride[1];
            for (Index r = 0; r < panel.last - panel.first; ++r) visit(r * panel.width + column, at + r * picture);
        }
    }

  private:
    static Index met(const Convolution& c, int side, Index remainder) {
        Index count = 0;
        for (Index place = 0; place < c.kernel[side]; ++place)
            count += (remainder + c.padding[side] - place * c.dilation[side]) % c.stride[side] == 0;
        return count;
    }
};

// Calls visit(remainder) for each pair that has pixels and places; dx is zero where there is none.
template <class Visit>
inline void each_remainder(const Convolution& c, const float* dy, const float* weight, float* dx, int threads,
                           const Visit& visit) {
    const Gradients grads(c, dy, threads);
    clear(dx, c.images * c.channels * c.height * c.width);
    for (Index down = 0; down < least(c.stride[0], c.height); ++down)
        for (Index right = 0; right < least(c.stride[1], c.width); ++right) {
            const Remainder remainder(c, grads, weight, down, right);
            if (remainder.places > 0) visit(grads.planes.data, remainder);
        }
}

}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
