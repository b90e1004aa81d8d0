// The chart of the zoo: two quantities of the reader's choice, the front, the budget's limits.

const chart = makePlot(find("#chart"), {
  choose: (point) => look({ network: point.id }),
  tell: (point) => ({
    title: point.network.name,
    rows: [["options", optionsText(point.network)], ...accuracyRows(point.network), ...costRows(point.network, onAxes())],
  }),
});

function accuracyRows(network) {
  const row = printedRow(network);
  if (!row) return [["top-1", `none printed on ${state.data}${state.source === "first" || state.source === "highest" ? "" : ` by ${SOURCES[state.source]}`}`]];
  const rows = [["top-1", asPercent(row.top1)]];
  if (row.top5 !== null) rows.push(["top-5", asPercent(row.top5)]);
  rows.push(["source", sourceText(network, row)]);
  if (row.far) rows.push(["but", `of another network: ${[["parameters", row.params], ["multiply-adds", row.multiply_adds]].filter(([, printed]) => printed).map((pair) => pair.join(" ")).join(", ")} printed`]);
  return rows;
}

/** Write a source so that it can be found: "MobileNetV2, Table 4". */
function sourceText(network, row) {
  return row.kind === "paper" || row.kind === "authors" ? `${ZOO.families[network.family].name}, ${row.source}` : row.source;
}

/** Return the keys of the latencies that an axis shows. */
const onAxes = () => [state.x, state.y];

function costRows(network, latencies) {
  const known = metrics().filter((one) => ["params", "terms", "memory", "traffic"].includes(one.key) || (one.series && (!latencies || latencies.includes(one.key))));
  const rows = known.map((one) => [shortName(one), one.value(network) === null ? null : valueText(one, network)]);
  return rows.filter(([, value]) => value !== null);
}

const shortName = (about) =>
  ({ params: "parameters", terms: "multiply-adds", memory: "memory", traffic: "traffic" })[about.key] ?? seriesName(about.series);

/** Write a quantity, with what qualifies it: additions, the interval, the day of the measurement. */
function valueText(about, network) {
  const text = about.text(about.value(network));
  if (about.key === "terms" && network.additions) return `${text}, of which ${asCount(Math.floor(network.additions / 2))} pairs of additions`;
  if (!about.series) return text;
  const [, low, high, date, doubt] = timing(network, about.series);
  const end = asSeconds(high);
  const start = asSeconds(low);
  const unit = (written) => written.split(NO_BREAK)[1];
  return `${text} (${unit(start) === unit(end) ? start.split(NO_BREAK)[0] : start} to ${end})${date ? `, ${asDay(date)}` : ""}${doubt ? `; ${doubt}` : ""}`;
}

const isLog = (about, choice) => (choice === "" ? about.log : choice === "1");

PARTS.push(function drawChart() {
  const [x, y] = [metric(state.x), metric(state.y)];
  const { within, over, unknown } = chosenNetworks();
  const every = within.map((network) => asPoint(network, x, y));
  const points = every.filter((point) => point.x !== null && (point.x > 0 || !isLog(x, state.logx)));
  const front = state.front === "1" ? frontOf(points, x, y) : [];
  chart.draw({
    points,
    x: axisOf(x, points.map((point) => point.x), isLog(x, state.logx)),
    y: axisOf(y, points.map((point) => point.y), isLog(y, state.logy)),
    title: `${y.label} against ${x.label} of ${points.length} networks; arrow keys lead from one to the next, Enter chooses`,
    unknown: y.unknown,
    chosen: state.network,
    below: (layer, frame) => { drawLimits(layer, frame, x, y); drawFront(layer, frame, front); },
    above: (layer, frame, places) => labelFront(layer, frame, front, places),
  });
  const parts = [`${points.length} of ${within.length + over.length + unknown.length} networks shown`];
  if (over.length) parts.push(`${over.length} over the budget`);
  if (unknown.length) parts.push(`${unknown.length} not known to keep it`);
  if (points.length < every.length) parts.push(`${every.length - points.length} without ${x.label.toLowerCase()}`);
  const gap = points.filter((point) => point.y === null).length;
  if (gap) parts.push(`${gap} in the strip below: ${y.unknown}`);
  const words = `${parts.join(" · ")}.`;
  if (find("#count").textContent !== words) find("#count").textContent = words;
  find("#about-axes").replaceChildren(aboutAxes(x, y));
});

function aboutAxes(x, y) {
  const words = [x, y].filter((one, index, both) => one.series && both.indexOf(one) === index).map((one) => {
    const number = ZOO.latencies.indexOf(one.series);
    const days = ZOO.networks.map((network) => network.latencies[number]?.[3]).filter(Boolean).map(asDay).sort();
    const when = days.length ? `, ${[...new Set([days[0], days.at(-1)])].join(" to ")}` : "";
    return `${one.label}: ${one.series.machine}, one picture at a time${when}.`;
  });
  return words.join(" ");
}

function drawLimits(layer, frame, x, y) {
  for (const { about, limit } of limits()) {
    for (const [axis, key, at, ends] of [[x, "x", frame.x, [frame.left, frame.right]], [y, "y", frame.y, [frame.top, frame.bottom]]]) {
      if (about.key !== axis.key) continue;
      const place = at(limit);
      if (!Number.isFinite(place) || place < ends[0] || place > ends[1]) continue;
      const line = key === "x" ? { x1: place, x2: place, y1: frame.top, y2: frame.bottom } : { x1: frame.left, x2: frame.right, y1: place, y2: place };
      layer.append(shape("line", { ...line, class: "limit" }));
    }
  }
}

function drawFront(layer, frame, front) {
  if (front.length < 2) return;
  let path = `M${frame.x(front[0].x).toFixed(1)},${frame.y(front[0].y).toFixed(1)}`;
  for (const point of front.slice(1)) path += `H${frame.x(point.x).toFixed(1)}V${frame.y(point.y).toFixed(1)}`;
  layer.append(shape("path", { d: path, class: "front" }));
}

/** Write the names of the front's networks where they cover neither a mark nor another name. */
function labelFront(layer, frame, front, places) {
  if (frame.right < 480) return;
  const taken = places.map(({ left, top }) => [left - 6, top - 6, left + 6, top + 6]);
  const free = ([a, b, c, d]) => a > frame.left && c < frame.right && b > frame.top - 8 && !taken.some(([e, f, g, h]) => a < g && e < c && b < h && f < d);
  const chosen = front.filter((point) => point.id === state.network);
  for (const point of [...chosen, ...front.filter((other) => !chosen.includes(other))]) {
    const [left, top] = [frame.x(point.x), frame.y(point.y)];
    const text = [point.network.name, point.network.options.width].filter(Boolean).join(" ");
    const wide = 6.3 * text.length;
    const boxes = [[left - 9 - wide, top - 13, left - 8, top], [left - wide / 2, top - 22, left + wide / 2, top - 9], [left + 8, top - 6, left + 9 + wide, top + 7]];
    const box = boxes.find(free);
    if (!box) continue;
    taken.push(box);
    layer.append(shape("text", { x: box[0], y: box[3] - 3, class: "name" }, text));
  }
}
