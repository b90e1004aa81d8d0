/* The taps of a window that lie on the map, along one side: from begin to before end. */
typedef struct {
    int32_t begin, end;
} fw_taps;

static fw_taps fw_seen(int32_t first, int32_t dilation, int32_t kernel, int32_t size) {
    fw_taps taps = {0, kernel};
    if (first < 0) taps.begin = (-first + dilation - 1) / dilation;
    if (first + (kernel - 1) * dilation >= size) taps.end = (size - first + dilation - 1) / dilation;
    return taps;
}
