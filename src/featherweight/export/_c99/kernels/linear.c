void fw_linear(const fw_linear_layer *layer, const float *x, float *y) {
    const float *weight = layer->weight;
    for (int32_t o = 0; o < layer->outputs; ++o) {
        float sum = layer->bias[o];
        for (int32_t k = 0; k < layer->inputs; ++k) {
            const float product = x[k] * *weight++;
            sum = sum + product;
        }
        y[o] = sum;
    }
}
