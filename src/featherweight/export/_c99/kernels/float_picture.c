void fw_float_picture(const fw_float_picture_layer *layer, const float *x, uint8_t *y) {
    const int32_t pixels = layer->size.y * layer->size.x;
    for (int32_t pixel = 0; pixel < pixels; ++pixel)
        for (int32_t c = 0; c < layer->channels; ++c) {
            const float scaled = x[c * pixels + pixel] * layer->scale;
            *y++ = fw_nearest(scaled + layer->shift);
        }
}
