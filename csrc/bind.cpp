// The only file that knows Python.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "cpu_info.hpp"

namespace nb = nanobind;
namespace fw = featherweight;

NB_MODULE(_native, module) {
    module.doc() = "Compiled parts of featherweight.";
    nb::class_<fw::Cache>(module, "Cache")
        .def_ro("level", &fw::Cache::level)
        .def_ro("kind", &fw::Cache::kind)
        .def_ro("bytes", &fw::Cache::bytes);
    module.def("instruction_sets", &fw::instruction_sets,
               "Instruction sets that kernels may use, each with whether this processor runs it.");
    module.def("caches", &fw::caches, "Caches of the first processor; sizes in bytes.");
    module.def("available_processors", &fw::available_processors, "Processors this process may run on.");
    module.attr("compiler") =
#if defined(__clang__)
        "clang " __clang_version__;
#elif defined(__GNUC__)
        "gcc " __VERSION__;
#else
        "unknown";
#endif
}
