// Vectors as wide as the registers of the instruction set that the including file is compiled for.
//
// Each of isa/*.cpp names its set, FEATHERWEIGHT_ISA, and includes the kernels, so all that is compiled for it lies in
// a namespace of that name. Only plain functions and structures here: a template of the standard library, compiled
// for a larger set, could be linked into code that runs on a smaller one.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if !defined(FEATHERWEIGHT_ISA)
#error "FEATHERWEIGHT_ISA names the namespace of what is compiled for one instruction set"
#endif

namespace featherweight {
namespace FEATHERWEIGHT_ISA {

#if defined(__AVX512F__)

constexpr int kLanes = 16;
constexpr int kRegisters = 32;
using Floats = __m512;

inline Floats load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
inline __mmask16 first(std::int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
// The first `count` lanes, less than all; the others are zero, and nothing behind is touched.
inline Floats load_some(const float* p, std::int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
inline void store_some(float* p, Floats a, std::int64_t count) { _mm512_mask_storeu_ps(p, first(count), a); }
inline Floats all(float a) { return _mm512_set1_ps(a); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats smaller(Floats a, Floats b) { return _mm512_min_ps(a, b); }
inline Floats absolute(Floats a) { return _mm512_abs_ps(a); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
// a clipped to [-1, 1], for an a that is a number.
inline Floats clip(Floats a) { return _mm512_range_ps(a, _mm512_set1_ps(1.0f), 0b0010); }
// c + b where a > 0, c - b where a < 0, else c.
inline Floats add_signed(Floats a, Floats b, Floats c) {
    const Floats zero = _mm512_setzero_ps();
    c = _mm512_mask_add_ps(c, _mm512_cmp_ps_mask(a, zero, _CMP_GT_OQ), c, b);
    return _mm512_mask_sub_ps(c, _mm512_cmp_ps_mask(a, zero, _CMP_LT_OQ), c, b);
}
// Whether a <= b does not hold in some lane, which it does not for what is no number.
inline bool any_above(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ) != 0; }

using Ints = __m512i;     // 32 bits each
using Lanes = __mmask16;  // some of the lanes
inline Ints bits(Floats a) { return _mm512_castps_si512(a); }
inline Floats floats(Ints a) { return _mm512_castsi512_ps(a); }
inline Ints all_bits(std::int32_t a) { return _mm512_set1_epi32(a); }
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
// The lanes where a and b have a bit in common.
inline Lanes meet(Ints a, Ints b) { return _mm512_test_epi32_mask(a, b); }
// a + b in some lanes, a in the others; a is not -0.
inline Floats add_in(Lanes lanes, Floats a, Floats b) { return _mm512_mask_add_ps(a, lanes, a, b); }

#elif defined(__AVX2__)

constexpr int kLanes = 8;
constexpr int kRegisters = 16;
using Floats = __m256;

inline __m256i first(std::int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Floats load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Floats a) { _mm256_storeu_ps(p, a); }
inline Floats load_some(const float* p, std::int64_t count) { return _mm256_maskload_ps(p, first(count)); }
inline void store_some(float* p, Floats a, std::int64_t count) { _mm256_maskstore_ps(p, first(count), a); }
inline Floats all(float a) { return _mm256_set1_ps(a); }
inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
inline Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats smaller(Floats a, Floats b) { return _mm256_min_ps(a, b); }
inline Floats absolute(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats add_signed(Floats a, Floats b, Floats c) {
    const Floats zero = _mm256_setzero_ps();
    c = _mm256_add_ps(c, _mm256_and_ps(_mm256_cmp_ps(a, zero, _CMP_GT_OQ), b));
    return _mm256_sub_ps(c, _mm256_and_ps(_mm256_cmp_ps(a, zero, _CMP_LT_OQ), b));
}
inline bool any_above(Floats a, Floats b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)) != 0; }

using Ints = __m256i;
using Lanes = __m256i;  // all bits of a lane, or none
inline Ints bits(Floats a) { return _mm256_castps_si256(a); }
inline Floats floats(Ints a) { return _mm256_castsi256_ps(a); }
inline Ints all_bits(std::int32_t a) { return _mm256_set1_epi32(a); }
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Ints both(Ints a, Ints b) { return _mm256_and_si256(a, b); }
inline Lanes meet(Ints a, Ints b) {
    return _mm256_xor_si256(_mm256_cmpeq_epi32(both(a, b), _mm256_setzero_si256()), _mm256_set1_epi32(-1));
}
inline Floats add_in(Lanes lanes, Floats a, Floats b) { return add(a, floats(both(lanes, bits(b)))); }

#else

// NEON has the arithmetic below as single instructions; elsewhere the compiler makes of the loops what it can.
constexpr int kLanes = 4;
#if defined(__ARM_NEON)

constexpr int kRegisters = 32;
using Floats = float32x4_t;

inline Floats load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, Floats a) { vst1q_f32(p, a); }
inline Floats all(float a) { return vdupq_n_f32(a); }
inline Floats add(Floats a, Floats b) { return vaddq_f32(a, b); }
inline Floats sub(Floats a, Floats b) { return vsubq_f32(a, b); }
inline Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
inline Floats larger(Floats a, Floats b) { return vmaxq_f32(a, b); }
inline Floats smaller(Floats a, Floats b) { return vminq_f32(a, b); }
inline Floats absolute(Floats a) { return vabsq_f32(a); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
inline Floats add_signed(Floats a, Floats b, Floats c) {
    const uint32x4_t bits = vreinterpretq_u32_f32(b);
    c = vaddq_f32(c, vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(a), bits)));
    return vsubq_f32(c, vreinterpretq_f32_u32(vandq_u32(vcltzq_f32(a), bits)));
}
inline bool any_above(Floats a, Floats b) { return vminvq_u32(vcleq_f32(a, b)) == 0; }

using Ints = uint32x4_t;
using Lanes = uint32x4_t;
inline Ints bits(Floats a) { return vreinterpretq_u32_f32(a); }
inline Floats floats(Ints a) { return vreinterpretq_f32_u32(a); }
inline Ints all_bits(std::int32_t a) { return vdupq_n_u32(static_cast<std::uint32_t>(a)); }
inline Ints add(Ints a, Ints b) { return vaddq_u32(a, b); }
inline Ints both(Ints a, Ints b) { return vandq_u32(a, b); }
inline Lanes meet(Ints a, Ints b) { return vtstq_u32(a, b); }
inline Floats add_in(Lanes lanes, Floats a, Floats b) { return add(a, floats(both(lanes, bits(b)))); }

#else

constexpr int kRegisters = 16;
struct Floats {
    float lane[kLanes];
};

#define FEATHERWEIGHT_EACH(expression)                              \
    Floats result;                                                  \
    for (int i = 0; i < kLanes; ++i) result.lane[i] = (expression); \
    return result
inline Floats load(const float* p) { FEATHERWEIGHT_EACH(p[i]); }
inline void store(float* p, Floats a) {
    for (int i = 0; i < kLanes; ++i) p[i] = a.lane[i];
}
inline Floats all(float a) { FEATHERWEIGHT_EACH(a); }
inline Floats add(Floats a, Floats b) { FEATHERWEIGHT_EACH(a.lane[i] + b.lane[i]); }
inline Floats sub(Floats a, Floats b) { FEATHERWEIGHT_EACH(a.lane[i] - b.lane[i]); }
inline Floats multiply(Floats a, Floats b) { FEATHERWEIGHT_EACH(a.lane[i] * b.lane[i]); }
// As in the other sets: the second where one is no number.
inline Floats larger(Floats a, Floats b) { FEATHERWEIGHT_EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
inline Floats smaller(Floats a, Floats b) { FEATHERWEIGHT_EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
inline Floats absolute(Floats a) { FEATHERWEIGHT_EACH(a.lane[i] < 0 ? -a.lane[i] : a.lane[i]); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { FEATHERWEIGHT_EACH(a.lane[i] * b.lane[i] + c.lane[i]); }
inline Floats add_signed(Floats a, Floats b, Floats c) {
    FEATHERWEIGHT_EACH(a.lane[i] > 0 ? c.lane[i] + b.lane[i] : a.lane[i] < 0 ? c.lane[i] - b.lane[i] : c.lane[i]);
}
#undef FEATHERWEIGHT_EACH

struct Ints {
    std::uint32_t lane[kLanes];
};
using Lanes = Ints;
#define FEATHERWEIGHT_EACH(expression)                              \
    Ints result;                                                    \
    for (int i = 0; i < kLanes; ++i) result.lane[i] = (expression); \
    return result
inline Ints all_bits(std::int32_t a) { FEATHERWEIGHT_EACH(static_cast<std::uint32_t>(a)); }
inline Ints add(Ints a, Ints b) { FEATHERWEIGHT_EACH(a.lane[i] + b.lane[i]); }
inline Ints both(Ints a, Ints b) { FEATHERWEIGHT_EACH(a.lane[i] & b.lane[i]); }
inline Lanes meet(Ints a, Ints b) { FEATHERWEIGHT_EACH((a.lane[i] & b.lane[i]) != 0 ? ~0u : 0u); }
#undef FEATHERWEIGHT_EACH
inline Ints bits(Floats a) {
    Ints result;
    std::memcpy(result.lane, a.lane, sizeof(result.lane));
    return result;
}
inline Floats floats(Ints a) {
    Floats result;
    std::memcpy(result.lane, a.lane, sizeof(result.lane));
    return result;
}
inline Floats add_in(Lanes lanes, Floats a, Floats b) { return add(a, floats(both(lanes, bits(b)))); }
inline bool any_above(Floats a, Floats b) {
    bool any = false;
    for (int i = 0; i < kLanes; ++i) any |= !(a.lane[i] <= b.lane[i]);
    return any;
}

#endif

inline Floats load_some(const float* p, std::int64_t count) {
    float lane[kLanes] = {};
    for (std::int64_t i = 0; i < count; ++i) lane[i] = p[i];
    return load(lane);
}
inline void store_some(float* p, Floats a, std::int64_t count) {
    float lane[kLanes];
    store(lane, a);
    for (std::int64_t i = 0; i < count; ++i) p[i] = lane[i];
}

#endif

// a clipped to [-1, 1]; what is no number stays so.
inline Floats clip_any(Floats a) { return smaller(all(1.0f), larger(all(-1.0f), a)); }
#if !defined(__AVX512F__)
inline Floats clip(Floats a) { return clip_any(a); }
#endif

}  // namespace FEATHERWEIGHT_ISA
}  // namespace featherweight
