// A network of adder layers on bytes: a list of steps, each from values that are there to a new one.
//
// A value has the border that the layers after it lay around their pictures, so that they read it where it lies.
// Pictures go through all steps a few at a time, so that their values stay in the cache; each thread has pictures of
// its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "int8_values.hpp"
#include "threads.hpp"

namespace featherweight {

class Int8Network {
  public:
    using Bytes = int8_network::Bytes;
    using Floats = int8_network::Floats;

    // Value 0 is the picture, floats [channels, height, width].
    Int8Network(std::int64_t channels, std::int64_t height, std::int64_t width) : kernels_(featherweight::kernels()) {
        values_.push_back({false, channels, height, width, 0, 0});
    }

    // Each adds a step and returns the number of its value. A convolution's geometry lacks the picture's size and
    // count.

    // Of the picture: bytes, round(conv + shift).
    int convolution(Convolution c, Floats weight, Floats shift) {
        place(c, 0, false);
        return add({c.filters, c.output(0), c.output(1)}, true,
                   [=, weight = std::move(weight), shift = std::move(shift)](Work& work, int to) {
                       const Convolution own = work.of(c);
                       kernels_.conv2d_to_bytes(own, work.picture, weight.data(), shift.data(), work.maps(to),
                                                worth(own, work.threads));
                   });
    }

    // The picture's bytes, round(x * scale + shift): where the first layer is an adder layer.
    int picture(float scale, float shift) {
        const Value own = values_[0];
        return add({own.channels, own.height, own.width}, true, [=](Work& work, int to) {
            const float* x = work.picture;
            work.each_row(to, [&](std::uint8_t* row) {
                for (std::int64_t at = 0; at < own.width; ++at) {
                    float value = *x++ * scale + shift;
                    value = value < 255.0f ? value : 255.0f;
                    value = value > 0.0f ? value : 0.0f;
                    row[at] = static_cast<std::uint8_t>(std::nearbyintf(value));
                }
            });
        });
    }

    // Bytes of bytes; `shortcut` is the number of a value, or -1.
    int adder(Convolution c, int from, const Bytes& weight, Floats scale, Floats shift, std::uint8_t zero, int shortcut,
              float shortcut_scale) {
        place(c, from, true);
        if (shortcut >= 0) want(value(shortcut, true), {c.filters, c.output(0), c.output(1)});
        Bytes packed(static_cast<std::size_t>(kernels_.adder2d_int8_packed_size(c)));
        kernels_.adder2d_int8_pack(c, weight.data(), packed.data());
        Value& x = values_[static_cast<std::size_t>(from)];
        if (x.border == 0) x.around = zero;
        if (x.around == zero) x.border = std::max({x.border, c.padding[0], c.padding[1]});
        return add(
            {c.filters, c.output(0), c.output(1)}, true,
            [=, packed = std::move(packed), scale = std::move(scale), shift = std::move(shift)](Work& work, int to) {
                Maps<const std::uint8_t> x = work.seen(from), added{};
                if (values_[static_cast<std::size_t>(from)].around != zero) x.border = 0;
                if (shortcut >= 0) added = work.seen(shortcut);
                const Convolution own = work.of(c);
                kernels_.adder2d_int8(own, x, zero, packed.data(), scale.data(), shift.data(), added, shortcut_scale,
                                      work.maps(to), worth(own, work.threads));
            });
    }

    // Floats of bytes, one pixel: sum * scale + shift; for the last layer.
    int scores(Convolution c, int from, Bytes weight, Floats scale, Floats shift) {
        place(c, from, true);
        if (c.output(0) != 1 || c.output(1) != 1 || c.padding[0] != 0 || c.padding[1] != 0 || c.groups != 1 ||
            c.kernel[0] != c.height || c.kernel[1] != c.width)
            throw std::invalid_argument("the layer of the scores has one output pixel, of the whole map");
        return add(
            {c.filters, 1, 1}, false,
            [=, weight = std::move(weight), scale = std::move(scale), shift = std::move(shift)](Work& work, int to) {
                const std::int64_t terms = c.depth();
                Bytes map(static_cast<std::size_t>(work.images * terms));
                std::uint8_t* at = map.data();
                work.each_row(from, [&](const std::uint8_t* row) { at = std::copy_n(row, c.width, at); });
                for (std::int64_t n = 0; n < work.images; ++n)
                    for (std::int64_t o = 0; o < c.filters; ++o) {
                        const std::uint8_t *x = map.data() + n * terms, *f = weight.data() + o * terms;
                        std::int64_t sum = 0;
                        for (std::int64_t k = 0; k < terms; ++k) sum += x[k] > f[k] ? x[k] - f[k] : f[k] - x[k];
                        work.floats(to)[n * c.filters + o] = static_cast<float>(sum) * scale[o] + shift[o];
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
        return add({x.channels, height, width}, true, [=](Work& work, int to) {
            const Maps<std::uint8_t> in = work.maps(from), out = work.maps(to);
            for (std::int64_t plane = 0; plane < work.images * own.channels; ++plane)
                for (std::int64_t i = 0; i < height; ++i)
                    for (std::int64_t j = 0; j < width; ++j) {
                        std::uint8_t most = 0;
                        const std::int64_t top = i * stride - padding, left = j * stride - padding;
                        for (std::int64_t u = std::max<std::int64_t>(top, 0); u < std::min(top + kernel, own.height);
                             ++u)
                            for (std::int64_t v = std::max<std::int64_t>(left, 0);
                                 v < std::min(left + kernel, own.width); ++v)
                                most = std::max(most, in.data[plane * in.plane + u * in.row + v]);
                        out.data[plane * out.plane + i * out.row + j] = most;
                    }
        });
    }

    // Floats of bytes: the mean over the pixels, times scale, plus shift.
    int mean(int from, float scale, float shift) {
        const Value own = value(from, true);
        return add({own.channels, 1, 1}, false, [=](Work& work, int to) {
            std::vector<std::int64_t> sums(static_cast<std::size_t>(work.images * own.channels));
            std::int64_t line = 0;
            work.each_row(from, [&](const std::uint8_t* row) {
                std::int32_t sum = 0;
                for (std::int64_t at = 0; at < own.width; ++at) sum += row[at];
                sums[static_cast<std::size_t>(line++ / own.height)] += sum;
            });
            const float pixels = static_cast<float>(own.height * own.width);
            for (std::size_t at = 0; at < sums.size(); ++at)
                work.floats(to)[at] = static_cast<float>(sums[at]) / pixels * scale + shift;
        });
    }

    // Floats of bytes, all of a map in one row, times scale, plus shift.
    int unpack(int from, float scale, float shift) {
        const Value own = value(from, true);
        return add({own.size(), 1, 1}, false, [=](Work& work, int to) {
            float* y = work.floats(to);
            work.each_row(from, [&](const std::uint8_t* row) {
                for (std::int64_t at = 0; at < own.width; ++at) *y++ = static_cast<float>(row[at]) * scale + shift;
            });
        });
    }

    // Floats of floats: weight [out, in] times x, plus bias.
    int linear(int from, std::int64_t out, Floats weight, Floats bias) {
        const Value own = value(from, false);
        const std::int64_t in = own.channels;
        if (from == 0 || static_cast<std::int64_t>(weight.size()) != out * in)
            throw std::invalid_argument("the weight is not [out, in]");
        return add({out, 1, 1}, false, [=, weight = std::move(weight), bias = std::move(bias)](Work& work, int to) {
            for (std::int64_t n = 0; n < work.images; ++n)
                for (std::int64_t o = 0; o < out; ++o) {
                    const float *x = work.floats(from) + n * in, *f = weight.data() + o * in;
                    float sum = bias[o];
                    for (std::int64_t k = 0; k < in; ++k) sum += x[k] * f[k];
                    work.floats(to)[n * out + o] = sum;
                }
        });
    }

    // Runs all steps on x [images, channels, height, width]; the last value is written to y.
    void run(std::int64_t images, const float* x, float* y, int threads) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (steps_.empty() || values_.back().is_bytes) throw std::invalid_argument("the last step gives no scores");
        const int workers = static_cast<int>(std::min<std::int64_t>(threads, std::max<std::int64_t>(images, 1)));
        const std::int64_t some = std::min(kImages, (images + workers - 1) / workers), inputs = values_[0].size();
        while (static_cast<int>(works_.size()) < workers) works_.push_back({values_, {}, {}});
        for (int worker = 0; worker < workers; ++worker) works_[worker].make_room(some);
        std::exception_ptr failure;
#pragma omp parallel for num_threads(workers) schedule(dynamic)
        for (std::int64_t first = 0; first < images; first += some) {
            try {
                Work& work = works_[static_cast<std::size_t>(thread_number())];
                work.picture = x + first * inputs, work.images = std::min(some, images - first);
                work.threads = workers == 1 ? threads : 1;
                for (std::size_t s = 0; s < steps_.size(); ++s) steps_[s](work, static_cast<int>(s) + 1);
                const float* scores = work.floats(static_cast<int>(steps_.size()));
                std::copy_n(scores, work.images * outputs(), y + first * outputs());
            } catch (...) {
#pragma omp critical
                failure = std::current_exception();
            }
        }
        if (failure) std::rethrow_exception(failure);
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
    using Value = int8_network::Value;
    using Work = int8_network::Work;
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
        values_.push_back({is_bytes, shape.channels, shape.height, shape.width, 0, 0});
        works_.clear();
        steps_.emplace_back(std::move(step));
        return static_cast<int>(values_.size()) - 1;
    }

    static constexpr std::int64_t kImages = 4;  // that go through all steps together

    const Kernels& kernels_;
    std::vector<Value> values_;
    std::vector<std::function<void(Work&, int)>> steps_;
    std::mutex mutex_;
    std::vector<Work> works_;
};

}  // namespace featherweight
