// The picture of the families, and those of the blocks.

const MOST = 12; // networks that are named below a block

const ledTo = (name) => ZOO.families.filter((family) => name in family.builds_on).map((family) => family.name);

function familyButton(name) {
  return make("button", { type: "button", class: "link", onclick: () => { look({ family: name }); find("#family h3").focus(); } }, name);
}

const joined = (parts) => parts.flatMap((part, index) => (index ? [", ", part] : [part]));

PARTS.push(function showFamily() {
  if (!shownMore) return;
  more().then(({ history }) => {
    const place = find("#history-picture");
    if (!place.firstChild) {
      place.innerHTML = history;
      const box = place.closest(".scroll");
      box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
      for (const link of place.querySelectorAll("a"))
        link.addEventListener("click", (event) => { event.preventDefault(); look({ family: nameOf(link) }); });
    }
    for (const link of place.querySelectorAll("a")) link.classList.toggle("chosen", nameOf(link) === state.family);
  });
  if (!changed("family", state.family)) return;
  const family = ZOO.families.find((one) => one.name === state.family);
  const ancestor = ZOO.ancestors.find((one) => one.name === state.family);
  find("#family").replaceChildren(...(family ? familyWords(family) : ancestor ? ancestorWords(ancestor) : []));
});

const nameOf = (link) => new URLSearchParams(link.getAttribute("href").slice(1)).get("family");

function ancestorWords({ name, year, paper }) {
  return [make("h3", { tabindex: "-1" }, `${name}, ${year} `, make("small", {}, "ancestor, not in this library")), make("p", {}, "Led to ", ...joined(ledTo(name).map(familyButton)), ". ", make("a", { href: paper, rel: "noopener" }, "Paper"))];
}

function familyWords(family) {
  const from = Object.entries(family.builds_on);
  const only = () => {
    const others = ZOO.families.map((one) => one.name).filter((name) => name !== family.name);
    look({ off: others.join(",") });
    goTo("zoo");
  };
  const after = ledTo(family.name);
  return [
    make("h3", { tabindex: "-1" }, `${family.name}, ${family.year}`, family.reference ? make("small", {}, " plain network, to compare with") : null),
    make("p", {}, family.idea),
    from.length ? make("ul", {}, ...from.map(([name, reason]) => make("li", {}, "from ", familyButton(name), `: ${reason}`))) : null,
    after.length ? make("p", {}, "Led to ", ...joined(after.map(familyButton)), ".") : null,
    make("p", { class: "actions" }, make("button", { type: "button", onclick: only }, `Show ${family.name} alone in the chart`), " ", make("a", { href: family.paper, rel: "noopener" }, "Paper")),
  ].filter(Boolean);
}

PARTS.push(function showBlock() {
  if (!ZOO.blocks.length) return;
  const at = Math.max(0, ZOO.blocks.findIndex((block) => block.name === state.block));
  const block = ZOO.blocks[at];
  find("#block").value = block.name;
  if (!shownMore) return;
  more().then(({ blocks }) => {
    const place = find("#block-picture");
    if (place.dataset.block !== block.name) [place.innerHTML, place.dataset.block] = [blocks[block.name], block.name];
  });
  if (!changed("block", block.name)) return;
  const users = block.networks.map((name) => [name, ZOO.networks.find((network) => network.name === name)]);
  const buttons = users.slice(0, MOST).map(([name, network]) => make("button", { type: "button", class: "link", onclick: () => { look({ network: network.id, data: network.datasets[0] }); goTo("zoo"); } }, name));
  find("#block-words").replaceChildren(
    make("p", {}, make("strong", {}, block.title), `. ${block.note}`),
    users.length ? make("p", { class: "quiet" }, "In ", ...joined(buttons), users.length > MOST ? ` and ${users.length - MOST} others.` : ".") : make("p", { class: "quiet" }, "In no network of this page by itself."),
  );
});

function buildBlocks() {
  options("#block", ZOO.blocks.map((block) => [block.name, `${block.name}: ${block.title}`]));
  find("#block").addEventListener("change", (event) => look({ block: event.target.value }));
  const step = (by) => {
    const at = Math.max(0, ZOO.blocks.findIndex((block) => block.name === state.block));
    look({ block: ZOO.blocks[(at + by + ZOO.blocks.length) % ZOO.blocks.length].name });
  };
  find("#block-before").addEventListener("click", () => step(-1));
  find("#block-after").addEventListener("click", () => step(1));
}
