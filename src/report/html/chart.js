// Errors over the operators on a logarithmic scale, and how near the values come to the format's maximum.
// Values without a place on the scale have their own bands: NaN and infinities above, 0 below.

const BAND = 18;
const LABEL = 15;

/** The chart of one walk; `choose(op)` is called for the operator that was clicked. */
function errorChart(walk, choose) {
  const ops = walk.ops;
  const sources = ops.filter((op) => op.role === "source");
  const values = ops.flatMap((op) => [op.cumulative, op.introduced, op.floor]).filter((v) => v > 0);
  const high = 10 ** Math.ceil(Math.log10(Math.max(bounds(values, 1e-6)[1], 1e-6)) + 0.1);
  const low = Math.max(10 ** Math.floor(Math.log10(bounds(values, 1e-6)[0])), high * 1e-16);
  const spec = {
    ops, low, high, sources, choose,
    lines: [
      { class: "floor", value: (op) => op.floor, dash: "5 4", colour: "var(--floor)" },
      { class: "cumulative", value: (op) => op.cumulative, broken: (op) => op.disagreeing > 0, colour: "var(--cumulative)" },
    ],
    dots: { class: "introduced", value: (op) => op.introduced, broken: (op) => op.nonfinite, colour: "var(--introduced)" },
    bands: true,
    height: 330,
    name: "Error of each operator",
    says: opWords,
  };
  const legend = h("ul", { class: "legend" },
    key("cumulative: against the reference's own stream", "M0 6H26", "var(--cumulative)"),
    key("introduced: by the operator itself, on the same inputs", "M13 6h0.01", "var(--introduced)", 6),
    key(`floor: what a fault-free ${walk.storage} backend introduces`, "M0 6H26", "var(--floor)", 1.6, "5 4"),
    key("source, with its name", "M13 0l6 6l-6 6l-6 -6z", "var(--introduced)", 1, null, true),
    key("NaN or infinite", "M8 1l10 10M18 1l-10 10", "var(--introduced)", 2));
  return h("figure", {}, legend, plot(spec),
    h("figcaption", {}, "Relative L2 error, one place for each executed operator. Arrow keys move, Page Up and Page Down go from source to source, Enter opens."));
}

/** The largest magnitude of each operator, next to the maxima of storage formats. */
function headroomChart(walk, choose) {
  const ops = walk.ops.filter((op) => op.absmax > 0);
  if (ops.length === 0) return null;
  const most = ops.reduce((a, b) => (b.absmax > a.absmax ? b : a));
  const limit = most.headroom_used > 0 ? most.absmax / most.headroom_used : 65504;
  const high = 10 ** Math.ceil(Math.log10(Math.max(65504, most.absmax)));
  const low = 10 ** Math.floor(Math.log10(Math.max(bounds(ops.map((op) => op.absmax), 1)[0], high * 1e-12)));
  const rules = [{ at: 65504, text: "f16's maximum 65504" }];
  if (limit <= high * 10 && Math.abs(limit - 65504) > 1) rules.push({ at: limit, text: `${walk.storage}'s maximum` });
  const spec = {
    ops: walk.ops, low, high, sources: [], choose, rules,
    lines: [], dots: { class: "headroom", value: (op) => op.absmax, colour: "var(--cumulative)", wide: 3 },
    height: 150, name: "Largest magnitude of each operator's values",
    says: (op) => `${op.index}  ${op.name}\nlargest magnitude ${size(op.absmax)}`,
  };
  const share = (of) => `${Number((100 * most.absmax / of).toPrecision(2))} %`;
  return h("figure", {}, h("h3", {}, "Headroom"), plot(spec), h("figcaption", {},
    `The largest magnitude is ${size(most.absmax)}, in `, h("code", {}, most.name),
    `: ${share(65504)} of what f16 holds` + (walk.storage === "f16" ? "." : `, ${share(limit)} of ${walk.storage}.`)));
}

function key(text, path, colour, width = 1.6, dash = null, filled = false) {
  const line = s("path", { d: path, fill: filled ? colour : "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round", "stroke-dasharray": dash });
  return h("li", {}, s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, line), text);
}

/** Smallest and largest; `Math.min(...values)` would be too many arguments for large networks. */
function bounds(values, otherwise) {
  let [low, high] = [Infinity, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high > 0 ? [low, high] : [otherwise, otherwise];
}

function opWords(op) {
  const found = op.nonfinite ? `${op.nonfinite.nan} NaN, ${op.nonfinite.inf} infinite` : size(op.introduced);
  const lines = [
    `${op.index}  ${op.name}`,
    `${op.op_type}${op.onnx_node ? ", ONNX " + op.onnx_node : ""}; ${ROLES[op.role]} ${roleName(op.role)}`,
    `introduced ${found}, floor ${size(op.floor)}, cumulative ${op.disagreeing ? "NaN or infinite" : size(op.cumulative)}`,
  ];
  return lines.join("\n");
}

function plot(spec) {
  const host = h("div", {
    class: "plot", tabindex: 0, role: "group",
    "aria-label": `${spec.name}: ${spec.ops.length} operators, ${spec.sources.length} sources`,
  });
  const state = { at: -1, chosen: null };
  const redraw = fitted(host, (width) => draw(spec, state, host, width));
  host.addEventListener("keydown", (event) => onKey(event, spec, state, host));
  host.addEventListener("pointerleave", () => { hideTip(); moveCursor(state, null); });
  host.addEventListener("blur", () => { hideTip(); moveCursor(state, null); });
  host.mark = (op) => { state.chosen = op; redraw(); };
  return host;
}

function draw(spec, state, host, width) {
  const labels = placeLabels(spec, width);
  const top = 8 + labels.rows * LABEL + (spec.bands ? BAND : 0);
  const bottom = spec.height + labels.rows * LABEL - 24 - (spec.bands ? BAND : 0);
  const x = xScale(spec.ops.length, width);
  const y = logScale(spec.low, spec.high, bottom, top);
  const place = (value) => (value >= spec.low ? y(value) : bottom + (spec.bands ? BAND / 2 : 0));
  const frame = { x, y, place, top, bottom, width, left: 52, right: width - 14 };
  const svg = s("svg", { viewBox: `0 0 ${width} ${spec.height + labels.rows * LABEL}`, "aria-hidden": null });
  svg.append(...axes(spec, frame), ...spec.lines.map((line) => linePath(spec, line, frame)), ...dotPaths(spec, frame));
  state.cursor = s("line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" });
  state.frame = frame;
  svg.append(state.cursor, ...labels.placed.map((label) => sourceMark(label, spec, state, frame)));
  svg.addEventListener("pointermove", (event) => {
    const op = nearest(event, svg, spec, frame);
    state.at = spec.ops.indexOf(op);
    moveCursor(state, op && x(state.at));
    if (op) showTip(spec.says(op), event.clientX, event.clientY);
  });
  svg.addEventListener("click", (event) => {
    const op = nearest(event, svg, spec, frame);
    if (op) spec.choose(op, true);
  });
  host.replaceChildren(svg);
}

function xScale(length, width) {
  const [from, to] = [62, width - 24];
  return (at) => from + (length < 2 ? 0.5 : at / (length - 1)) * (to - from);
}

function axes(spec, frame) {
  const { left, right, top, bottom, y } = frame;
  const parts = [];
  if (spec.bands) {
    parts.push(s("rect", { class: "band", x: left, y: top - BAND, width: right - left, height: BAND }));
    parts.push(s("rect", { class: "band", x: left, y: bottom, width: right - left, height: BAND }));
    parts.push(s("text", { x: left - 6, y: top - 8, "text-anchor": "end" }, "NaN ∞"));
    parts.push(s("text", { x: left - 6, y: bottom + 13, "text-anchor": "end" }, "0"));
  }
  for (const power of decades(spec.low, spec.high, (bottom - top) / 20)) {
    const at = y(10 ** power);
    parts.push(s("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }));
    if (!spec.bands || at > top + 6) parts.push(s("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, powerText(power)));
  }
  for (const rule of spec.rules ?? []) {
    const at = y(rule.at);
    parts.push(s("line", { x1: left, x2: right, y1: at, y2: at, stroke: "var(--introduced)", "stroke-dasharray": "6 3" }));
    parts.push(s("text", { x: right - 4, y: at < top + 14 ? at + 13 : at - 4, "text-anchor": "end" }, rule.text));
  }
  const under = bottom + (spec.bands ? BAND : 0) + 15;
  const last = spec.ops.length - 1;
  const step = niceStep(spec.ops.length, (right - left) / 70);
  for (let at = 0; at <= last; at += step) {
    parts.push(s("text", { x: frame.x(at), y: under, "text-anchor": "middle" }, String(spec.ops[at].index)));
  }
  return parts;
}

function niceStep(length, most) {
  const rough = Math.max(1, length / Math.max(2, most));
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough);
}

function linePath(spec, line, frame) {
  let path = "";
  let pen = false;
  spec.ops.forEach((op, at) => {
    const value = line.value(op);
    const broken = line.broken?.(op);
    if (value === null || value === undefined || broken) {
      pen = false;
      return;
    }
    path += `${pen ? "L" : "M"}${frame.x(at).toFixed(1)} ${frame.place(value).toFixed(1)}`;
    pen = true;
  });
  return s("path", { class: "line", d: path || "M0 0", stroke: line.colour, "stroke-dasharray": line.dash, style: spec.ops.length > 1500 ? "stroke-width: 1" : null });
}

/** All dots in one path: each dot is a stroke without length, with round ends. */
function dotPaths(spec, frame) {
  let [dots, crosses, carried] = ["", "", ""];
  const cross = (x) => `M${x - 4} ${frame.top - BAND / 2 - 4}l8 8M${x + 4} ${frame.top - BAND / 2 - 4}l-8 8`;
  spec.ops.forEach((op, at) => {
    const x = frame.x(at);
    const value = spec.dots.value(op);
    if (spec.dots.broken?.(op)) crosses += cross(x);
    else if (spec.lines.some((line) => line.broken?.(op))) carried += cross(x);
    if (value !== null && value !== undefined) dots += `M${x.toFixed(1)} ${frame.place(value).toFixed(1)}h0.01`;
  });
  const wide = spec.dots.wide ?? (spec.ops.length > 1500 ? 2.5 : spec.ops.length < 100 ? 6 : 4);
  return [
    s("path", { class: "dots", d: dots || "M0 0", stroke: spec.dots.colour, "stroke-width": wide }),
    s("path", { d: carried || "M0 0", stroke: "var(--cumulative)", "stroke-width": 1.2 }),
    s("path", { d: crosses || "M0 0", stroke: "var(--introduced)", "stroke-width": 2 }),
  ];
}

const CHARACTER = 6.7;
const MOST_ROWS = 4;
const MOST_MARKS = 300;

/** Puts the names of sources into rows above the chart. Names in a row do not touch. */
function placeLabels(spec, width) {
  const x = xScale(spec.ops.length, width);
  const ends = [];
  const most = width < 600 ? 22 : 34;
  const placed = [];
  spec.ops.forEach((op, at) => {
    if (op.role !== "source" || spec.sources.length === 0 || placed.length >= MOST_MARKS) return;
    const text = ended(op.name, most);
    const long = text.length * CHARACTER;
    const left = Math.min(Math.max(4, x(at) - long / 2), width - long - 4);
    let row = ends.findIndex((end) => end + 10 < left);
    if (row < 0 && ends.length < MOST_ROWS) row = ends.length;
    if (row >= 0) ends[row] = left + long;
    placed.push({ op, at, text, left, row });
  });
  return { placed, rows: ends.length };
}

function sourceMark(label, spec, state, frame) {
  const { op, at, text, left, row } = label;
  const x = frame.x(at);
  const nan = spec.dots.broken?.(op);
  const y = nan ? frame.top - BAND / 2 : frame.place(op.introduced ?? spec.low);
  const words = `source ${op.name}, ${op.op_type}: introduced ${nan ? "NaN or infinities" : size(op.introduced)}, floor ${size(op.floor)}`;
  const baseline = 14 + row * LABEL;
  const open = (event) => { event.stopPropagation(); spec.choose(op, true); };
  return s("g", {
    class: "source" + (state.chosen === op ? " chosen" : ""), role: "button", tabindex: 0, "aria-label": words,
    onclick: open, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(event); } },
  },
    row >= 0 ? s("line", { class: "leader", x1: x, x2: x, y1: baseline + 3, y2: y }) : null,
    s("path", { d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z` }),
    row >= 0 ? s("text", { class: "label", x: left, y: baseline }, text) : null);
}

function nearest(event, svg, spec, frame) {
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * frame.width;
  const share = (x - frame.x(0)) / (frame.x(spec.ops.length - 1) - frame.x(0) || 1);
  const at = Math.round(Math.min(1, Math.max(0, share)) * (spec.ops.length - 1));
  return spec.ops[at];
}

function moveCursor(state, x) {
  if (!state.cursor) return;
  state.cursor.setAttribute("visibility", x === null || x === undefined ? "hidden" : "visible");
  if (x !== null && x !== undefined) {
    state.cursor.setAttribute("x1", x);
    state.cursor.setAttribute("x2", x);
  }
}

function onKey(event, spec, state, host) {
  if (event.target !== host) return;
  const last = spec.ops.length - 1;
  const towards = (step) => {
    for (let at = state.at + step; at >= 0 && at <= last; at += step) {
      if (spec.ops[at].role === "source") return at;
    }
    return state.at;
  };
  const moves = {
    ArrowRight: () => state.at + 1, ArrowLeft: () => state.at - 1, Home: () => 0, End: () => last,
    PageDown: () => towards(1), PageUp: () => towards(-1),
  };
  if (event.key === "Enter" && spec.ops[state.at]) spec.choose(spec.ops[state.at], true);
  if (!moves[event.key]) return;
  event.preventDefault();
  state.at = Math.min(last, Math.max(0, moves[event.key]()));
  const x = state.frame.x(state.at);
  moveCursor(state, x);
  const box = host.getBoundingClientRect();
  showTip(spec.says(spec.ops[state.at]), box.left + x, box.top + box.height / 2);
}
