void fw_multiply(const fw_multiply_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    const int shift = fw_shift(layer->scale);
    const int64_t zero = (int64_t)layer->zero << shift;
    for (int32_t at = 0; at < layer->size; at += layer->period)
        for (int32_t k = 0; k < layer->period; ++k) {
            const int32_t product = (a[at + k] - layer->zeros[0]) * (b[k] - layer->zeros[1]);
            const int64_t value = fw_single(fw_scaled(product, layer->scale) + zero);
            y[at + k] = fw_within(fw_divided(value, shift), 0, 255);
        }
}
