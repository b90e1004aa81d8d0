// Elements, and quantities as people write them.

const find = (selector) => document.querySelector(selector);
const NO_BREAK = "\u00a0";
const DASH = "\u2013";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make an HTML element; attributes that begin with "on" listen, children are elements or text. */
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** Make an SVG element. */
const shape = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// [from this value on, size of the unit, unit]
const COUNTS = [[1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e3, 1e3, "k"], [0, 1, ""]];
const BYTES = [[1e9, 1e9, "GB"], [1e6, 1e6, "MB"], [1e3, 1e3, "kB"], [0, 1, "B"]];
const SECONDS = [[1, 1, "s"], [1e-5, 1e-3, "ms"], [1e-7, 1e-6, "µs"], [0, 1e-9, "ns"]];

/** Write a value with three digits and the unit that suits it. */
function scaled(value, units, digits = 3) {
  const rounded = Number(value.toPrecision(digits));
  const [, size, unit] = units.find(([from]) => rounded >= from);
  const number = String(Number((rounded / size).toPrecision(digits)));
  return unit ? number + NO_BREAK + unit : number;
}

const asCount = (value) => scaled(value, COUNTS);
const asBytes = (value) => scaled(value, BYTES);
const asSeconds = (value) => scaled(value, SECONDS);
const asPercent = (value) => `${Number(value.toFixed(2))}${NO_BREAK}%`;
const asPlain = (value) => String(value);
const asDay = (date) => date.slice(0, 10);

/** Write a network's options: "width 0.5, 160 px" */
function optionsText(network) {
  const words = Object.entries(network.options).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  return [...words, `${network.resolution} px`].join(", ");
}

/** Put text on the clipboard; where that is refused, show it, selected, in the place given. */
async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("input", { value: text, readonly: true, class: "copy-field", "aria-label": "Line to copy" });
    place.replaceChildren(field);
    field.select();
    if (!document.execCommand("copy")) {
      place.prepend("Press Ctrl+C or \u2318C to copy: ");
      return;
    }
  }
  place.replaceChildren("Copied: ", make("code", {}, text));
}
