// The kernels, the network in bytes, and the processor for Python.
#include "bind.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "cpu_info.hpp"
#include "int8_network.hpp"
#include "kernels.hpp"
#include "memory.hpp"

namespace nb = nanobind;
namespace fw = featherweight;

namespace {

template <int kDimensions>
using In = nb::ndarray<const float, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
template <int kDimensions>
using Out = nb::ndarray<float, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
template <int kDimensions>
using BytesIn = nb::ndarray<const std::uint8_t, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
using BytesOut = nb::ndarray<std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Sides = std::array<std::int64_t, 2>;

void want(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

void want_threads(int threads) { want(threads > 0 && threads <= 4096, "threads are 1 to 4096"); }

// The geometry, held against the arrays, so that no kernel reads or writes outside of them.
template <class X, class Weight, class Y>
fw::Convolution convolution(const X& x, const Weight& weight, const Y& y, const Sides& stride, const Sides& padding,
                            const Sides& dilation, std::int64_t groups) {
    const auto of = [](const auto& array, std::size_t dimension) {
        return static_cast<std::int64_t>(array.shape(dimension));
    };
    fw::Convolution c{};
    c.images = of(x, 0), c.channels = of(x, 1), c.height = of(x, 2), c.width = of(x, 3);
    c.filters = of(weight, 0), c.groups = groups;
    for (std::size_t i = 0; i < 2; ++i)
        c.kernel[i] = of(weight, 2 + i), c.stride[i] = stride[i], c.padding[i] = padding[i],
        c.dilation[i] = dilation[i];
    want(c.channels == of(weight, 1) * groups, "x [N, C, H, W], weight [O, C/groups, kh, kw] and groups do not fit");
    fw::check(c);
    want(of(y, 0) == c.images && of(y, 1) == c.filters && of(y, 2) == c.output(0) && of(y, 3) == c.output(1),
         "y is not [N, O, H', W']");
    return c;
}

void adder2d(In<4> x, In<4> weight, std::optional<In<1>> bias, Sides stride, Sides padding, Sides dilation,
             std::int64_t groups, Out<4> y, int threads) {
    const fw::Convolution c = convolution(x, weight, y, stride, padding, dilation, groups);
    want(!bias || bias->shape(0) == weight.shape(0), "bias is not [O]");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    kernels.adder2d(c, x.data(), weight.data(), bias ? bias->data() : nullptr, y.data(), fw::worth(c, threads));
}

void adder2d_input_gradient(In<4> grad, In<4> x, In<4> weight, Sides stride, Sides padding, Sides dilation,
                            std::int64_t groups, bool sign, Out<4> result, int threads) {
    const fw::Convolution c = convolution(x, weight, grad, stride, padding, dilation, groups);
    for (std::size_t i = 0; i < 4; ++i) want(result.shape(i) == x.shape(i), "the result is not as large as x");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    kernels.adder2d_input_gradient(c, grad.data(), x.data(), weight.data(), sign, result.data(), fw::worth(c, threads));
}

void mitchell_conv2d(In<4> x, In<4> weight, std::optional<In<1>> bias, Sides stride, Sides padding, Sides dilation,
                     std::int64_t groups, std::int32_t offset, Out<4> y, int threads) {
    const fw::Convolution c = convolution(x, weight, y, stride, padding, dilation, groups);
    want(!bias || bias->shape(0) == weight.shape(0), "bias is not [O]");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    kernels.mitchell_conv2d(c, x.data(), weight.data(), bias ? bias->data() : nullptr, offset, y.data(),
                            fw::worth(c, threads));
}

template <auto kKernel, bool kOfWeight>
void mitchell_gradient(In<4> grad, In<4> x, In<4> weight, Sides stride, Sides padding, Sides dilation,
                       std::int64_t groups, bool exact, std::int32_t offset, Out<4> result, int threads) {
    const fw::Convolution c = convolution(x, weight, grad, stride, padding, dilation, groups);
    for (std::size_t i = 0; i < 4; ++i)
        want(result.shape(i) == (kOfWeight ? weight : x).shape(i),
             "the result is not as large as what it is a gradient of");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    (kernels.*kKernel)(c, grad.data(), x.data(), weight.data(), exact, offset, result.data(), fw::worth(c, threads));
}

void mitchell_matmul(In<3> left, In<3> right, std::optional<In<3>> own, std::int32_t offset, bool transposed,
                     Out<3> out, int threads) {
    const std::size_t batch = left.shape(0), rows = left.shape(1), depth = left.shape(2), columns = right.shape(2);
    want(right.shape(0) == batch && right.shape(1) == depth,
         "left [batch, rows, depth] and right [batch, depth, columns] do not fit");
    const auto fits = [&](const auto& array) {
        return array.shape(0) == batch && array.shape(transposed ? 2 : 1) == rows &&
               array.shape(transposed ? 1 : 2) == columns;
    };
    want(fits(out) && (!own || fits(*own)), "the result is not [batch, rows, columns], or transposed");
    want(depth > 0, "depth is 1 or more");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    kernels.mitchell_matmul(static_cast<std::int64_t>(batch), static_cast<std::int64_t>(rows),
                            static_cast<std::int64_t>(depth), static_cast<std::int64_t>(columns), left.data(),
                            right.data(), own ? own->data() : nullptr, offset, transposed, out.data(), threads);
}

void mitchell_multiply(In<1> a, In<1> b, std::optional<In<1>> own, std::int32_t offset, Out<1> out, int threads) {
    want(a.shape(0) == b.shape(0) && out.shape(0) == a.shape(0) && (!own || own->shape(0) == a.shape(0)),
         "the arrays are not of one length");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    kernels.mitchell_multiply(static_cast<std::int64_t>(a.shape(0)), a.data(), b.data(), own ? own->data() : nullptr,
                              offset, out.data(), threads);
}

void adder2d_int8(BytesIn<4> x, BytesIn<4> weight, In<1> scale, In<1> shift, std::optional<BytesIn<4>> shortcut,
                  float shortcut_scale, Sides stride, Sides padding, Sides dilation, std::int64_t groups,
                  std::uint8_t zero, BytesOut y, int threads) {
    const fw::Convolution c = convolution(x, weight, y, stride, padding, dilation, groups);
    want(scale.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0), "scale or shift is not [O]");
    for (std::size_t i = 0; shortcut && i < 4; ++i)
        want(shortcut->shape(i) == y.shape(i), "the shortcut is not as large as y");
    want_threads(threads);
    const fw::Kernels& kernels = fw::kernels();
    nb::gil_scoped_release release;
    fw::Scratch<std::uint8_t> packed(kernels.adder2d_int8_packed_size(c));
    kernels.adder2d_int8_pack(c, weight.data(), packed);
    const auto added = fw::maps(shortcut ? shortcut->data() : nullptr, c.output(0), c.output(1));
    kernels.adder2d_int8(c, fw::maps(x.data(), c.height, c.width), zero, packed, scale.data(), shift.data(), added,
                         shortcut_scale, fw::maps(y.data(), c.output(0), c.output(1)), fw::worth(c, threads));
}

// A layer's geometry but for the picture, and its weight as a list, of [O, C/groups, kh, kw].
template <class Weight>
fw::Convolution geometry(const Weight& weight, const Sides& stride, const Sides& padding, const Sides& dilation,
                         std::int64_t groups) {
    fw::Convolution c{};
    c.filters = static_cast<std::int64_t>(weight.shape(0)), c.groups = groups;
    for (std::size_t i = 0; i < 2; ++i) {
        c.kernel[i] = static_cast<std::int64_t>(weight.shape(2 + i));
        c.stride[i] = stride[i], c.padding[i] = padding[i], c.dilation[i] = dilation[i];
    }
    return c;
}

template <class Array>
auto list(const Array& array) {
    return std::vector<std::remove_cv_t<typename Array::Scalar>>(array.data(), array.data() + array.size());
}

template <class Weight>
void demand_channels(const fw::Int8Network& network, int from, const Weight& weight, std::int64_t groups) {
    want(network.channels(from) == static_cast<std::int64_t>(weight.shape(1)) * groups,
         "the weight [O, C/groups, kh, kw] is not for the channels that there are");
}

void bind_int8_network(nb::module_& module) {
    using namespace nb::literals;
    using Net = fw::Int8Network;
    nb::class_<Net>(module, "Int8Network")
        .def(nb::init<std::int64_t, std::int64_t, std::int64_t>(), "channels"_a, "height"_a, "width"_a)
        .def(
            "convolution",
            [](Net& net, In<4> weight, In<1> shift, Sides stride, Sides padding, Sides dilation, std::int64_t groups) {
                demand_channels(net, 0, weight, groups);
                want(shift.shape(0) == weight.shape(0), "shift is not [O]");
                return net.convolution(geometry(weight, stride, padding, dilation, groups), list(weight), list(shift));
            },
            "weight"_a, "shift"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a)
        .def(
            "adder",
            [](Net& net, int from, BytesIn<4> weight, In<1> scale, In<1> shift, Sides stride, Sides padding,
               Sides dilation, std::int64_t groups, std::uint8_t zero, int shortcut, float shortcut_scale) {
                demand_channels(net, from, weight, groups);
                want(scale.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
                     "scale or shift is not [O]");
                return net.adder(geometry(weight, stride, padding, dilation, groups), from, list(weight), list(scale),
                                 list(shift), zero, shortcut, shortcut_scale);
            },
            "source"_a, "weight"_a, "scale"_a, "shift"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "zero"_a,
            "shortcut"_a = -1, "shortcut_scale"_a = 0.0f)
        .def(
            "scores",
            [](Net& net, int from, BytesIn<4> weight, In<1> scale, In<1> shift) {
                demand_channels(net, from, weight, 1);
                want(scale.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
                     "scale or shift is not [O]");
                return net.scores(geometry(weight, {1, 1}, {0, 0}, {1, 1}, 1), from, list(weight), list(scale),
                                  list(shift));
            },
            "source"_a, "weight"_a, "scale"_a, "shift"_a)
        .def("picture", &Net::picture, "scale"_a, "shift"_a)
        .def("max_pool", &Net::max_pool, "source"_a, "kernel"_a, "stride"_a, "padding"_a)
        .def("mean", &Net::mean, "source"_a, "scale"_a, "shift"_a)
        .def("unpack", &Net::unpack, "source"_a, "scale"_a, "shift"_a)
        .def(
            "linear",
            [](Net& net, int from, In<2> weight, In<1> bias) {
                want(bias.shape(0) == weight.shape(0), "bias is not [out]");
                return net.linear(from, static_cast<std::int64_t>(weight.shape(0)), list(weight), list(bias));
            },
            "source"_a, "weight"_a, "bias"_a)
        .def(
            "run",
            [](Net& net, In<4> x, nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu> y, int threads) {
                want(net.takes(static_cast<std::int64_t>(x.shape(1)), static_cast<std::int64_t>(x.shape(2)),
                               static_cast<std::int64_t>(x.shape(3))),
                     "x is not of the size that the network is for");
                want(y.shape(0) == x.shape(0) && static_cast<std::int64_t>(y.shape(1)) == net.outputs(),
                     "y is not [N, classes]");
                want_threads(threads);
                nb::gil_scoped_release release;
                net.run(static_cast<std::int64_t>(x.shape(0)), x.data(), y.data(), threads);
            },
            "x"_a, "y"_a.noconvert(), "threads"_a)
        .def_prop_ro("outputs", &Net::outputs)
        .def_prop_ro("instruction_set", &Net::instruction_set);
}

}  // namespace

NB_MODULE(_native, module) {
    using namespace nb::literals;
    module.doc() = "Compiled parts of featherweight.";
    nb::class_<fw::Cache>(module, "Cache")
        .def_ro("level", &fw::Cache::level)
        .def_ro("kind", &fw::Cache::kind)
        .def_ro("bytes", &fw::Cache::bytes);
    module.def("instruction_sets", &fw::instruction_sets,
               "Instruction sets that kernels may use, each with whether this processor runs it.");
    module.def("caches", &fw::caches, "Caches of the first processor; sizes in bytes.");
    module.def("available_processors", &fw::available_processors, "Processors this process may run on.");
    module.def(
        "kernels", [] { return fw::kernels().name; },
        "The instruction set whose kernels run: that which FEATHERWEIGHT_ISA names, or the best.");
    module.def(
        "all_kernels",
        [] {
            std::vector<std::string> names;
            for (const fw::Kernels* one : fw::all_kernels()) names.emplace_back(one->name);
            return names;
        },
        "The instruction sets that have kernels and that this processor runs, the best first.");
    // Outputs are noconvert: a converted array would be a copy, and what is written to it lost.
    module.def("adder2d", &adder2d, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a, "padding"_a, "dilation"_a,
               "groups"_a, "y"_a.noconvert(), "threads"_a, "Y = - sum |X - F| + bias, into y.");
    module.def("adder2d_input_gradient", &adder2d_input_gradient, "grad"_a, "x"_a, "weight"_a, "stride"_a, "padding"_a,
               "dilation"_a, "groups"_a, "sign"_a, "result"_a.noconvert(), "threads"_a,
               "dL/dX from dL/dY, with the slope F - X clipped or its sign, into result.");
    module.def("mitchell_conv2d", &mitchell_conv2d, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a, "padding"_a,
               "dilation"_a, "groups"_a, "offset"_a, "y"_a.noconvert(), "threads"_a,
               "Convolution by integer addition, into y; offset is the compensation in units of the last bit.");
    module.def("mitchell_input_gradient", &mitchell_gradient<&fw::Kernels::mitchell_input_gradient, false>, "grad"_a,
               "x"_a, "weight"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "exact"_a, "offset"_a,
               "result"_a.noconvert(), "threads"_a, "dL/dx from dL/dy, into result.");
    module.def("mitchell_weight_gradient", &mitchell_gradient<&fw::Kernels::mitchell_weight_gradient, true>, "grad"_a,
               "x"_a, "weight"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "exact"_a, "offset"_a,
               "result"_a.noconvert(), "threads"_a, "dL/dweight from dL/dy, into result.");
    module.def(
        "mitchell_matmul", &mitchell_matmul, "left"_a, "right"_a, "own"_a.none(), "offset"_a, "transposed"_a,
        "out"_a.noconvert(), "threads"_a,
        "Products of matrices by integer addition, into out; with own, of right and the slopes of own and left.");
    module.def("mitchell_multiply", &mitchell_multiply, "a"_a, "b"_a, "own"_a.none(), "offset"_a, "out"_a.noconvert(),
               "threads"_a, "Products by integer addition, into out; with own, of a and the slopes of own and b.");
    module.def("adder2d_int8", &adder2d_int8, "x"_a, "weight"_a, "scale"_a, "shift"_a, "shortcut"_a.none(),
               "shortcut_scale"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "zero"_a, "y"_a.noconvert(),
               "threads"_a, "The adder layer on bytes, scaled, shifted and rounded to bytes, into y.");
    bind_int8_network(module);
    fw::bind_entropy(module);
    module.attr("compiler") =
#if defined(__clang__)
        "clang " __clang_version__;
#elif defined(__GNUC__)
        "gcc " __VERSION__;
#else
        "unknown";
#endif
}
