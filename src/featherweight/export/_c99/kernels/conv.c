static int32_t fw_dot(const uint8_t *x, const int8_t *weight, int32_t count, int32_t zero) {
    int32_t sum = 0;
    for (int32_t k = 0; k < count; ++k) sum += (x[k] - zero) * weight[k];
    return sum;
}

void fw_conv(const fw_conv_layer *layer, const uint8_t *x, uint8_t *y) {
    const fw_window *window = &layer->window;
    const int32_t own = layer->channels / layer->groups, filters = layer->filters / layer->groups;
    const int32_t row = layer->source.x * layer->channels, step = window->dilation.x * layer->channels;
    const int adjacent = step == own; /* the taps of a row follow each other in the map, as in the weight */
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j) {
            const int32_t top = i * window->stride.y - window->padding.y, left = j * window->stride.x - window->padding.x;
            const fw_taps rows = fw_seen(top, window->dilation.y, window->kernel.y, layer->source.y);
            const fw_taps columns = fw_seen(left, window->dilation.x, window->kernel.x, layer->source.x);
            const int8_t *weight = layer->weight;
            for (int32_t o = 0; o < layer->filters; ++o, weight += window->kernel.y * window->kernel.x * own) {
                int32_t sum = layer->bias[o];
                for (int32_t u = rows.begin; u < rows.end; ++u) {
                    const int32_t at = (top + u * window->dilation.y) * row + left * layer->channels + o / filters * own;
                    const int8_t *by = weight + u * window->kernel.x * own;
                    if (adjacent) {
                        sum += fw_dot(x + at + columns.begin * own, by + columns.begin * own,
                                      (columns.end - columns.begin) * own, layer->source_zero);
                        continue;
                    }
                    for (int32_t v = columns.begin; v < columns.end; ++v)
                        sum += fw_dot(x + at + v * step, by + v * own, own, layer->source_zero);
                }
                *y++ = fw_requantized(sum, layer->scale[o], layer->zero, layer->least, layer->most);
            }
        }
}
