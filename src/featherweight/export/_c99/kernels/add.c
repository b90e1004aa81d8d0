void fw_add(const fw_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    for (int32_t at = 0; at < layer->size; ++at) {
        int64_t sum = fw_single(layer->offset + b[at] * layer->ratio[1]);
        sum = fw_single(sum + a[at] * layer->ratio[0]);
        y[at] = fw_within(fw_divided(sum, layer->shift), layer->least, layer->most);
    }
}
