void fw_scores(const fw_scores_layer *layer, const uint8_t *x, float *y) {
    for (int32_t o = 0; o < layer->filters; ++o) {
        const uint8_t *weight = layer->weight + o * layer->terms;
        int32_t sum = 0;
        for (int32_t k = 0; k < layer->terms; ++k) sum += x[k] > weight[k] ? x[k] - weight[k] : weight[k] - x[k];
        const float scaled = (float)sum * layer->scale[o];
        y[o] = scaled + layer->shift[o];
    }
}
