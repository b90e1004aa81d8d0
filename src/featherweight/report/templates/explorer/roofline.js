// The roofline of the chosen network: each layer by its multiply-adds for a byte, below what the machine allows.

const KINDS = ["1x1", "depthwise", "3x3", "grouped 1x1", "fully connected", "adder", "matrix product"];
let shownMore = false; // what is packed is drawn a moment after the chart

const roof = makePlot(find("#roof-chart"), {
  choose: () => {},
  tell: (point) => ({ title: point.module || "(the network itself)", rows: point.rows }),
});

/** Give each kind of layer a colour and an outline; those that are not named above follow. */
function kindMarks(kinds) {
  const every = [...KINDS, ...kinds.filter((kind) => !KINDS.includes(kind))];
  return new Map([...new Set(kinds)].map((kind) => [kind, { colour: every.indexOf(kind) % 7, marker: every.indexOf(kind) }]));
}

/** Return the rate at which so many bytes move: that of the next larger set that was measured. */
function bandwidth(ceilings, bytes) {
  return (ceilings.bandwidth.find(([size]) => size >= bytes) ?? ceilings.bandwidth.at(-1))[1];
}

/** Return the series that have times for the layers of the chosen network, each with its number. */
const timedSeries = () =>
  ZOO.latencies.map((series, number) => [series, number]).filter(([series]) => series.by_layer && timing(NETWORKS.get(state.network), series));

PARTS.push(function showRoofline() {
  options("#roof-ceilings", ZOO.ceilings.length
    ? ZOO.ceilings.map((one, number) => [number, `${one.threads} ${one.threads === 1 ? "thread" : "threads"}`])
    : [["0", "none: run featherweight calibrate"]]);
  const timed = timedSeries();
  options("#roof-times", [...timed.map(([series]) => [seriesKey(series), seriesName(series)]), ["bound", ZOO.ceilings.length ? "the least that the ceilings allow" : "none yet"]]);
  const known = [...find("#roof-times").options].map((option) => option.value);
  find("#roof-times").value = known.includes(state.times) ? state.times : known[0];
  find("#roof-ceilings").value = state.ceilings;
  find("#roof-network").value = state.network;
  if (shownMore) more().then(({ layers }) => drawRoofline(NETWORKS.get(state.network), layers[state.network]));
});

function layerPoints(layers, ceilings, seconds) {
  const marks = kindMarks(layers.kind);
  return layers.terms.map((count, index) => {
    const bytes = layers.bytes[index];
    const intensity = count / bytes;
    const bound = ceilings && Math.max(count / ceilings.multiply_adds_per_second, bytes / bandwidth(ceilings, bytes));
    const took = seconds ? seconds[index] : bound;
    const rows = [["kind", layers.kind[index]], ["multiply-adds", asCount(count)], ["bytes moved", asBytes(bytes)], ["per byte", scaled(intensity, COUNTS)]];
    if (seconds) rows.push(["predicted", took === null ? "not known" : asSeconds(took)]);
    if (ceilings) rows.push(["at least", asSeconds(bound)]);
    const rate = took ? count / took : took === null ? null : count;
    return { id: String(index), module: layers.module[index], kind: "own", layerKind: layers.kind[index], count, bytes, took, x: intensity, y: rate, rows, ...marks.get(layers.kind[index]) };
  });
}

function drawRoofline(network, layers) {
  const ceilings = ZOO.ceilings[find("#roof-ceilings").value];
  const timed = timedSeries().find(([series]) => seriesKey(series) === find("#roof-times").value);
  const points = layerPoints(layers, ceilings, timed && layers.seconds[timed[1]]);
  const roofs = ceilings ? roofLines(ceilings) : [];
  const peak = ceilings?.multiply_adds_per_second;
  const about = (label, text) => ({ label, text });
  const rated = timed || ceilings;
  roof.draw({
    points,
    x: axisOf(about("Multiply-adds per byte moved", (value) => scaled(value, [[0, 1, ""]])), [...points.map((point) => point.x), ...roofs.map((one) => peak / one.rate)], true),
    y: axisOf(about(rated ? "Multiply-adds per second" : "Multiply-adds of the layer", (value) => (rated ? `${asCount(value)}/s` : asCount(value))), [...points.map((point) => point.y), ...(peak ? [peak] : [])], true),
    title: `Roofline of ${network.id}: ${points.length} layers; arrow keys lead from one to the next`,
    unknown: "no predicted time",
    chosen: null,
    below: (layer, frame) => roofs.forEach((one) => drawRoof(layer, frame, one, peak)),
  });
  if (!changed("roofline", network.id, find("#roof-ceilings").value, find("#roof-times").value)) return;
  find("#roof-kinds").replaceChildren(...[...kindMarks(layers.kind)].map(([kind, mark]) => make("li", {}, keyMark(mark), kind)));
  find("#roof-words").replaceChildren(...roofWords(network, points, ceilings, timed));
}

/** Return the slopes that are drawn: memory, and the fastest cache where it is faster. */
function roofLines(ceilings) {
  const memory = ceilings.bandwidth.at(-1)[1];
  const [size, cache] = ceilings.bandwidth.reduce((best, one) => (one[1] > best[1] ? one : best));
  const lines = [{ rate: memory, name: `memory, ${asBytes(memory)}/s` }];
  return cache > 1.2 * memory ? [...lines, { rate: cache, name: `cache, within ${asBytes(size)}: ${asBytes(cache)}/s` }] : lines;
}

function drawRoof(layer, frame, { rate, name }, peak) {
  const [xs, ys] = [frame.axes.x, frame.axes.y];
  const start = Math.max(xs.low, ys.low / rate);
  const ridge = peak / rate;
  const [x0, y0, x1, y1] = [frame.x(start), frame.y(start * rate), frame.x(ridge), frame.y(peak)];
  const turn = (Math.atan2(y1 - y0, x1 - x0) * 180) / Math.PI;
  const [middle, height] = [x0 + 8, y0 + (8 * (y1 - y0)) / (x1 - x0)];
  layer.append(
    shape("path", { d: `M${x0},${y0}L${x1},${y1}H${frame.right}`, class: "roof" }),
    shape("text", { class: "roof-name", transform: `translate(${middle},${height - 6}) rotate(${turn})` }, name),
  );
  if (!layer.querySelector(".peak")) layer.append(shape("text", { x: frame.right, y: y1 - 7, class: "roof-name end peak" }, `${asCount(peak)} multiply-adds/s`));
}

function roofWords(network, points, ceilings, timed) {
  const [others, otherBytes] = network.other_layers;
  const bytes = points.reduce((sum, point) => sum + point.bytes, 0);
  const words = [make("h3", {}, network.id)];
  const share = (part, whole) => `${Math.round((100 * part) / whole)}${NO_BREAK}%`;
  words.push(make("p", {}, `${points.length} layers multiply and add. ${others} others, such as activations, are not on the picture; they move ${share(otherBytes, bytes + otherBytes)} of the bytes.`));
  if (ceilings) {
    const ridge = ceilings.multiply_adds_per_second / ceilings.bandwidth.at(-1)[1];
    const left = points.filter((point) => point.x < ridge);
    const work = (some) => some.reduce((sum, point) => sum + point.count, 0);
    const time = (some) => some.reduce((sum, point) => sum + (point.took ?? 0), 0);
    words.push(make("p", {}, `The ridge to memory is at ${scaled(ridge, [[0, 1, ""]])} multiply-adds per byte. ${left.length} layers lie left of it, with ${share(work(left), work(points))} of the multiply-adds and ${share(time(left), time(points))} of the ${timed ? "predicted" : "least"} time.`));
    words.push(make("p", { class: "quiet" }, `Ceilings: ${ceilings.machine}, ${ceilings.threads} ${ceilings.threads === 1 ? "thread" : "threads"}, ${asDay(ceilings.date)}.${timed ? ` Times: ${seriesName(timed[0])}, ${timed[0].machine}.` : ""}`));
  } else {
    words.push(make("p", { class: "empty" }, "No ceilings of a machine are known here. ", make("code", {}, "featherweight calibrate"), " finds those of yours in ten seconds; then write the page anew."));
  }
  words.push(costliest(points, timed || ceilings));
  return words;
}

function costliest(points, timed) {
  const weight = (point) => (timed ? point.took ?? 0 : point.bytes);
  const top = [...points].sort((a, b) => weight(b) - weight(a)).slice(0, 6);
  return make("table", { class: "costliest" },
    make("caption", {}, timed ? "Layers that take longest" : "Layers that move most"),
    make("tbody", {}, ...top.map((point) => make("tr", {},
      make("th", { scope: "row" }, point.module || "(the network itself)", make("small", {}, ` ${point.layerKind}`)),
      make("td", { class: "n" }, timed ? (point.took === null ? DASH : asSeconds(point.took)) : asBytes(point.bytes))))));
}

function buildRoofline() {
  const groups = ZOO.families.map((family, number) => [family.name, ZOO.networks.filter((network) => network.family === number)]);
  find("#roof-network").append(...groups.filter(([, those]) => those.length).map(([name, those]) =>
    make("optgroup", { label: name }, ...those.map((network) => make("option", { value: network.id }, network.id)))));
  find("#roof-network").addEventListener("change", (event) => look({ network: event.target.value }));
  find("#roof-times").addEventListener("change", (event) => look({ times: event.target.value }));
  find("#roof-ceilings").addEventListener("change", (event) => look({ ceilings: event.target.value }));
}
