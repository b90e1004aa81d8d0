void fw_max_pool(const fw_pool_layer *layer, const uint8_t *x, uint8_t *y) {
    const fw_window *window = &layer->window;
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j) {
            const int32_t top = i * window->stride.y - window->padding.y, left = j * window->stride.x - window->padding.x;
            const fw_taps rows = fw_seen(top, window->dilation.y, window->kernel.y, layer->source.y);
            const fw_taps columns = fw_seen(left, window->dilation.x, window->kernel.x, layer->source.x);
            for (int32_t c = 0; c < layer->channels; ++c) {
                uint8_t most = 0;
                for (int32_t u = rows.begin; u < rows.end; ++u)
                    for (int32_t v = columns.begin; v < columns.end; ++v) {
                        const int32_t row = top + u * window->dilation.y, column = left + v * window->dilation.x;
                        const uint8_t byte = x[(row * layer->source.x + column) * layer->channels + c];
                        if (byte > most) most = byte;
                    }
                *y++ = most;
            }
        }
}
