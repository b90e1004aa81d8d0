// From a decoded picture to the network's input, as featherweight.data.Preprocessing and Pillow do it, bit for bit.
"use strict";

globalThis.Preprocessing = class {
  // Each pixel is a weighted sum in whole numbers, with this many binary places; see Pillow's src/libImaging/Resample.c.
  static PLACES = 22;

  // What Preprocessing.to_dict of Python gives.
  constructor({ resolution, channels, mean, std, resize }) {
    Object.assign(this, { resolution, channels, resize });
    const { fround } = Math;
    this.normalized = mean.map((value, channel) =>
      Float32Array.from({ length: 256 }, (_, level) =>
        fround(fround(fround(level / 255) - fround(value)) / fround(std[channel]))));
  }

  // RGBA pixels without transparency -> what the network sees: bytes [resolution, resolution, channels].
  fit({ data, width, height }) {
    const { resolution, channels } = this;
    const pixels = channels === 1 ? Preprocessing.grey(data) : Preprocessing.colours(data);
    const side = Math.min(width, height), [left, top] = [(width - side) / 2, (height - side) / 2];
    const crop = this.resize === "crop";
    const [startX, endX] = crop ? [left, left + side] : [0, width];
    const [startY, endY] = crop ? [top, top + side] : [0, height];
    const across = Preprocessing.weights(width, startX, endX, resolution);
    const down = Preprocessing.weights(height, startY, endY, resolution);
    const narrow = Preprocessing.pass(pixels, across, height, width * channels, channels, channels);
    return Preprocessing.pass(narrow, down, resolution, channels, resolution * channels, channels, true);
  }

  // Bytes [resolution, resolution, channels] -> float32 [channels, resolution, resolution].
  normalize(pixels) {
    const { channels, normalized } = this, area = pixels.length / channels;
    const values = new Float32Array(pixels.length);
    for (let channel = 0; channel < channels; channel++)
      for (let i = 0; i < area; i++) values[channel * area + i] = normalized[channel][pixels[i * channels + channel]];
    return values;
  }

  // Luma of ITU-R 601-2 in sixteen binary places, as Pillow's convert("L").
  static grey(rgba) {
    const pixels = new Uint8Array(rgba.length / 4);
    for (let i = 0, at = 0; i < pixels.length; i++, at += 4)
      pixels[i] = (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16;
    return pixels;
  }

  static colours(rgba) {
    const pixels = new Uint8Array((rgba.length / 4) * 3);
    for (let to = 0, at = 0; to < pixels.length; at += 4) {
      pixels[to++] = rgba[at];
      pixels[to++] = rgba[at + 1];
      pixels[to++] = rgba[at + 2];
    }
    return pixels;
  }

  // For each new pixel, which old ones it is made of: the first one's index, and the weights. Triangles, as wide as a
  // new pixel's neighbourhood when shrinking. undefined: nothing changes along this side.
  static weights(size, start, end, count) {
    if (size === count && start === 0 && end === size) return undefined;
    const scale = (end - start) / count, support = Math.max(scale, 1), narrowing = 1 / support;
    return Array.from({ length: count }, (_, i) => {
      const center = start + (i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(center - support + 0.5));
      const last = Math.min(size, Math.trunc(center + support + 0.5));
      const exact = Array.from({ length: last - first }, (_, x) =>
        Math.max(0, 1 - Math.abs((x + first - center + 0.5) * narrowing)));
      const total = exact.reduce((sum, weight) => sum + weight, 0);
      return { first, whole: Int32Array.from(exact, weight => 0.5 + (weight / total) * 2 ** Preprocessing.PLACES) };
    });
  }

  // Apply weights along one side of [lines, ...]: `stride` between lines, `step` between the pixels of one. `down`
  // goes along columns: its lines are the columns, and its result lies as the picture does.
  static pass(pixels, weights, lines, stride, step, channels, down = false) {
    if (!weights) return pixels;
    const result = new Uint8Array(lines * weights.length * channels);
    for (let line = 0; line < lines; line++)
      for (let i = 0; i < weights.length; i++) {
        const { first, whole } = weights[i], from = line * stride + first * step;
        const to = (down ? i * lines + line : line * weights.length + i) * channels;
        for (let channel = 0; channel < channels; channel++) {
          let sum = 1 << (Preprocessing.PLACES - 1);
          for (let x = 0, at = from + channel; x < whole.length; x++, at += step) sum += pixels[at] * whole[x];
          result[to + channel] = sum >> Preprocessing.PLACES;
        }
      }
    return result;
  }
};
