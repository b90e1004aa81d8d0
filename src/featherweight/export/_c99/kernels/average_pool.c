void fw_average_pool(const fw_pool_layer *layer, const uint8_t *x, uint8_t *y) {
    const fw_window *window = &layer->window;
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j) {
            const int32_t top = i * window->stride.y - window->padding.y, left = j * window->stride.x - window->padding.x;
            const fw_taps rows = fw_seen(top, window->dilation.y, window->kernel.y, layer->source.y);
            const fw_taps columns = fw_seen(left, window->dilation.x, window->kernel.x, layer->source.x);
            const uint32_t scale = layer->scale[(rows.end - rows.begin) * (columns.end - columns.begin) - 1];
            for (int32_t c = 0; c < layer->channels; ++c) {
                int32_t sum = 0;
                for (int32_t u = rows.begin; u < rows.end; ++u)
                    for (int32_t v = columns.begin; v < columns.end; ++v) {
                        const int32_t row = top + u * window->dilation.y, column = left + v * window->dilation.x;
                        sum += x[(row * layer->source.x + column) * layer->channels + c] - layer->source_zero;
                    }
                *y++ = fw_requantized(sum, scale, layer->zero, 0, 255);
            }
        }
}
