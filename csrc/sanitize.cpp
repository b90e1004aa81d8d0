// Runs every kernel of every instruction set that this processor has on random shapes, and holds it against plain
// loops; what every processor gives to the last bit, against the other sets. `make sanitize` compiles it, and all
// kernels, so that memory read or written out of bounds and undefined behaviour stop it: every array is a block of its
// own, of exactly its size, and one element too far is found; the entropy decoders too, on damaged bytes. `make neon`
// does so for another processor.
#include "sanitize.hpp"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "int8_network.hpp"
#include "kernels.hpp"
#include "sanitize_entropy.hpp"

namespace {

using namespace sanitize;

fw::Convolution geometry() {
    fw::Convolution c{};
    c.groups = pick(1, 3), c.images = pick(0, 3);
    c.channels = c.groups * pick(1, 9), c.filters = c.groups * pick(1, 20);
    for (int side = 0; side < 2; ++side) {
        c.kernel[side] = pick(1, 7), c.stride[side] = pick(1, 3), c.dilation[side] = pick(1, 2),
        c.padding[side] = pick(0, 3);
        const Index reach = c.dilation[side] * (c.kernel[side] - 1) + 1 - 2 * c.padding[side];
        (side == 0 ? c.height : c.width) = (reach > 1 ? reach : 1) + pick(0, 20);
    }
    fw::check(c);
    return c;
}

// Calls visit(output, place in x or -1 in the padding, place in the weight) for each term.
template <class Visit>
void terms(const fw::Convolution& c, const Visit& visit) {
    const Index channels = c.group_channels(), filters = c.group_filters();
    Index output = 0;
    for (Index n = 0; n < c.images; ++n)
        for (Index o = 0; o < c.filters; ++o)
            for (Index u = 0; u < c.output(0); ++u)
                for (Index v = 0; v < c.output(1); ++v, ++output)
                    for (Index k = 0; k < c.depth(); ++k) {
                        const Index i = k % c.places() / c.kernel[1], j = k % c.kernel[1];
                        const Index channel = o / filters * channels + k / c.places();
                        const Index y = u * c.stride[0] - c.padding[0] + i * c.dilation[0];
                        const Index x = v * c.stride[1] - c.padding[1] + j * c.dilation[1];
                        const bool inside = y >= 0 && y < c.height && x >= 0 && x < c.width;
                        visit(output, inside ? ((n * c.channels + channel) * c.height + y) * c.width + x : -1,
                              o * c.depth() + k);
                    }
}

void demand(bool holds, const char* what, const fw::Kernels& kernels) {
    if (holds) return;
    std::printf("%s: %s is wrong\n", kernels.name, what);
    std::exit(1);
}

bool near(const std::vector<float>& got, const std::vector<double>& wanted) {
    double largest = 0;
    for (double value : wanted) largest = std::fmax(largest, std::fabs(value));
    for (std::size_t at = 0; at < got.size(); ++at)
        if (std::isnan(wanted[at]) ? !std::isnan(got[at]) : !(std::fabs(got[at] - wanted[at]) <= 1e-5 * largest))
            return false;
    return true;
}

void floats_of(const fw::Kernels& kernels, const fw::Convolution& c, int threads) {
    const Index outputs = c.images * c.filters * c.output(0) * c.output(1),
                inputs = c.images * c.channels * c.height * c.width;
    auto x = floats(inputs, true);
    const auto weight = floats(c.filters * c.depth(), pick(0, 1) == 0), bias = floats(c.filters);
    const auto grad = floats(outputs, true);
    const bool sign = pick(0, 1) == 0;
    for (float& value : x)
        if (!sign && pick(0, 999) == 0) value = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> y(static_cast<std::size_t>(outputs)), dx(x.size());
    std::vector<double> wanted(y.size()), wanted_dx(x.size());
    const Index pixels = c.output(0) * c.output(1);
    for (Index at = 0; at < outputs; ++at) wanted[at] = bias[at / pixels % c.filters];
    terms(c, [&](Index output, Index in, Index k) {
        const double difference = (in < 0 ? 0.0 : x[in]) - static_cast<double>(weight[k]);
        wanted[output] -= std::fabs(difference);
        const double bound = sign ? 1e-30 : 1.0;
        const double slope = difference > bound ? -1.0 : difference < -bound ? 1.0 : -difference;
        if (in >= 0) wanted_dx[in] += slope * grad[output];
    });
    kernels.adder2d(c, x.data(), weight.data(), bias.data(), y.data(), threads);
    demand(near(y, wanted), "adder2d", kernels);
    kernels.adder2d_input_gradient(c, grad.data(), x.data(), weight.data(), sign, dx.data(), threads);
    for (Index at = 0; at < inputs; ++at)  // of what is no number and met by no filter, zero and no number both will do
        if (std::isnan(x[at]) && wanted_dx[at] == 0) dx[at] = 0;
    demand(near(dx, wanted_dx), "adder2d's input gradient", kernels);
}

void products_of(const fw::Kernels& kernels, const fw::Convolution& c, int threads) {
    const Index outputs = c.images * c.filters * c.output(0) * c.output(1),
                inputs = c.images * c.channels * c.height * c.width, kind = pick(0, 3);
    const auto x = kind == 0 ? any_floats(inputs) : floats(inputs, true);
    const auto weight = kind == 1 ? any_floats(c.filters * c.depth()) : floats(c.filters * c.depth(), kind == 2);
    const auto grad = floats(outputs, true), bias = floats(c.filters);
    const auto offset = static_cast<std::int32_t>(pick(0, 1) * 486539);
    std::vector<float> y(grad.size()), dx(x.size()), dweight(weight.size());
    kernels.mitchell_conv2d(c, x.data(), weight.data(), bias.data(), offset, y.data(), threads);
    record(y);
    for (const bool exact : {false, true}) {
        kernels.mitchell_input_gradient(c, grad.data(), x.data(), weight.data(), exact, offset, dx.data(), threads);
        if (kind > 1) record(dx);  // of the others, what lies outside of a picture is left to the reference
        kernels.mitchell_weight_gradient(c, grad.data(), x.data(), weight.data(), exact, offset, dweight.data(),
                                         threads);
        record(dweight);
    }
}

void bytes_of(const fw::Kernels& kernels, const fw::Convolution& c, int threads) {
    const Index outputs = c.images * c.filters * c.output(0) * c.output(1);
    const auto x = bytes(c.images * c.channels * c.height * c.width), weight = bytes(c.filters * c.depth());
    const auto shortcut = bytes(outputs);
    const auto zero = static_cast<std::uint8_t>(pick(0, 255));
    const std::vector<float> scale(static_cast<std::size_t>(c.filters), -1.0f / static_cast<float>(c.depth()));
    const std::vector<float> shift(static_cast<std::size_t>(c.filters), 200.0f);
    std::vector<Index> sums(static_cast<std::size_t>(outputs));
    terms(c, [&](Index output, Index in, Index k) { sums[output] += std::abs((in < 0 ? zero : x[in]) - weight[k]); });
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(kernels.adder2d_int8_packed_size(c))), y(sums.size());
    kernels.adder2d_int8_pack(c, weight.data(), packed.data());
    const auto out = fw::maps(y.data(), c.output(0), c.output(1));
    kernels.adder2d_int8(c, fw::maps(x.data(), c.height, c.width), zero, packed.data(), scale.data(), shift.data(),
                         fw::maps(shortcut.data(), c.output(0), c.output(1)), 0.25f, out, threads);
    for (Index at = 0; at < outputs; ++at) {
        float value = static_cast<float>(sums[at]) * scale[0] + 200.0f;
        value += static_cast<float>(shortcut[at]) * 0.25f;
        demand(y[at] == std::nearbyintf(std::fmax(0.0f, std::fmin(255.0f, value))), "adder2d in bytes", kernels);
    }
    record(y);
    const auto picture = floats(c.images * c.channels * c.height * c.width), filters = floats(c.filters * c.depth());
    kernels.conv2d_to_bytes(c, picture.data(), filters.data(), shift.data(), out, threads);
    record(y);
}

void matrices_of(const fw::Kernels& kernels, int threads) {
    const Index batch = pick(0, 2), rows = pick(1, 20), depth = pick(1, 600), columns = pick(1, 70);
    const auto left = pick(0, 2) == 0 ? any_floats(batch * rows * depth) : floats(batch * rows * depth, true);
    const auto right = floats(batch * depth * columns), own = floats(batch * rows * columns);
    const auto any = any_floats(batch * rows * columns);
    std::vector<float> out(own.size());
    for (const float* slopes : {static_cast<const float*>(nullptr), own.data()}) {
        kernels.mitchell_matmul(batch, rows, depth, columns, left.data(), right.data(), slopes, 0, slopes != nullptr,
                                out.data(), threads);
        record(out);
        kernels.mitchell_multiply(static_cast<Index>(own.size()), own.data(), any.data(), slopes, 0, out.data(),
                                  threads);
        record(out);
    }
}

void network() {
    fw::Int8Network net(3, 9, 11);
    fw::Convolution c{};
    c.filters = 5, c.groups = 1;
    for (int side = 0; side < 2; ++side)
        c.kernel[side] = 3, c.stride[side] = 1, c.padding[side] = 1, c.dilation[side] = 1;
    const std::vector<float> ones(5, 1.0f);
    int value = net.convolution(c, floats(5 * 27), ones);
    value = net.adder(c, value, bytes(5 * 45), ones, ones, 7, value, 0.5f);
    value = net.adder(c, value, bytes(5 * 45), ones, ones, 7, value, 0.5f);
    value = net.adder(c, value, bytes(5 * 45), ones, ones, 8, -1, 0.0f);
    net.adder(c, value, bytes(5 * 45), ones, ones, 9, -1, 0.0f);  // another byte around the same value
    value = net.max_pool(value, 2, 2, 1);
    value = net.mean(value, 0.1f, 0.2f);
    net.linear(value, 4, floats(20), std::vector<float>(4));
    for (const Index images : {2, 0, 5}) {
        const auto x = floats(images * 3 * 9 * 11);
        std::vector<float> y(static_cast<std::size_t>(images * 4));
        net.run(images, x.data(), y.data(), 2);
        record(y);
    }
}

}  // namespace

int main(int count, char** words) {
    const int rounds = count > 1 ? std::atoi(words[1]) : 40;
    std::uint64_t first = 0;
    for (const fw::Kernels* kernels : fw::all_kernels()) {
        engine.seed(0);
        digest = 14695981039346656037u;
        for (int round = 0; round < rounds; ++round) {
            floats_of(*kernels, geometry(), round % 3 + 1);
            products_of(*kernels, geometry(), round % 3 + 1);
            bytes_of(*kernels, geometry(), round % 3 + 1);
            matrices_of(*kernels, round % 3 + 1);
            entropy();
        }
        setenv("FEATHERWEIGHT_ISA", kernels->name, 1);
        network();
        std::printf("%s: %d rounds, digest %016" PRIx64 "\n", kernels->name, rounds, digest);
        if (kernels == fw::all_kernels().front()) first = digest;
        demand(digest == first, "a result that is the same bits with every set", *kernels);
    }
}
