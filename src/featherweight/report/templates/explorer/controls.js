// What the reader sets: data set, axes, source, budget, families.

const BUDGET_LABELS = {
  params: ["Parameters", "M", "at most"],
  terms: ["Multiply-adds", "M", "at most"],
  memory: ["Activation memory", "MB", "at most"],
  traffic: ["Memory traffic", "MB", "at most"],
  latency: ["Latency", "ms", "at most"],
  top1: ["Top-1 accuracy", "%", "at least"],
};

function options(select, pairs) {
  find(select).replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
}

function axisOptions() {
  const pairs = metrics().map((one) => [one.key, one.label]);
  for (const name of ["#x", "#y"]) {
    options(name, pairs);
    if (!ZOO.latencies.some((series) => !series.measured))
      find(name).append(make("option", { disabled: true }, "Predicted latency: run featherweight calibrate"));
    if (!ZOO.latencies.some((series) => series.measured))
      find(name).append(make("option", { disabled: true }, "Measured latency: run featherweight bench"));
  }
}

function buildControls() {
  options("#data", dataSets().map(([name, count]) => [name, `${name} (${count})`]));
  options("#source", Object.entries(SOURCES));
  options("#numbers", Object.keys(WIDTH_OF).map((name) => [name, name]));
  for (const name of ["data", "source", "numbers"]) find(`#${name}`).addEventListener("change", (event) => look({ [name]: event.target.value }));
  find("#search").addEventListener("input", (event) => look({ search: event.target.value }));
  for (const name of ["x", "y"]) {
    find(`#${name}`).addEventListener("change", (event) => look({ [name]: event.target.value, [`log${name}`]: "" }));
    find(`#log${name}`).addEventListener("input", (event) => look({ [`log${name}`]: event.target.checked ? "1" : "0" }));
  }
  find("#front").addEventListener("input", (event) => look({ front: event.target.checked ? "1" : "0" }));
  find("#reset").addEventListener("click", () => look({ ...DEFAULTS, network: state.network }));
  for (const [name, [label, unit, side]] of Object.entries(BUDGET_LABELS)) {
    const none = name === "latency" && !ZOO.latencies.length;
    const field = make("input", {
      type: "number", min: "0", step: "any", inputmode: "decimal", id: `max_${name}`, placeholder: none ? "none yet" : "", disabled: none,
      "aria-label": `${label}, ${side}, in ${unit}`, oninput: (event) => look({ [`max_${name}`]: event.target.value }),
    });
    if (name === "params") find("details.budget-fields").open = innerWidth > 640;
    find("#budget").append(make("label", {}, make("span", {}, `${label} `, make("small", {}, side)), make("span", { class: "field" }, field, make("span", { class: "unit", "aria-hidden": "true" }, unit))));
  }
  if (ZOO.latencies.length) find("details.budget-fields").append(limitedLatency());
  buildFamilies();
  find("#marks").append(
    ...[["own", "its paper or authors"], ["others", "torchvision's weights, or others' tables"], ["far", "printed for a network whose counts are over a tenth from ours: not on the front"]].map(([kind, text]) =>
      make("li", {}, keyMark({ colour: 0, marker: 0 }, kind), text)),
  );
}

/** Make the choice of the latency that the budget is about. */
function limitedLatency() {
  const choices = metrics().filter((one) => one.series).map((one) => make("option", { value: one.key }, one.label.replace("Latency, ", "")));
  return make("label", { class: "limited" }, make("span", {}, "The latency is"), make("select", { id: "limited", onchange: (event) => look({ limited: event.target.value }) }, ...choices));
}

const keyMark = (family, kind = "own") =>
  shape("svg", { viewBox: "-8 -8 16 16", class: "key", "aria-hidden": "true" },
    shape("g", { class: `point ${kind}`, style: `--family: var(--s${family.colour})` }, shape("path", { class: "outline", d: ZOO.markers[family.marker % ZOO.markers.length] })));

function buildFamilies() {
  const toggle = (name) => {
    const hidden = hiddenFamilies();
    if (!hidden.delete(name)) hidden.add(name);
    look({ off: [...hidden].join(",") });
  };
  const only = (name) => look({ off: ZOO.families.map((family) => family.name).filter((other) => other !== name).join(",") });
  find("#families").append(
    make("button", { type: "button", class: "plain", onclick: () => look({ off: "" }) }, "All"),
    make("button", { type: "button", class: "plain", onclick: () => only("") }, "None"),
    ...ZOO.families.map((family) =>
      make("button", {
        type: "button", "data-family": family.name, title: "Double click: this family alone",
        onclick: () => toggle(family.name), ondblclick: () => only(family.name),
        onpointerenter: () => emphasize(family.name), onpointerleave: () => emphasize(null),
      }, keyMark(family), family.name)),
  );
}

/** While the pointer rests on a family, let the marks of others step back. */
function emphasize(name) {
  for (const mark of document.querySelectorAll("#chart .point")) {
    const family = name && ZOO.families[NETWORKS.get(mark.dataset.id).family].name;
    mark.classList.toggle("back", Boolean(name) && family !== name);
  }
}

PARTS.push(function showControls() {
  axisOptions();
  for (const name of ["data", "x", "y", "source", "numbers", "search"]) if (find(`#${name}`).value !== state[name]) find(`#${name}`).value = state[name];
  for (const name of BUDGETS) if (find(`#max_${name}`).value !== state[`max_${name}`]) find(`#max_${name}`).value = state[`max_${name}`];
  if (ZOO.latencies.length) find("#limited").value = budgetLatency().key;
  const set = BUDGETS.filter((name) => state[`max_${name}`] !== "").length;
  find("#budget-words").textContent = set ? `${set} ${set === 1 ? "limit" : "limits"} set` : "no limits";
  find("#logx").checked = isLog(metric(state.x), state.logx);
  find("#logy").checked = isLog(metric(state.y), state.logy);
  find("#front").checked = state.front === "1";
  const hidden = hiddenFamilies();
  const here = new Set(ZOO.networks.filter((network) => network.datasets.includes(state.data)).map((network) => ZOO.families[network.family].name));
  for (const button of document.querySelectorAll("[data-family]")) {
    button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.family)));
    button.hidden = !here.has(button.dataset.family);
  }
});
