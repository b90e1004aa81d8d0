// What is being looked at: kept in the address, so that a view can be shared.

const ZOO = JSON.parse(find("#zoo-data").textContent);
const NETWORKS = new Map(ZOO.networks.map((network) => [network.id, network]));

const BUDGETS = ["params", "terms", "memory", "traffic", "latency", "top1"];
const DEFAULTS = {
  data: "ImageNet",
  x: "terms",
  y: "top1",
  logx: "", // "1", "0", or as suits the quantity
  logy: "",
  source: "first",
  numbers: "float32",
  search: "",
  off: "", // families that are hidden, with commas between
  front: "1",
  network: "mobilenet_v2 @224",
  sort: "-top1",
  times: "", // key of the latencies that the roofline shows
  ceilings: "0",
  limited: "", // key of the latencies that the budget is about
  block: "",
  family: "",
  ...Object.fromEntries(BUDGETS.map((name) => [`max_${name}`, ""])),
};
const PARTS = []; // functions that draw; each looks at the state

const state = { ...DEFAULTS };

/** Count the networks of each data set, the largest first. */
function dataSets() {
  const sizes = new Map();
  for (const network of ZOO.networks)
    for (const name of network.datasets) sizes.set(name, (sizes.get(name) ?? 0) + 1);
  return [...sizes].sort((a, b) => b[1] - a[1]);
}

function readAddress() {
  Object.assign(state, DEFAULTS);
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
  const keep = (name, known, other = DEFAULTS[name]) => { if (!known.includes(state[name])) state[name] = other; };
  const sets = dataSets().map(([name]) => name);
  keep("data", sets, sets[0]);
  keep("source", Object.keys(SOURCES));
  keep("numbers", Object.keys(WIDTH_OF)); // the quantities below depend on it
  const keys = metrics().map((one) => one.key);
  for (const name of ["x", "y"]) keep(name, keys);
  keep("limited", metrics().filter((one) => one.series).map((one) => one.key));
  keep("sort", [...COLUMNS, ...keys].flatMap((key) => [key, `-${key}`]));
  keep("ceilings", ZOO.ceilings.map((_, number) => String(number)));
  for (const name of ["logx", "logy", "front"]) keep(name, ["", "0", "1"]);
  for (const name of BUDGETS.map((one) => `max_${one}`)) if (!Number.isFinite(Number(state[name]))) state[name] = "";
  if (!NETWORKS.has(state.network)) {
    const here = ZOO.networks.find((network) => network.datasets.includes(state.data));
    state.network = here.id;
  }
}

function writeAddress() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) words.set(name, value);
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
}

/** Change what is looked at, and draw it. */
function look(changes) {
  Object.assign(state, changes);
  writeAddress();
  for (const part of PARTS) part();
}

const drawnFrom = new Map();

/** Tell whether what a part depends on has changed; where it has not, a screen reader must not be told it again. */
function changed(part, ...what) {
  const now = JSON.stringify(what);
  if (drawnFrom.get(part) === now) return false;
  drawnFrom.set(part, now);
  return true;
}

const hiddenFamilies = () => new Set(state.off.split(",").filter(Boolean));

let unpacked = null;

/** Return the layers and pictures: packed in the page, unpacked when they are first wanted. */
function more() {
  unpacked ??= (async () => {
    const bytes = Uint8Array.from(atob(find("#zoo-more").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  })();
  return unpacked;
}
