// Every network that passes the filters, in a table that sorts.

const sortKey = () => state.sort.replace(/^-/, "");
const COLUMNS = ["name", "family", "year", "resolution", "top1", "params", "terms", "memory", "traffic"];

/** Return the table's columns: what a cell shows, what it sorts by, whether it is a number. */
function columns() {
  const words = {
    name: { key: "name", label: "Network", value: (network) => network.id },
    family: { key: "family", label: "Family", value: (network) => ZOO.families[network.family].name, text: asPlain },
    resolution: { key: "resolution", label: "Input", value: (network) => network.resolution, text: (side) => `${side}${NO_BREAK}px`, number: true },
  };
  const names = [...COLUMNS, ...shownLatencies()];
  return names.map((name) => words[name] ?? { ...metric(name), number: true });
}

/** Return the latencies that get a column: those on the axes, else the first predicted and the first measured. */
function shownLatencies() {
  const every = metrics().filter((one) => one.series);
  const asked = every.filter((one) => onAxes().includes(one.key));
  const first = [false, true].map((measured) => every.find((one) => one.series.measured === measured)).filter(Boolean);
  return (asked.length ? asked : first).map((one) => one.key);
}

function sorted(networks, every) {
  const down = state.sort.startsWith("-");
  const column = every.find((one) => one.key === sortKey()) ?? every[0];
  const rows = networks.map((network) => [column.value(network), network]);
  rows.sort(([a, one], [b, other]) => {
    if (a === null || b === null) return (a === null) - (b === null) || one.id.localeCompare(other.id);
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return (down ? -order : order) || one.id.localeCompare(other.id, "en", { numeric: true });
  });
  return rows.map(([, network]) => network);
}

function sortBy(column) {
  const first = column.better === 1 || column.key === "year" ? `-${column.key}` : column.key;
  const other = first.startsWith("-") ? column.key : `-${column.key}`;
  look({ sort: state.sort === first ? other : first });
}

PARTS.push(function showTable() {
  const every = columns();
  const rows = sorted(chosenNetworks().within, every);
  const head = find("#table thead");
  const focused = document.activeElement?.dataset?.sort;
  head.replaceChildren(make("tr", {}, ...every.map((column) => {
    const sorting = sortKey() === column.key ? (state.sort.startsWith("-") ? "descending" : "ascending") : "none";
    return make("th", { scope: "col", "aria-sort": sorting, class: column.number ? "n" : "" },
      make("button", { type: "button", "data-sort": column.key, onclick: () => sortBy(column) }, column.label));
  }), make("th", { scope: "col" }, "Source"), make("th", { scope: "col" }, "create(...)")));
  if (focused) head.querySelector(`[data-sort="${focused}"]`)?.focus();
  const here = document.activeElement?.closest?.("tr")?.dataset?.id;
  const control = document.activeElement?.className;
  find("#table tbody").replaceChildren(...rows.map((network) => tableRow(network, every)));
  if (here) find(`#table tr[data-id="${CSS.escape(here)}"] .${control || "pick"}`)?.focus();
  find("#list-lead").textContent = rows.length
    ? `${rows.length} networks, as filtered above. Choose a heading to sort, a name to see it in the chart, Copy for the line that builds it.`
    : "No network passes the filters: loosen the budget, or show more families.";
});

function tableRow(network, every) {
  const cells = every.map((column) => {
    if (column.key === "name") {
      return make("th", { scope: "row" },
        make("button", { type: "button", class: "pick", onclick: () => look({ network: network.id }) }, keyMark(ZOO.families[network.family]), network.name),
        make("small", {}, Object.entries(network.options).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ")));
    }
    const value = column.value(network);
    if (value === null) return make("td", { class: "n" }, make("span", { class: "quiet", title: column.unknown }, DASH));
    const doubt = column.series && timing(network, column.series)[4];
    return make("td", { class: column.number ? "n" : "" }, doubt ? make("span", { title: doubt }, `\u2248${NO_BREAK}${column.text(value)}`) : column.text(value));
  });
  const row = printedRow(network);
  const source = row ? `${row.far ? "of another network: " : ""}${sourceText(network, row)}` : "";
  const button = make("button", { type: "button", class: "copy", "aria-label": `Copy ${network.create}`, onclick: () => copy(network.create, find("#copied")) }, "Copy");
  return make("tr", { "data-id": network.id, class: network.id === state.network ? "chosen" : "" }, ...cells, make("td", { class: "source" }, make("small", {}, source)), make("td", {}, button));
}
