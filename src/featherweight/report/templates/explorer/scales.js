// Axes: where a value lies between two ends, and which round values get a tick.

const MANTISSAS = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]];

/** Make an axis that holds all values; `about` has label, text, and perhaps floor, ceiling and whole. */
function axisOf(about, values, log) {
  let known = values.filter((value) => value !== null && (!log || value > 0));
  if (!known.length) known = log ? [1, 10] : [0, 1];
  return log ? logAxis(about, known) : linearAxis(about, known);
}

function logAxis(about, known) {
  const room = Math.max((Math.max(...known) / Math.min(...known)) ** 0.05, 1.1);
  const low = Math.min(...known) / room;
  const high = Math.max(...known) * room;
  const sets = MANTISSAS.map((mantissas) => decades(low, high, mantissas));
  const ticks = sets.find((set) => set.length >= 3) ?? linearAxis(about, [low, high]).ticks.filter((tick) => tick >= low && tick <= high);
  const at = (value) => (value > 0 ? Math.log(value / low) / Math.log(high / low) : 0);
  return { ...about, low, high, ticks, at, log: true };
}

function decades(low, high, mantissas) {
  const found = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++)
    for (const mantissa of mantissas) {
      const tick = Number(`${mantissa}e${exponent}`);
      if (tick >= low && tick <= high) found.push(tick);
    }
  return found;
}

function linearAxis(about, known) {
  const { floor = -Infinity, ceiling = Infinity, whole = false } = about;
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (low === high) {
    const margin = whole ? 1 : Math.abs(low) / 10 || 1;
    [low, high] = [Math.max(low - margin, floor), Math.min(high + margin, ceiling)];
  }
  let step = roundStep((high - low) / 5);
  if (whole) step = Math.max(1, Math.round(step));
  const first = Math.floor(low / step + 1e-9 - (whole ? 0.5 : 0));
  const last = Math.ceil(high / step - 1e-9 + (whole ? 0.5 : 0));
  const every = Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
  const ticks = every.filter((tick) => tick >= floor && tick <= ceiling);
  low = Math.max(first * step, floor);
  high = Math.min(last * step, ceiling);
  return { ...about, low, high, ticks, at: (value) => (value - low) / (high - low), log: false };
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * (1 - 1e-9));
}
