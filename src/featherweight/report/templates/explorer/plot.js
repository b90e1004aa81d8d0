// A plot of points: axes, marks that move to their new places, the nearest one told by pointer, tap and arrow keys.

const EDGE = { left: 62, right: 14, top: 34, bottom: 46 };
const STRIP = 36; // below the frame, for points without a y
const CHARACTER = 7; // mean width of a character of a tick

/**
 * Make a plot inside a figure that has an svg and a .tip.
 * `tell(point)` gives the tip's content, `choose(point)` is called on click, tap and Enter.
 */
function makePlot(figure, { tell, choose }) {
  const svg = figure.querySelector("svg");
  const tip = figure.querySelector(".tip");
  const [back, under, marks, over] = ["back", "under", "marks", "over"].map((name) => shape("g", { class: name }));
  svg.append(back, under, marks, over);
  const places = new Map(); // id -> { point, group, left, top }
  let current = null; // id of the point that the Tab key reaches

  function draw({ points, x, y, title, unknown, chosen, below, above }) {
    const strip = points.some((point) => point.y === null) ? STRIP : 0;
    const width = Math.max(figure.clientWidth, 280);
    const height = Math.round(Math.min(Math.max(0.62 * width, 300), 560));
    const frame = { left: EDGE.left, right: width - EDGE.right, top: EDGE.top, bottom: height - EDGE.bottom - strip, floor: height - EDGE.bottom, axes: { x, y } };
    frame.x = (value) => frame.left + x.at(value) * (frame.right - frame.left);
    frame.y = (value) => frame.bottom - y.at(value) * (frame.bottom - frame.top);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", title);
    drawAxes(back, frame, x, y, strip ? unknown : "", width);
    under.replaceChildren();
    over.replaceChildren();
    below?.(under, frame);
    placeMarks(points, frame, chosen);
    above?.(over, frame, [...places.values()]);
    hide();
  }

  function placeMarks(points, frame, chosen) {
    const wanted = new Set(points.map((point) => point.id));
    for (const [id, place] of places) if (!wanted.has(id)) { place.group.remove(); places.delete(id); }
    for (const point of points) {
      const left = frame.x(point.x);
      const top = point.y === null ? frame.floor - STRIP / 2 + 8 : frame.y(point.y);
      const group = places.get(point.id)?.group ?? newMark(point.id);
      const family = `var(--s${point.colour})`;
      group.setAttribute("class", `point ${point.kind}${point.id === chosen ? " chosen" : ""}`);
      group.style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
      group.style.setProperty("--family", family);
      group.querySelector(".outline").setAttribute("d", ZOO.markers[point.marker % ZOO.markers.length]);
      group.setAttribute("aria-label", spoken(tell(point)));
      places.set(point.id, { point, group, left, top });
    }
    if (!places.has(current)) current = places.has(chosen) ? chosen : points[0]?.id ?? null;
    for (const [id, place] of places) place.group.setAttribute("tabindex", id === current ? "0" : "-1");
    for (const last of [chosen, current]) if (places.has(last) && document.activeElement !== places.get(last).group) marks.append(places.get(last).group);
  }

  function newMark(id) {
    const group = shape("g", { role: "button", "data-id": id }, shape("circle", { r: 10, class: "halo" }), shape("path", { class: "outline" }));
    group.addEventListener("focus", () => { makeCurrent(id); if (group.matches(":focus-visible")) show(id); });
    group.addEventListener("blur", hide);
    marks.append(group);
    return group;
  }

  function makeCurrent(id) {
    places.get(current)?.group.setAttribute("tabindex", "-1");
    current = id;
    places.get(id)?.group.setAttribute("tabindex", "0");
  }

  function show(id) {
    const place = places.get(id);
    if (!place) return;
    for (const other of places.values()) other.group.classList.toggle("near", other === place);
    const { title, rows } = tell(place.point);
    tip.replaceChildren(make("strong", {}, title), make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
    tip.hidden = false;
    const room = figure.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(place.left - tip.offsetWidth / 2, room))}px`;
    const above = place.top - tip.offsetHeight - 14;
    tip.style.top = `${above > -60 ? above : place.top + 16}px`;
  }

  function hide() {
    tip.hidden = true;
    for (const place of places.values()) place.group.classList.remove("near");
  }

  function nearest(event, reach) {
    const box = svg.getBoundingClientRect();
    let best = null;
    for (const [id, place] of places) {
      const distance = Math.hypot(place.left - (event.clientX - box.left), place.top - (event.clientY - box.top));
      if (distance < reach) [best, reach] = [id, distance];
    }
    return best;
  }

  svg.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const id = nearest(event, 22);
    svg.classList.toggle("aims", id !== null);
    if (id === null) hide();
    else show(id);
  });
  svg.addEventListener("pointerleave", (event) => event.pointerType === "touch" || hide());
  svg.addEventListener("click", (event) => {
    const id = nearest(event, 30);
    if (id === null) return hide();
    makeCurrent(id);
    choose(places.get(id).point);
    show(id);
  });
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(places.get(current).point);
      return show(current);
    }
    const next = neighbour(event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
    show(current);
  });

  /** Return the mark that an arrow key leads to: left and right in the order of x, up and down in that of y. */
  function neighbour(key) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };
    if (!(key in steps) && key !== "Home" && key !== "End") return null;
    const upright = key === "ArrowUp" || key === "ArrowDown";
    const order = [...places].sort(([, a], [, b]) => (upright ? a.top - b.top || a.left - b.left : a.left - b.left || a.top - b.top));
    if (key === "Home") return order[0]?.[1].group;
    if (key === "End") return order.at(-1)?.[1].group;
    const at = order.findIndex(([id]) => id === current) + steps[key];
    return order[Math.max(0, Math.min(at, order.length - 1))]?.[1].group;
  }

  return { draw };
}

const spoken = ({ title, rows }) => `${title}: ${rows.map(([name, value]) => `${name} ${value}`).join(", ")}`;

function drawAxes(back, frame, x, y, unknown, width) {
  back.replaceChildren(
    shape("text", { x: 0, y: 16, class: "axis" }, y.label),
    shape("text", { x: frame.right, y: frame.floor + 40, class: "axis end" }, x.label),
  );
  for (const tick of y.ticks) {
    const top = frame.y(tick);
    back.append(
      shape("line", { x1: frame.left, x2: frame.right, y1: top, y2: top, class: "grid" }),
      shape("text", { x: frame.left - 8, y: top + 4, class: "tick end", "data-y": tick }, y.text(tick)),
    );
  }
  let free = -Infinity;
  for (const tick of x.ticks) {
    const [left, half] = [frame.x(tick), (CHARACTER * x.text(tick).length) / 2];
    back.append(shape("line", { x1: left, x2: left, y1: frame.top, y2: frame.bottom, class: "grid faint-grid" }));
    if (left - half < free) continue;
    free = left + half + 10;
    back.append(shape("text", { x: Math.min(left, width - half), y: frame.floor + 18, class: "tick middle", "data-x": tick, "data-at": left }, x.text(tick)));
  }
  if (unknown) {
    const top = frame.floor - STRIP / 2 - 10;
    back.append(
      shape("rect", { x: frame.left, y: frame.bottom + 8, width: frame.right - frame.left, height: STRIP - 2, rx: 4, class: "strip" }),
      shape("text", { x: frame.left - 8, y: top + 22, class: "tick end" }, "none"),
    );
    back.lastChild.append(shape("title", {}, unknown));
  }
}
