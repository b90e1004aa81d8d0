void fw_depthwise(const fw_conv_layer *layer, const uint8_t *x, uint8_t *y) {
    const fw_window *window = &layer->window;
    const int32_t channels = layer->channels, zero = layer->source_zero;
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j) {
            const int32_t top = i * window->stride.y - window->padding.y, left = j * window->stride.x - window->padding.x;
            const fw_taps rows = fw_seen(top, window->dilation.y, window->kernel.y, layer->source.y);
            const fw_taps columns = fw_seen(left, window->dilation.x, window->kernel.x, layer->source.x);
            for (int32_t c = 0; c < channels; ++c) {
                const int8_t *weight = layer->weight + c * window->kernel.y * window->kernel.x;
                int32_t sum = layer->bias[c];
                for (int32_t u = rows.begin; u < rows.end; ++u) {
                    const int32_t first = (top + u * window->dilation.y) * layer->source.x + left;
                    for (int32_t v = columns.begin; v < columns.end; ++v)
                        sum += (x[(first + v * window->dilation.x) * channels + c] - zero) *
                               weight[u * window->kernel.x + v];
                }
                *y++ = fw_requantized(sum, layer->scale[c], layer->zero, layer->least, layer->most);
            }
        }
}
