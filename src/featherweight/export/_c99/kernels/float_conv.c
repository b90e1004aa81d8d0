void fw_float_conv(const fw_float_conv_layer *layer, const float *x, uint8_t *y) {
    const fw_window *window = &layer->window;
    const int32_t own = layer->channels / layer->groups, filters = layer->filters / layer->groups;
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j)
            for (int32_t o = 0; o < layer->filters; ++o) {
                const float *by = layer->weight + o * own * window->kernel.y * window->kernel.x;
                float sum = 0.0f;
                for (int32_t c = o / filters * own; c < (o / filters + 1) * own; ++c)
                    for (int32_t u = 0; u < window->kernel.y; ++u)
                        for (int32_t v = 0; v < window->kernel.x; ++v, ++by) {
                            const int32_t row = i * window->stride.y - window->padding.y + u * window->dilation.y;
                            const int32_t column = j * window->stride.x - window->padding.x + v * window->dilation.x;
                            if (row < 0 || row >= layer->source.y || column < 0 || column >= layer->source.x) continue;
                            const float product = x[(c * layer->source.y + row) * layer->source.x + column] * *by;
                            sum = sum + product;
                        }
                *y++ = fw_nearest(sum + layer->shift[o]);
            }
}
