// Channels of pictures with a border around them, as the kernels that slide over them want them.
#pragma once

#include "bytes.hpp"
#include "kernels.hpp"
#include "memory.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {

inline Index least(Index a, Index b) { return a < b ? a : b; }
inline Index ceiling(Index a, Index b) { return (a + b - 1) / b; }

inline void fill(float* values, float value, Index count) {
    for (; count >= kLanes; count -= kLanes, values += kLanes) store(values, all(value));
    if (count > 0) store_some(values, all(value), count);
}

inline void clear(float* values, Index count) { fill(values, 0.0f, count); }

inline void copy(float* to, const float* from, Index count) {
    for (; count >= kLanes; count -= kLanes, from += kLanes, to += kLanes) store(to, load(from));
    if (count > 0) store_some(to, load_some(from, count), count);
}

inline void copy_second(float* __restrict to, const float* __restrict from, Index count) {
    for (Index at = 0; at < count; ++at) to[at] = from[2 * at];
}

struct Border {
    Index top, bottom, left, right;

    Index largest() const {
        const Index rows = top > bottom ? top : bottom, columns = left > right ? left : right;
        return rows > columns ? rows : columns;
    }
};

// The places of a kernel along one side of a picture, in pixels.
struct Places {
    Index count, dilation, stride;

    // Whether any of them ever meets the pixels with this remainder after division by the stride.
    bool meet(Index remainder) const {
        for (Index place = 0; place < count; ++place)
            if (place * dilation % stride == remainder) return true;
        return false;
    }
};

// Channels with a border of one value, each row's columns sorted by what remains after division by the stride.
template <class T>
class Planes {
  public:
    Index phase, row, plane;  // values from one remainder, row, channel to the next
    const T* data;

    // Keeps `from` [planes, height, width] as it is where that already lies as wanted. Behind the planes so many more
    // bytes may be read as `slack` says, as behind maps with a border.
    Planes(const Maps<const T>& from, Index planes, Index height, Index width, Border border, Places rows,
           Places columns, int threads, T value = T{0}, Index slack = 0)
        : phase(ceiling(width + border.left + border.right, columns.stride)),
          row(phase * columns.stride),
          plane(product(height + border.top + border.bottom, row)),
          data(from.data),
          stride_(columns.stride),
          kept_(columns.stride == 1 && from.border >= border.largest() && (slack == 0 || from.border > 0)),
          copy_(kept_ ? 0 : product(planes, plane) + slack) {
        if (kept_) {
            data -= border.top * from.row + border.left;
            row = from.row, plane = from.plane;
            return;
        }
        data = copy_;
        const Index lines = height + border.top + border.bottom;
        Scratch<char> rows_met(lines);
        for (Index i = 0; i < lines; ++i) rows_met[i] = rows.meet(i % rows.stride);
        Scratch<Columns> some(stride_);
        for (Index remainder = 0; remainder < stride_; ++remainder) {
            const Index first = (remainder + stride_ - border.left % stride_) % stride_;
            const Index count = columns.meet(remainder) && first < width ? ceiling(width - first, stride_) : 0;
            some[remainder] = {first, remainder * phase + (first + border.left) / stride_, count};
        }
#pragma omp parallel for num_threads(threads) schedule(static)
        for (Index p = 0; p < planes; ++p) {
            T* out = copy_ + p * plane;
            for (Index i = 0; i < lines; ++i, out += row) {
                if (!rows_met[i]) continue;
                if (i < border.top || i >= border.top + height) fill(out, value, row);
                else
                    spread(from.data + p * from.plane + (i - border.top) * from.row, width, border.left, value, some,
                           out);
            }
        }
    }

    // From the pixel that an output lies at to that which a place of the kernel meets, so many pixels away.
    Index offset(Index down, Index right) const { return down * row + right % stride_ * phase + right / stride_; }

  private:
    struct Columns {
        Index from, to, count;  // first in the picture, first in the row, how many
    };

    void spread(const T* from, Index width, Index left, T value, const Columns* some, T* out) const {
        if (stride_ == 1) {
            fill(out, value, left);
            copy(out + left, from, width);
            fill(out + left + width, value, row - left - width);
            return;
        }
        fill(out, value, row);
        for (Index remainder = 0; remainder < stride_; ++remainder) {
            const T* first = from + some[remainder].from;
            T* to = out + some[remainder].to;
            const Index count = some[remainder].count;
            if (stride_ == 2) copy_second(to, first, count);
            else
                for (Index at = 0; at < count; ++at) to[at] = first[stride_ * at];
        }
    }

    Index stride_;
    bool kept_;
    Scratch<T> copy_;
};

}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
