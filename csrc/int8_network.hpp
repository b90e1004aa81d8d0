// A network of adder layers on bytes: a list of steps, each from values that are there to a new one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels.hpp"

namespace featherweight {

class Int8Network {
  public:
    using Bytes = std::vector<std::uint8_t>;
    using Floats = std::vector<float>;

    // Value 0 is the picture, floats [channels, height, width].
    Int8Network(std::int64_t channels, std::int64_t height, std::int64_t width) : kernels_(featherweight::kernels()) {
        values_.push_back({false, channels, height, width});
    }

    // Each adds a step and returns the number of its value. A convolution's geometry lacks the picture's size and
    // count.

    // Of the picture: bytes, round(conv + shift).
    int convolution(Convolution c, Floats weight, Floats shift) {
        place(c, 0, false);
        return add({c.filters, c.output(0), c.output(1)}, true,
                   [=, weight = std::move(weight), shift = std::move(shift)](Int8Network& net, int to) {
                       net.kernels_.conv2d_to_bytes(net.at(c), net.picture_, weight.data(), shift.data(), net.bytes(to),
                                                    net.threads_);
                   });
    }

    // The picture's bytes, round(x * scale + shift): where the first layer is an adder layer.
    int picture(float scale, float shift) {
        const Value own = values_[0];
        return add({own.channels, own.height, own.width}, true, [=](Int8Network& net, int to) {
            for (std::int64_t at = 0; at < net.images_ * own.size(); ++at) {
                float value = net.picture_[at] * scale + shift;
                value = value < 255.0f ? value : 255.0f;
                value = value > 0.0f ? value : 0.0f;
                net.bytes(to)[at] = static_cast<std::uint8_t>(std::nearbyintf(value));
            }
        });
    }

    // Bytes of bytes; `shortcut` is the number of a value, or -1.
    int adder(Convolution c, int from, const Bytes& weight, Floats scale, Floats shift, std::uint8_t zero, int shortcut,
              float shortcut_scale) {
        place(c, from, true);
        if (shortcut >= 0) want(value(shortcut, true), {c.filters, c.output(0), c.output(1)});
        Bytes packed(static_cast<std::size_t>(kernels_.adder2d_int8_packed_size(c)));
        kernels_.adder2d_int8_pack(c, weight.data(), packed.data());
        return add({c.filters, c.output(0), c.output(1)}, true,
                   [=, packed = std::move(packed), scale = std::move(scale), shift = std::move(shift)](Int8Network& net,
                                                                                                       int to) {
                       net.kernels_.adder2d_int8(net.at(c), net.bytes(from), zero, packed.data(), scale.data(),
                                                 shift.data(), shortcut < 0 ? nullptr : net.bytes(shortcut),
                                                 shortcut_scale, net.bytes(to), net.threads_);
                   });
    }

    // Floats of bytes, one pixel: sum * scale + shift; for the last layer.
    int scores(Convolution c, int from, Bytes weight, Floats scale, Floats shift) {
        place(c, from, true);
        if (c.output(0) != 1 || c.output(1) != 1 || c.padding[0] != 0 || c.padding[1] != 0 || c.groups != 1 ||
            c.kernel[0] != c.height || c.kernel[1] != c.width)
            throw std::invalid_argument("the layer of the scores has one output pixel, of the whole map");
        return add({c.filters, 1, 1}, false,
                   [=, weight = std::move(weight), scale = std::move(scale), shift = std::move(shift)](Int8Network& net,
                                                                                                       int to) {
                       const std::int64_t terms = c.depth();
                       for (std::int64_t n = 0; n < net.images_; ++n)
                           for (std::int64_t o = 0; o < c.filters; ++o) {
                               const std::uint8_t *x = net.bytes(from) + n * terms, *f = weight.data() + o * terms;
                               std::int64_t sum = 0;
                               for (std::int64_t k = 0; k < terms; ++k) sum += x[k] > f[k] ? x[k] - f[k] : f[k] - x[k];
                               net.floats(to)[n * c.filters + o] = static_cast<float>(sum) * scale[o] + shift[o];
                           }
                   });
    }

    int max_pool(int from, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
        const Value& x = value(from, true);
        if (kernel < 1 || stride < 1 || padding < 0 || 2 * padding > kernel)
            throw std::invalid_argument("no such pooling");
        const std::int64_t height = (x.height + 2 * padding - kernel) / stride + 1,
                           width = (x.width + 2 * padding - kernel) / stride + 1;
        if (x.height + 2 * padding < kernel || x.width + 2 * padding < kernel)
            throw std::invalid_argument("the pooling is larger than the map");
        const Value own = x;
        return add({x.channels, height, width}, true, [=](Int8Network& net, int to) {
            for (std::int64_t plane = 0; plane < net.images_ * own.channels; ++plane) {
                const std::uint8_t* in = net.bytes(from) + plane * own.height * own.width;
                std::uint8_t* out = net.bytes(to) + plane * height * width;
                for (std::int64_t i = 0; i < height; ++i)
                    for (std::int64_t j = 0; j < width; ++j) {
                        std::uint8_t most = 0;
                        for (std::int64_t u = i * stride - padding; u < i * stride - padding + kernel; ++u)
                            for (std::int64_t v = j * stride - padding; v < j * stride - padding + kernel; ++v)
                                if (u >= 0 && u < own.height && v >= 0 && v < own.width && in[u * own.width + v] > most)
                                    most = in[u * own.width + v];
                        out[i * width + j] = most;
                    }
            }
        });
    }

    // Floats of bytes: the mean over the pixels, times scale, plus shift.
    int mean(int from, float scale, float shift) {
        const Value own = value(from, true);
        return add({own.channels, 1, 1}, false, [=](Int8Network& net, int to) {
            const std::int64_t pixels = own.height * own.width;
            for (std::int64_t plane = 0; plane < net.images_ * own.channels; ++plane) {
                std::int64_t sum = 0;
                for (std::int64_t at = 0; at < pixels; ++at) sum += net.bytes(from)[plane * pixels + at];
                net.floats(to)[plane] = static_cast<float>(sum) / static_cast<float>(pixels) * scale + shift;
            }
        });
    }

    // Floats of bytes, all of a map in one row, times scale, plus shift.
    int unpack(int from, float scale, float shift) {
        const Value own = value(from, true);
        return add({own.size(), 1, 1}, false, [=](Int8Network& net, int to) {
            for (std::int64_t at = 0; at < net.images_ * own.size(); ++at)
                net.floats(to)[at] = static_cast<float>(net.bytes(from)[at]) * scale + shift;
        });
    }

    // Floats of floats: weight [out, in] times x, plus bias.
    int linear(int from, std::int64_t out, Floats weight, Floats bias) {
        const Value own = value(from, false);
        const std::int64_t in = own.channels;
        if (from == 0 || static_cast<std::int64_t>(weight.size()) != out * in)
            throw std::invalid_argument("the weight is not [out, in]");
        return add({out, 1, 1}, false,
                   [=, weight = std::move(weight), bias = std::move(bias)](Int8Network& net, int to) {
                       for (std::int64_t n = 0; n < net.images_; ++n)
                           for (std::int64_t o = 0; o < out; ++o) {
                               const float *x = net.floats(from) + n * in, *f = weight.data() + o * in;
                               float sum = bias[o];
                               for (std::int64_t k = 0; k < in; ++k) sum += x[k] * f[k];
                               net.floats(to)[n * out + o] = sum;
                           }
                   });
    }

    // Runs all steps on x [images, channels, height, width]; the last value is written to y.
    void run(std::int64_t images, const float* x, float* y, int threads) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const Value& last = values_.back();
        if (steps_.empty() || last.is_bytes) throw std::invalid_argument("the last step gives no scores");
        images_ = images, threads_ = threads;
        bytes_.resize(values_.size()), own_floats_.resize(values_.size());
        picture_ = x;
        for (std::size_t v = 1; v < values_.size(); ++v) {
            const std::size_t count = static_cast<std::size_t>(images * values_[v].size());
            if (values_[v].is_bytes) bytes_[v].resize(count);
            else own_floats_[v].resize(count);
        }
        for (std::size_t s = 0; s < steps_.size(); ++s) steps_[s](*this, static_cast<int>(s) + 1);
        const Floats& scores = own_floats_.back();
        std::copy(scores.begin(), scores.end(), y);
    }

    std::int64_t channels(int number) const {
        if (number < 0 || number >= static_cast<int>(values_.size()))
            throw std::invalid_argument("no such value: " + std::to_string(number));
        return values_[static_cast<std::size_t>(number)].channels;
    }
    bool takes(std::int64_t channels, std::int64_t height, std::int64_t width) const {
        return values_[0].channels == channels && values_[0].height == height && values_[0].width == width;
    }
    std::int64_t outputs() const { return values_.back().size(); }
    const char* instruction_set() const { return kernels_.name; }

  private:
    struct Value {
        bool is_bytes;
        std::int64_t channels, height, width;
        std::int64_t size() const { return channels * height * width; }
    };
    struct Shape {
        std::int64_t channels, height, width;
    };

    const Value& value(int number, bool is_bytes) const {
        if (number < 0 || number >= static_cast<int>(values_.size()) || values_[number].is_bytes != is_bytes)
            throw std::invalid_argument("no such value: " + std::to_string(number));
        return values_[number];
    }

    static void want(const Value& value, Shape shape) {
        if (value.channels != shape.channels || value.height != shape.height || value.width != shape.width)
            throw std::invalid_argument("the shortcut is not as large as the output");
    }

    // Completes a geometry by the size of the value that it is of.
    void place(Convolution& c, int from, bool is_bytes) const {
        const Value& x = value(from, is_bytes);
        c.images = 1, c.channels = x.channels, c.height = x.height, c.width = x.width;
        check(c);
    }

    template <class Step>
    int add(Shape shape, bool is_bytes, Step step) {
        values_.push_back({is_bytes, shape.channels, shape.height, shape.width});
        steps_.emplace_back(std::move(step));
        return static_cast<int>(values_.size()) - 1;
    }

    Convolution at(Convolution c) const {
        c.images = images_;
        return c;
    }
    std::uint8_t* bytes(int number) { return bytes_[number].data(); }
    float* floats(int number) { return own_floats_[number].data(); }

    const Kernels& kernels_;
    std::vector<Value> values_;
    std::vector<std::function<void(Int8Network&, int)>> steps_;
    std::mutex mutex_;
    std::int64_t images_ = 0;
    int threads_ = 1;
    std::vector<Bytes> bytes_;
    std::vector<Floats> own_floats_;
    const float* picture_ = nullptr;
};

}  // namespace featherweight
