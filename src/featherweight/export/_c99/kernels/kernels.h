/* Kernels of a network in bytes. All are in integers alone, the same bits on every processor and with every compiler;
 * but the ends of an AdderNet are in float32, which wants -std=c99 or -ffp-contract=off.
 *
 * A map lies in memory as [height][width][channels]; its byte q stands for (q - zero) * scale. A scale of type
 * uint32_t holds the bits of a float32. kernels.c has those of these functions that this network calls.
 */
#ifndef FW_KERNELS_H
#define FW_KERNELS_H

#include <stdint.h>

/* A map's side, or what a window has, along height and width. */
typedef struct {
    int32_t y, x;
} fw_pair;

/* Which pixels of a map an output pixel sees. */
typedef struct {
    fw_pair kernel, stride, padding, dilation;
} fw_window;

/* y = zero + round(scale[o] * (bias[o] + sum (x - source_zero) * weight)), from least to most. */
typedef struct {
    fw_pair source, output;
    int32_t channels, filters, groups;
    fw_window window;
    uint8_t source_zero, zero, least, most;
    const int8_t *weight; /* [filters][kernel.y][kernel.x][channels / groups] */
    const int32_t *bias;
    const uint32_t *scale;
} fw_conv_layer;

/* y = round((offset + ratio[0] * a + ratio[1] * b) / 2^shift), from least to most; single precision on the way. */
typedef struct {
    int32_t size, shift;
    int64_t ratio[2], offset;
    uint8_t least, most;
} fw_add_layer;

/* y = round(scale * ((a - zeros[0]) * (b - zeros[1])) + zero); b has `period` bytes for size bytes of a. */
typedef struct {
    int32_t size, period;
    uint32_t scale;
    uint8_t zeros[2], zero;
} fw_multiply_layer;

/* Some channels of every stride-th pixel, to channels at... of the output; -1 is a zero. No list means all. */
typedef struct {
    fw_pair source, output, stride;
    int32_t source_channels, output_channels, at, number;
    uint8_t source_zero;
    const int16_t *channels;
    const uint8_t *table;
} fw_copy_layer;

/* The largest byte of each window, or its mean: zero + round(scale[pixels - 1] * sum (x - source_zero)). */
typedef struct {
    fw_pair source, output;
    int32_t channels;
    fw_window window;
    uint8_t source_zero, zero;
    const uint32_t *scale;
} fw_pool_layer;

/* The picture's bytes, from floats [channels][size.y][size.x]: y = round(x * scale + shift). */
typedef struct {
    fw_pair size;
    int32_t channels;
    float scale, shift;
} fw_float_picture_layer;

/* As fw_float_picture_layer, y = round(sum x * weight + shift[o]). */
typedef struct {
    fw_pair source, output;
    int32_t channels, filters, groups;
    fw_window window;
    const float *weight; /* [filters][channels / groups][kernel.y][kernel.x] */
    const float *shift;
} fw_float_conv_layer;

/* y = round(sum |x - weight| * scale[o] + shift[o] + shortcut * shortcut_scale); zero is what lies beyond the borders. */
typedef struct {
    fw_pair source, output;
    int32_t channels, filters, groups;
    fw_window window;
    uint8_t zero;
    const uint8_t *weight; /* [filters][kernel.y][kernel.x][channels / groups] */
    const float *scale, *shift;
    float shortcut_scale;
} fw_adder_layer;

/* y = sum |x - weight| * scale[o] + shift[o]. */
typedef struct {
    int32_t terms, filters;
    const uint8_t *weight; /* [filters][terms] */
    const float *scale, *shift;
} fw_scores_layer;

/* y = x * scale + shift, of the mean over the pixels, or of each byte as [channels][pixels]. */
typedef struct {
    int32_t pixels, channels;
    float scale, shift;
} fw_floats_layer;

/* y = weight x + bias. */
typedef struct {
    int32_t inputs, outputs;
    const float *weight, *bias;
} fw_linear_layer;

void fw_conv(const fw_conv_layer *layer, const uint8_t *x, uint8_t *y);
void fw_depthwise(const fw_conv_layer *layer, const uint8_t *x, uint8_t *y); /* a filter for each channel */
void fw_add(const fw_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y);
void fw_multiply(const fw_multiply_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y);
void fw_copy(const fw_copy_layer *layer, const uint8_t *x, uint8_t *y);
void fw_max_pool(const fw_pool_layer *layer, const uint8_t *x, uint8_t *y);
void fw_average_pool(const fw_pool_layer *layer, const uint8_t *x, uint8_t *y);
void fw_float_picture(const fw_float_picture_layer *layer, const float *x, uint8_t *y);
void fw_float_conv(const fw_float_conv_layer *layer, const float *x, uint8_t *y);
void fw_adder(const fw_adder_layer *layer, const uint8_t *x, const uint8_t *shortcut, uint8_t *y);
void fw_scores(const fw_scores_layer *layer, const uint8_t *x, float *y);
void fw_mean(const fw_floats_layer *layer, const uint8_t *x, float *y);
void fw_unpack(const fw_floats_layer *layer, const uint8_t *x, float *y);
void fw_linear(const fw_linear_layer *layer, const float *x, float *y);

#endif
