void fw_copy(const fw_copy_layer *layer, const uint8_t *x, uint8_t *y) {
    for (int32_t i = 0; i < layer->output.y; ++i)
        for (int32_t j = 0; j < layer->output.x; ++j) {
            const int32_t pixel = i * layer->stride.y * layer->source.x + j * layer->stride.x;
            const uint8_t *from = x + pixel * layer->source_channels;
            uint8_t *to = y + (i * layer->output.x + j) * layer->output_channels + layer->at;
            for (int32_t c = 0; c < layer->number; ++c) {
                const int32_t at = layer->channels ? layer->channels[c] : c;
                const uint8_t byte = at < 0 ? layer->source_zero : from[at];
                to[c] = layer->table ? layer->table[byte] : byte;
            }
        }
}
