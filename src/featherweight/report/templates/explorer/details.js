// Everything on the chosen network: numbers, every printed row with its source, the line that builds it.

PARTS.push(function showDetails() {
  if (!changed("details", state.network, state.data, state.source, state.numbers)) return;
  const network = NETWORKS.get(state.network);
  const family = ZOO.families[network.family];
  const place = make("p", { role: "status", class: "quiet copied" });
  const line = network.create;
  const years = [["family", `${family.name}, ${network.year}`], ["input", `${network.resolution} x ${network.resolution} pixels`]];
  const settings = Object.entries(network.options).map(([name, value]) => [name.replaceAll("_", " "), value]);
  find("#details").replaceChildren(
    make("h2", {}, keyMark(family), network.name),
    make("dl", {}, ...[...years, ...settings, ...costRows(network)].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    make("h3", {}, "Printed accuracy"),
    printedList(network),
    make("pre", { tabindex: "0", "aria-label": "Line of Python" }, line),
    make("p", { class: "actions" },
      make("button", { type: "button", class: "main", id: "copy", onclick: () => copy(line, place) }, "Copy the line"), " ",
      make("a", { href: "#roofline" }, "Roofline"), " ", make("a", { href: network.paper, rel: "noopener" }, "Paper")),
    place,
  );
});

function printedList(network) {
  if (!network.published.length) return make("p", { class: "quiet" }, "None: nobody printed one for these options.");
  const rows = [...network.published].sort((a, b) => (b.dataset === state.data) - (a.dataset === state.data));
  const used = printedRow(network);
  return make("ul", { class: "printed" }, ...rows.map((row) =>
    make("li", { class: row === used ? "used" : "" },
      make("strong", {}, row.top1 === null ? `${asPercent(row.top5)} top-5` : asPercent(row.top1)), ` ${row.dataset} `,
      make("small", {}, [row.top5 === null || row.top1 === null ? "" : `top-5 ${asPercent(row.top5)}. `, sourceText(network, row), ` (${SOURCE_NAMES[row.kind]})`].join("")),
      row.deviation ? make("details", {}, make("summary", {}, "Printed counts differ from ours"), make("small", {}, row.deviation)) : null)));
}
