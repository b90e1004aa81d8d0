/* Float32 arithmetic on integers, as fixed point: x stands for x / 2^bits. Rounds to the nearest, ties to even. */

static int64_t fw_divided(int64_t x, int bits) {
    uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (bits > 0) size = (size + (((uint64_t)1 << (bits - 1)) - 1 + (size >> bits & 1))) >> bits;
    return x < 0 ? -(int64_t)size : (int64_t)size;
}

/* As float32 holds x: 24 significant bits. */
static int64_t fw_single(int64_t x) {
    const uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    int bits = 0;
#ifdef __GNUC__
    if (size >> 24) bits = 40 - __builtin_clzll(size);
#else
    while (size >> bits >> 24) ++bits;
#endif
    return bits ? fw_divided(x, bits) * ((int64_t)1 << bits) : x;
}
