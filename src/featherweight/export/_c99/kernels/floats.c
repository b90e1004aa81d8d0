#include <float.h>
#if FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "the answers are those of float32: compile without -ffast-math, and for SSE2 instead of x87"
#endif

/* To the nearest byte, ties to even. */
static uint8_t fw_nearest(float value) {
    if (!(value > 0.0f)) return 0;
    if (value >= 255.0f) return 255;
    const int32_t whole = (int32_t)value;
    const float rest = value - (float)whole;
    return (uint8_t)(whole + (rest > 0.5f || (rest == 0.5f && (whole & 1))));
}
