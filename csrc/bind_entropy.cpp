// The entropy coders, and weights from what they decode, for Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

#include "bind.hpp"
#include "huffman.hpp"
#include "rans.hpp"
#include "shared_weights.hpp"

namespace nb = nanobind;
namespace fw = featherweight;

namespace {

template <class T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class Array>
std::int64_t size(const Array& array) {
    return static_cast<std::int64_t>(array.shape(0));
}

std::int64_t huffman_encode(In<std::uint8_t> symbols, In<std::uint8_t> lengths, Out out) {
    const fw::Huffman code(lengths.data(), size(lengths));
    nb::gil_scoped_release release;
    const std::int64_t bytes = code.size(symbols.data(), size(symbols));
    if (size(out) < bytes) throw std::invalid_argument("out is too small for these symbols");
    code.encode(symbols.data(), size(symbols), out.data());
    return bytes;
}

void huffman_decode(In<std::uint8_t> data, In<std::uint8_t> lengths, Out symbols) {
    const fw::Huffman code(lengths.data(), size(lengths));
    nb::gil_scoped_release release;
    code.decode(data.data(), size(data), symbols.data(), size(symbols));
}

std::int64_t rans_encode(In<std::uint8_t> symbols, In<std::uint32_t> frequencies, Out out) {
    const fw::Rans code(frequencies.data(), size(frequencies));
    if (size(out) != fw::Rans::most(size(symbols))) throw std::invalid_argument("out is not 2 bytes a symbol and 16");
    nb::gil_scoped_release release;
    return code.encode(symbols.data(), size(symbols), out.data());
}

void rans_decode(In<std::uint8_t> data, In<std::uint32_t> frequencies, Out symbols) {
    const fw::Rans code(frequencies.data(), size(frequencies));
    nb::gil_scoped_release release;
    code.decode(data.data(), size(data), symbols.data(), size(symbols));
}

void place_weights(In<std::uint8_t> positions, In<std::uint8_t> indices, In<float> codebook,
                   nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu> weights) {
    nb::gil_scoped_release release;
    fw::place_weights(positions.data(), size(positions), indices.data(), size(indices), codebook.data(), size(codebook),
                      weights.data(), size(weights));
}

}  // namespace

void fw::bind_entropy(nb::module_& module) {
    using namespace nb::literals;
    module.def("huffman_encode", &huffman_encode, "symbols"_a, "lengths"_a, "out"_a.noconvert(),
               "Code bytes by codes of these lengths into the beginning of out; returns how many bytes that took.");
    module.def("huffman_decode", &huffman_decode, "data"_a, "lengths"_a, "symbols"_a.noconvert(),
               "Decode as many bytes as there is room for in symbols.");
    module.def("rans_encode", &rans_encode, "symbols"_a, "frequencies"_a, "out"_a.noconvert(),
               "Code bytes by these frequencies into the end of out; returns how many bytes that took.");
    module.def("rans_decode", &rans_decode, "data"_a, "frequencies"_a, "symbols"_a.noconvert(),
               "Decode as many bytes as there is room for in symbols.");
    module.def("place_weights", &::place_weights, "positions"_a, "indices"_a, "codebook"_a, "weights"_a.noconvert(),
               "Write the weights that are not zero, given the zeros before each and its index into the codebook.");
}
