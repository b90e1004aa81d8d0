static uint8_t fw_requantized(int32_t sum, uint32_t scale, uint8_t zero, uint8_t least, uint8_t most) {
    return fw_within(fw_divided(fw_scaled(sum, scale), fw_shift(scale)) + zero, least, most);
}
