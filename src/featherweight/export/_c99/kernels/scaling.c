/* x * scale as float32 multiplies, in units of 1 / 2^fw_shift(scale). */
static int fw_shift(uint32_t scale) { return 150 - (int)(scale >> 23); }

static int64_t fw_scaled(int32_t x, uint32_t scale) {
    return fw_single(fw_single(x) * (int64_t)((scale & 0x7fffff) | 0x800000));
}

static uint8_t fw_within(int64_t value, uint8_t least, uint8_t most) {
    return (uint8_t)(value < least ? least : value > most ? most : value);
}
