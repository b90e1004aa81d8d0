static int32_t fw_distance(const uint8_t *x, const uint8_t *weight, int32_t count, int32_t step) {
    int32_t sum = 0;
    for (int32_t c = 0; c < count; ++c, x += step) sum += *x > weight[c] ? *x - weight[c] : weight[c] - *x;
    return sum;
}

void fw_adder(const fw_adder_layer *layer, const uint8_t *x, const uint8_t *shortcut, uint8_t *y) {
    const fw_window *window = &layer->window;
    const int32_t own = layer->channels / layer->groups, filters = layer->filters / layer->groups;
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j)
            for (int32_t o = 0; o < layer->filters; ++o, ++y) {
                const uint8_t *weight = layer->weight + o * own * window->kernel.y * window->kernel.x;
                int32_t sum = 0;
                for (int32_t u = 0; u < window->kernel.y; ++u)
                    for (int32_t v = 0; v < window->kernel.x; ++v, weight += own) {
                        const int32_t row = i * window->stride.y - window->padding.y + u * window->dilation.y;
                        const int32_t column = j * window->stride.x - window->padding.x + v * window->dilation.x;
                        if (row < 0 || row >= layer->source.y || column < 0 || column >= layer->source.x) {
                            sum += fw_distance(&layer->zero, weight, own, 0);
                        } else {
                            const int32_t pixel = row * layer->source.x + column;
                            sum += fw_distance(x + pixel * layer->channels + o / filters * own, weight, own, 1);
                        }
                    }
                float value = (float)sum * layer->scale[o];
                value = value + layer->shift[o];
                if (shortcut) {
                    const float added = (float)*shortcut++ * layer->shortcut_scale;
                    value = value + added;
                }
                *y = fw_nearest(value);
            }
}
