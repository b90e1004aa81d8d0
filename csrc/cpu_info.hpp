// What this processor can do and how large its caches are: what kernels dispatch on.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace featherweight {

struct Cache {
    int level;         // 1, 2, 3
    std::string kind;  // "data", "instruction" or "unified"
    std::int64_t bytes;
};

// The instruction sets that our kernels may be compiled for, each with whether this processor and its operating
// system can run it. The names are the compiler's own.
inline std::vector<std::pair<std::string, bool>> instruction_sets() {
    std::vector<std::pair<std::string, bool>> sets;
#if defined(__x86_64__)
    __builtin_cpu_init();
#define FEATHERWEIGHT_ISA(name) sets.emplace_back(name, __builtin_cpu_supports(name) != 0)
    FEATHERWEIGHT_ISA("sse4.2");
    FEATHERWEIGHT_ISA("avx");
    FEATHERWEIGHT_ISA("avx2");
    FEATHERWEIGHT_ISA("fma");
    FEATHERWEIGHT_ISA("avx512f");
    FEATHERWEIGHT_ISA("avx512dq");
    FEATHERWEIGHT_ISA("avx512bw");
    FEATHERWEIGHT_ISA("avx512vl");
    FEATHERWEIGHT_ISA("avx512vnni");
#if defined(__GNUC__) && (__GNUC__ >= 10 || defined(__clang__))
    FEATHERWEIGHT_ISA("avx512bf16");
#endif
#undef FEATHERWEIGHT_ISA
#elif defined(__aarch64__)
    sets.emplace_back("neon", true);  // part of the architecture
#endif
    return sets;
}

// "32K", "1M" and "2048" as the kernel prints them; 0 when it cannot be read.
inline std::int64_t parse_size(const std::string& text) {
    try {
        std::size_t used = 0;
        std::int64_t value = std::stoll(text, &used);
        if (used < text.size()) {
            if (text[used] == 'K') value <<= 10;
            if (text[used] == 'M') value <<= 20;
            if (text[used] == 'G') value <<= 30;
        }
        return value;
    } catch (const std::exception&) {
        return 0;
    }
}

// The caches of the first processor, from the operating system; empty where it does not tell.
inline std::vector<Cache> caches() {
    std::vector<Cache> found;
#if defined(__linux__)
    const std::string base = "/sys/devices/system/cpu/cpu0/cache/index";
    for (int index = 0; index < 16; ++index) {
        const std::string folder = base + std::to_string(index) + "/";
        std::ifstream level_file(folder + "level"), type_file(folder + "type"), size_file(folder + "size");
        std::string level, type, size;
        if (!(level_file >> level) || !(type_file >> type) || !(size_file >> size)) break;
        const std::string kind = type == "Data" ? "data" : type == "Instruction" ? "instruction" : "unified";
        found.push_back({std::stoi(level), kind, parse_size(size)});
    }
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    if (found.empty()) {  // a machine without that folder: ask the C library
        const struct {
            int name, level;
            const char* kind;
        } asked[] = {
            {_SC_LEVEL1_DCACHE_SIZE, 1, "data"},
            {_SC_LEVEL1_ICACHE_SIZE, 1, "instruction"},
            {_SC_LEVEL2_CACHE_SIZE, 2, "unified"},
            {_SC_LEVEL3_CACHE_SIZE, 3, "unified"},
        };
        for (const auto& one : asked) {
            const long bytes = sysconf(one.name);
            if (bytes > 0) found.push_back({one.level, one.kind, bytes});
        }
    }
#endif
#endif
    return found;
}

// The processors this process may run on, which a container or an affinity mask can make fewer than the machine has.
inline int available_processors() {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
    const unsigned count = std::thread::hardware_concurrency();
    return count > 0 ? static_cast<int>(count) : 1;
}

}  // namespace featherweight
