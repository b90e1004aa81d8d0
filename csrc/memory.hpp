// Memory for a kernel's own use, in whole cache lines.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace featherweight {

// How many numbers that is; throws where it is more than there are addresses.
inline std::int64_t product(std::int64_t a, std::int64_t b) {
    std::int64_t result;
    if (__builtin_mul_overflow(a, b, &result)) throw std::bad_alloc();
    return result;
}

template <typename T>
class Scratch {
  public:
    explicit Scratch(std::int64_t count) {
        if (count > PTRDIFF_MAX / static_cast<std::int64_t>(sizeof(T)) - 64) throw std::bad_alloc();
        const std::size_t bytes = (static_cast<std::size_t>(count < 1 ? 1 : count) * sizeof(T) + 63) / 64 * 64;
        data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (data_ == nullptr) throw std::bad_alloc();
    }
    ~Scratch() { std::free(data_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    operator T*() { return data_; }
    operator const T*() const { return data_; }

  private:
    T* data_;
};

}  // namespace featherweight
