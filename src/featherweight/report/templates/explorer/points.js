// Quantities of a network, which networks pass the filters, and the front of those that none beats.

const WIDTH_OF = { float32: 4, float16: 2, int8: 1 };
const SOURCES = {
  first: "its paper, else the next best source",
  paper: "its paper",
  authors: "its authors' code",
  torchvision: "torchvision's weights",
  others: "others' tables",
  highest: "the highest printed",
};
const SOURCE_NAMES = { paper: "its paper", authors: "its authors' code", torchvision: "torchvision", others: "others" };
const RANK = { paper: 0, authors: 1, torchvision: 2, others: 3 };

/** Return the printed row that gives a network's accuracy in the chosen data set, or undefined. */
function printedRow(network, which = "top1") {
  let rows = network.published.filter((row) => row.dataset === state.data && row[which] !== null);
  if (state.source === "highest") return rows.reduce((best, row) => (best && best[which] >= row[which] ? best : row), undefined);
  if (state.source !== "first") rows = rows.filter((row) => row.kind === state.source);
  return rows.sort((a, b) => a.far - b.far || RANK[a.kind] - RANK[b.kind])[0];
}

const terms = (network) => network.multiply_adds + Math.floor(network.additions / 2);
const seriesName = (series) =>
  `${series.measured ? "measured" : "predicted"}, ${series.runtime}, ${series.threads} ${series.threads === 1 ? "thread" : "threads"}`;
/** Return a network's entry in a series: seconds, the ends of their interval, the date, and why they are rough ones. */
const timing = (network, series) => network.latencies[ZOO.latencies.indexOf(series)];
const machines = [...new Set(ZOO.latencies.map((series) => series.machine))];

const made = {};

/** Return all quantities that an axis can show; `better` is 1 where more is better, -1 where less is. */
const metrics = () => (made[state.numbers] ??= metricsIn(state.numbers));

function metricsIn(numbers) {
  const accuracy = (key, label) => ({
    key, label, better: 1, log: false, text: asPercent, ceiling: 100, unknown: "no accuracy printed",
    value: (network) => printedRow(network, key)?.[key] ?? null,
  });
  const cost = (key, label, text, value) => ({ key, label, better: -1, log: true, text, floor: 0, unknown: "not known", value });
  return [
    accuracy("top1", "Top-1 accuracy"),
    accuracy("top5", "Top-5 accuracy"),
    cost("params", "Parameters", asCount, (network) => network.params),
    cost("terms", "Multiply-adds", asCount, terms),
    cost("memory", `Activation memory, ${numbers}`, asBytes, (network) => network.peak_memory_bytes[numbers]),
    cost("traffic", `Memory traffic, ${numbers}`, asBytes, (network) => network.bytes_moved[numbers]),
    cost("weights", `Weights, ${numbers}`, asBytes, (network) => network.params * WIDTH_OF[numbers]),
    ...ZOO.latencies.map((series) => ({
      ...cost(seriesKey(series), `Latency, ${seriesName(series)}${machines.length > 1 ? `, on ${series.machine}` : ""}`, asSeconds,
        (network) => timing(network, series)?.[0] ?? null),
      series, unknown: series.measured ? "not measured" : "not predicted",
    })),
    { key: "year", label: "Year", better: 0, log: false, text: asPlain, whole: true, unknown: "", value: (network) => network.year },
  ];
}

const seriesKey = (series) =>
  [series.measured ? "measured" : "predicted", series.runtime, series.threads, machines.indexOf(series.machine) || ""].filter(Boolean).join("-");

const metric = (key) => metrics().find((one) => one.key === key);

/** Return the latency that a budget is about: the one that was chosen, else that on an axis, else the first there is. */
const budgetLatency = () => [metric(state.limited), metric(state.x), metric(state.y), ...metrics()].find((one) => one?.series);

/** Return the limits that are set: the quantity, and the value in its own unit. */
function limits() {
  const scales = { params: 1e6, terms: 1e6, memory: 1e6, traffic: 1e6, latency: 1e-3, top1: 1 };
  return BUDGETS.flatMap((name) => {
    const value = Number.parseFloat(state[`max_${name}`]);
    const about = name === "latency" ? budgetLatency() : metric(name);
    return Number.isFinite(value) && about ? [{ about, limit: value * scales[name] }] : [];
  });
}

/** Tell how a network stands to the limits: "within", "over", or "unknown". */
function standing(network, all) {
  const values = all.map(({ about, limit }) => [about.value(network), limit, about.better]);
  if (values.some(([value, limit, better]) => value !== null && (value - limit) * better < 0)) return "over";
  return values.some(([value]) => value === null) ? "unknown" : "within";
}

/** Return the networks of the data set by families, name and budget, and how many the budget leaves out. */
function chosenNetworks() {
  const hidden = hiddenFamilies();
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const all = limits();
  const found = { within: [], over: [], unknown: [] };
  for (const network of ZOO.networks) {
    const family = ZOO.families[network.family].name;
    const text = `${network.id} ${family}`.toLowerCase();
    if (network.datasets.includes(state.data) && !hidden.has(family) && words.every((word) => text.includes(word)))
      found[standing(network, all)].push(network);
  }
  return found;
}

/** Return a network as a point of the chart. */
function asPoint(network, x, y) {
  const family = ZOO.families[network.family];
  const row = printedRow(network);
  const own = !row || row.kind === "paper" || row.kind === "authors";
  return {
    id: network.id, network, row, x: x.value(network), y: y.value(network), colour: family.colour, marker: family.marker,
    kind: row?.far ? "far" : own ? "own" : "others",
  };
}

/** Return the points that no other point beats in both, the best in x first. */
function frontOf(points, x, y) {
  if (!x.better || !y.better || x.key === y.key) return [];
  const known = points.filter((point) => point.x !== null && point.y !== null && point.kind !== "far");
  known.sort((a, b) => (b.x - a.x) * x.better || (b.y - a.y) * y.better);
  const front = [];
  for (const point of known) {
    const last = front.at(-1);
    if (!last || (point.y - last.y) * y.better > 0) front.push(point);
  }
  return front;
}
