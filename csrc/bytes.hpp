// Bytes among vectors of floats: what the layers of an int8 network load, round and store.
#pragma once

#include <cmath>

#include "simd.hpp"

namespace featherweight {
namespace FEATHERWEIGHT_ISA {

using Byte = std::uint8_t;
using Index = std::int64_t;

// Up to kLanes at a time: `count` of them are touched, and the other lanes are anything.
#if defined(__AVX512BW__)

inline Floats numbers(const std::int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
inline Floats load_bytes(const Byte* p, Index count) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first(count), p)));
}
// Rounds to the nearest byte, ties to the even one.
inline void store_bytes(Byte* p, Floats a, Index count) {
    const __m512i rounded = _mm512_cvtps_epu32(_mm512_max_ps(_mm512_setzero_ps(), a));  // too large: all bits
    const __m128i bytes = _mm512_cvtusepi32_epi8(rounded);
    if (count == kLanes) _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
    else _mm_mask_storeu_epi8(p, first(count), bytes);
}
inline void fill(Byte* to, Byte value, Index count) {
    for (; count > 0; count -= 64, to += 64)
        _mm512_mask_storeu_epi8(to, count < 64 ? (__mmask64{1} << count) - 1 : ~__mmask64{0}, _mm512_set1_epi8(value));
}
inline void copy(Byte* to, const Byte* from, Index count) {
    for (; count > 0; count -= 64, from += 64, to += 64) {
        const __mmask64 some = count < 64 ? (__mmask64{1} << count) - 1 : ~__mmask64{0};
        _mm512_mask_storeu_epi8(to, some, _mm512_maskz_loadu_epi8(some, from));
    }
}

// to[i] = from[2 * i]
inline void copy_second(Byte* to, const Byte* from, Index count) {
    for (; count > 0; count -= 32, from += 64, to += 32) {
        const __mmask32 some = count < 32 ? (__mmask32{1} << count) - 1 : ~__mmask32{0};
        const Index bytes = 2 * count - 1;
        const __mmask64 read = bytes < 64 ? (__mmask64{1} << bytes) - 1 : ~__mmask64{0};
        const __m512i both = _mm512_maskz_loadu_epi8(read, from);
        _mm256_mask_storeu_epi8(to, some, _mm512_cvtepi16_epi8(both));
    }
}

#else

#if defined(__AVX2__)

inline Floats numbers(const std::int32_t* p) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Floats load_bytes(const Byte* p, Index count) {
    std::int64_t bytes = 0;
    if (count == kLanes) std::memcpy(&bytes, p, kLanes);
    else std::memcpy(&bytes, p, static_cast<std::size_t>(count));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes)));
}
inline void store_bytes(Byte* p, Floats a, Index count) {
    const Floats clipped = _mm256_max_ps(_mm256_setzero_ps(), _mm256_min_ps(a, _mm256_set1_ps(255.0f)));
    const __m256i rounded = _mm256_cvtps_epi32(clipped);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    const std::int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    if (count == kLanes) std::memcpy(p, &bytes, kLanes);
    else std::memcpy(p, &bytes, static_cast<std::size_t>(count));
}

#else

inline Floats numbers(const std::int32_t* p) {
    float own[kLanes];
    for (int i = 0; i < kLanes; ++i) own[i] = static_cast<float>(p[i]);
    return load(own);
}
inline Floats load_bytes(const Byte* p, Index count) {
    float own[kLanes] = {};
    for (Index i = 0; i < count; ++i) own[i] = static_cast<float>(p[i]);
    return load(own);
}
inline void store_bytes(Byte* p, Floats a, Index count) {
    float own[kLanes];
    store(own, a);
    for (Index i = 0; i < count; ++i) {
        float value = own[i] < 255.0f ? own[i] : 255.0f;
        value = value > 0.0f ? value : 0.0f;
        p[i] = static_cast<Byte>(std::nearbyintf(value));
    }
}

#endif

inline void fill(Byte* to, Byte value, Index count) { std::memset(to, value, static_cast<std::size_t>(count)); }
inline void copy(Byte* to, const Byte* from, Index count) { std::memcpy(to, from, static_cast<std::size_t>(count)); }
inline void copy_second(Byte* __restrict to, const Byte* __restrict from, Index count) {
    for (Index at = 0; at < count; ++at) to[at] = from[2 * at];
}

#endif

}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
