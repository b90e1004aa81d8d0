// What bind*.cpp, the only files that know Python, put into the module.
#pragma once

#include <nanobind/nanobind.h>

namespace featherweight {

void bind_entropy(nanobind::module_& module);

}  // namespace featherweight
