// Put the page together.

function goTo(id) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  find(`#${id}`).scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  find(`#${id}`).focus({ preventScroll: true });
}

function start() {
  const printed = ZOO.networks.reduce((sum, network) => sum + network.published.length, 0);
  const names = new Set(ZOO.networks.map((network) => network.name));
  const families = new Set(ZOO.networks.map((network) => network.family));
  find("#lead").textContent = `${names.size} networks of ${families.size} families in ${ZOO.networks.length} sizes, with ${printed} accuracies as printed and every cost counted. Choose what to compare, set a budget, pick a network.`;
  find("#created").textContent = `on ${asDay(ZOO.created)}`;
  readAddress();
  buildControls();
  buildRoofline();
  buildBlocks();
  for (const part of PARTS) part();
  requestAnimationFrame(() => setTimeout(() => { shownMore = true; look({}); }));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; look({}); } });
  addEventListener("hashchange", () => { if (location.hash.includes("=") || !location.hash) { readAddress(); look({}); } });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    const id = link?.getAttribute("href").slice(1);
    if (!id || id.includes("=") || !document.getElementById(id)) return;
    event.preventDefault();
    goTo(id);
  });
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start();
