void fw_unpack(const fw_floats_layer *layer, const uint8_t *x, float *y) {
    for (int32_t c = 0; c < layer->channels; ++c)
        for (int32_t pixel = 0; pixel < layer->pixels; ++pixel) {
            const float scaled = (float)x[pixel * layer->channels + c] * layer->scale;
            *y++ = scaled + layer->shift;
        }
}
