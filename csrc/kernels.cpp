#include "kernels.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace featherweight {

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
#elif defined(__aarch64__)
namespace neon {
extern const Kernels kernels;
}
#endif
namespace plain {
extern const Kernels kernels;
}

namespace {

struct Choice {
    const Kernels& kernels;
    bool runs;
};

// From the best to the last.
const Choice* choices(int* count) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    static const Choice all[] = {
        {avx512::kernels, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                              __builtin_cpu_supports("fma")},
        {avx2::kernels, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
        {plain::kernels, true},
    };
#elif defined(__aarch64__)
    static const Choice all[] = {{neon::kernels, true}, {plain::kernels, true}};
#else
    static const Choice all[] = {{plain::kernels, true}};
#endif
    *count = static_cast<int>(sizeof(all) / sizeof(all[0]));
    return all;
}

}  // namespace

std::vector<const Kernels*> all_kernels() {
    std::vector<const Kernels*> found;
    int count = 0;
    const Choice* all = choices(&count);
    for (int i = 0; i < count; ++i)
        if (all[i].runs) found.push_back(&all[i].kernels);
    return found;
}

const Kernels& kernels() {
    static const std::vector<const Kernels*> all = all_kernels();
    const char* asked = std::getenv("FEATHERWEIGHT_ISA");
    if (asked == nullptr || *asked == '\0') return *all.front();
    std::string known;
    for (const Kernels* one : all) {
        if (std::string(asked) == one->name) return *one;
        known += (known.empty() ? "" : ", ") + std::string(one->name);
    }
    throw std::invalid_argument("FEATHERWEIGHT_ISA is \"" + std::string(asked) + "\"; this processor runs " + known);
}

}  // namespace featherweight
