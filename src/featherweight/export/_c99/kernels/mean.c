void fw_mean(const fw_floats_layer *layer, const uint8_t *x, float *y) {
    for (int32_t c = 0; c < layer->channels; ++c) {
        int32_t sum = 0;
        for (int32_t pixel = 0; pixel < layer->pixels; ++pixel) sum += x[pixel * layer->channels + c];
        const float scaled = (float)sum / (float)layer->pixels * layer->scale;
        y[c] = scaled + layer->shift;
    }
}
