// The base of the other scripts: elements, numbers as text, scales.

const content = JSON.parse(document.getElementById("content").textContent);
const walks = content.walks;

/** An HTML element: h("p", {class: "x", onclick: f}, "text", child). */
function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in SVG. */
function s(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Three digits, as on the terminal; "-" for a missing measurement. */
function size(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "string") return value;
  if (value === 0) return "0";
  const plain = Math.abs(value) >= 0.01 && Math.abs(value) < 1e4;
  return plain ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

function count(value) {
  return value.toLocaleString("en-US");
}

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** 10⁻³ */
function powerText(power) {
  if (power === 0) return "1";
  const digits = String(Math.abs(power)).replace(/\d/g, (digit) => SUPERSCRIPT[digit]);
  return "10" + (power < 0 ? "⁻" : "") + digits;
}

const ROLES = { source: "◆", carrier: "●", amplifier: "▲", absorber: "▼", clean: "○" };
const roleName = (role) => (role === "carrier" ? "propagator" : role);

const tip = document.getElementById("tip");

/** Shows a text next to the pointer, inside the window. */
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(6, x + 14), innerWidth - width - 6);
  const below = y + 18 + height < innerHeight;
  tip.style.left = left + "px";
  tip.style.top = (below ? y + 18 : Math.max(6, y - height - 14)) + "px";
}

function hideTip() {
  tip.hidden = true;
}
