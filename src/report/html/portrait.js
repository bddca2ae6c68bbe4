// The portrait of a source: how its errors are spread over sizes and over the tensor, and its values
// against the reference's.

const LETTERS = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn!";

/** The four panels and the worst elements. */
function portraitPanels(op, storage) {
  const portrait = op.portrait;
  if (!portrait) return null;
  const pairs = portrait.pairs.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number));
  // Six digits are too few for the steps of f32.
  const format = storage === "f32" ? "f16" : storage;
  const parts = partElements(op.parts ?? []);
  return h("div", { class: "panels" },
    panel("How large are the errors?", histogram(portrait), histogramWords(portrait)),
    panel("Where are they?", errorMap(portrait, parts), [mapWords(portrait), parts ? h("span", { class: "screen" }, " A click shows the wrong element that is nearest.") : null]),
    panel("Candidate over reference", scatter(pairs), "Sampled elements; on the line both are equal. NaN and infinities are left out."),
    panel(`Difference in steps of ${format}`, steps(pairs, format),
      `One step is the distance between neighbours of ${format} at that size. Rounding stays in the band of one step up or down; what is outside is no rounding.`),
    parts?.figure,
    h("figure", { class: "whole" }, h("h4", {}, "Worst elements"), worstTable(portrait.worst)));
}

/** The worst element of each part of the map, one shown at a time: where it is, and what it is computed from. */
function partElements(parts) {
  if (!parts.length) return null;
  const card = h("div", { class: "part", "aria-live": "polite" });
  const watchers = [];
  const show = (at) => {
    select.value = String(at);
    const { sentences, sums } = parts[at];
    card.replaceChildren(...sentences.map((sentence) => h("p", {}, sentence + ".")), ...(sums ? [sumTable(sums)] : []));
    watchers.forEach((watch) => watch(parts[at].cell));
  };
  const select = h("select", { onchange: () => show(Number(select.value)) },
    ...parts.map(({ index, times }, at) => h("option", { value: String(at) }, `${index}: ${times} times its bound`)));
  const figure = h("figure", { class: "whole screen" }, h("h4", {}, "Wrong elements"),
    h("label", {}, "The worst element of each part of the map: ", select), card);
  const distance = (row, column) => ({ cell }) => (cell[0] - row) ** 2 + (cell[1] - column) ** 2;
  return {
    figure,
    /** Shows the element that is nearest to a cell of the map. */
    near: (row, column) => {
      const far = parts.map(distance(row, column));
      show(far.indexOf(Math.min(...far)));
    },
    /** Calls `watch` with the cell of each element that is shown, the first included. */
    watch: (watch) => { watchers.push(watch); show(0); },
  };
}

function sumTable(sums) {
  const head = h("tr", {}, h("th", { scope: "col" }, "added in"), h("th", { class: "number", scope: "col" }, "gives"), h("th", { class: "number", scope: "col" }, "apart from the target"));
  const rows = sums.map(([words, gives, apart]) => h("tr", {}, h("td", {}, words), h("td", { class: "number" }, gives), h("td", { class: "number" }, apart)));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The sum of the chosen element, added in several ways" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
}

function panel(title, drawing, words) {
  return h("figure", {}, h("h4", {}, title), drawing, words ? h("figcaption", {}, words) : null);
}

const [WIDE, HIGH, LEFT, BELOW] = [320, 210, 52, 34];

function sheet(words, ...parts) {
  return h("div", { class: "plot" }, s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": words }, ...parts));
}

function histogramWords({ histogram: { counts, equal, disagreeing } }) {
  const wrong = counts.reduce((sum, n) => sum + n, 0);
  const words = `${count(wrong)} elements differ, ${count(equal)} are equal`;
  return disagreeing ? `${words}, ${count(disagreeing)} are NaN or infinite on one side.` : words + ".";
}

function histogram(portrait) {
  const { start, counts, disagreeing } = portrait.histogram;
  const used = counts.findIndex((n) => n > 0);
  const from = used < 0 ? counts.length : Math.max(0, Math.min(used, 32) - 1);
  // NaN and infinities have their own bar after all sizes.
  const shown = [...counts.slice(from), ...(disagreeing ? [0, disagreeing] : [])];
  const finite = counts.length - from;
  const top = Math.max(1, ...shown);
  const y = (n) => HIGH - BELOW - (Math.log10(1 + n) / Math.log10(1 + top)) * (HIGH - BELOW - 14);
  const step = Math.min(40, (WIDE - LEFT - 10) / shown.length);
  const x = (at) => LEFT + at * step;
  const parts = [];
  for (let power = 0; 10 ** power <= top; power += top > 1e5 ? 2 : 1) {
    parts.push(s("line", { class: "grid", x1: LEFT, x2: WIDE - 10, y1: y(10 ** power), y2: y(10 ** power) }));
    parts.push(s("text", { x: LEFT - 5, y: y(10 ** power) + 4, "text-anchor": "end" }, powerText(power)));
  }
  const bars = shown.map((n, at) => {
    const level = at >= finite ? "NaN or infinities" : `${size(10 ** ((start + from + at) / 4))} to ${size(10 ** ((start + from + at + 1) / 4))}`;
    return n === 0 ? null : s("rect", { x: x(at) + 0.5, y: y(n), width: Math.max(1, step - 1), height: HIGH - BELOW - y(n), fill: "var(--introduced)" },
      s("title", {}, `${count(n)} elements are off by ${level}`));
  });
  parts.push(...bars.filter(Boolean));
  const every = shown.length > 24 ? 8 : 4;
  shown.forEach((_, at) => {
    const quarter = start + from + at;
    if (at < finite && ((quarter % every) + every) % every === 0) parts.push(s("text", { x: x(at), y: HIGH - BELOW + 14, "text-anchor": "middle" }, powerText(quarter / 4)));
  });
  if (disagreeing) parts.push(s("text", { x: x(shown.length - 0.5), y: HIGH - BELOW + 14, "text-anchor": "middle" }, "NaN"));
  parts.push(s("text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, "|candidate − reference|"));
  return sheet(`Histogram of errors. ${histogramWords(portrait)}`, ...parts);
}

/** One path for each level: thousands of rectangles would be slow. */
function errorMap({ map }, elements) {
  const rows = map.cells.length;
  const columns = map.cells[0]?.length ?? 0;
  const [wide, high] = [(WIDE - LEFT - 10) / columns, (HIGH - BELOW - 10) / rows];
  const paths = new Map();
  map.cells.forEach((line, row) => {
    for (let from = 0; from < columns; ) {
      let to = from + 1;
      while (to < columns && line[to] === line[from]) to += 1;
      const [x, y] = [LEFT + from * wide, 6 + row * high];
      const d = `M${x.toFixed(2)} ${y.toFixed(2)}h${((to - from) * wide + 0.15).toFixed(2)}v${(high + 0.15).toFixed(2)}h${(-(to - from) * wide - 0.15).toFixed(2)}z`;
      paths.set(line[from], (paths.get(line[from]) ?? "") + d);
      from = to;
    }
  });
  const parts = [...paths].map(([letter, d]) => s("path", { d, fill: levelColour(LETTERS.indexOf(letter)) }));
  const broken = paths.get("!");
  if (broken) parts.push(s("path", { d: broken, fill: "none", stroke: "var(--ground)", "stroke-width": 1.2, "stroke-dasharray": "1.5 1.5" }));
  parts.push(...rings(map, wide, high));
  // Two colours, so that the ring is seen on every colour of the map.
  const chosen = s("g", { class: "chosen-cell screen", visibility: "hidden" },
    s("circle", { r: 5, fill: "none", stroke: "var(--ink)", "stroke-width": 4 }), s("circle", { r: 5, fill: "none", stroke: "var(--ground)", "stroke-width": 1.6 }));
  parts.push(chosen);
  parts.push(s("text", { x: LEFT, y: HIGH - BELOW + 14 }, "0"));
  parts.push(s("text", { x: WIDE - 10, y: HIGH - BELOW + 14, "text-anchor": "end" }, String(map.columns.extent - 1)));
  parts.push(s("text", { x: LEFT - 5, y: 15, "text-anchor": "end" }, "0"));
  if (map.rows.extent > 1) parts.push(s("text", { x: LEFT - 5, y: HIGH - BELOW - 5, "text-anchor": "end" }, String(map.rows.extent - 1)));
  parts.push(s("text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, map.columns.name));
  parts.push(s("text", { transform: `translate(12 ${(HIGH - BELOW) / 2}) rotate(-90)`, "text-anchor": "middle" }, map.rows.name));
  const host = sheet(`Map of the largest errors, ${map.rows.name} over ${map.columns.name}. ${mapWords({ map })}`, ...parts);
  const cellAt = (event) => {
    const box = host.getBoundingClientRect();
    const column = Math.floor((((event.clientX - box.left) / box.width) * WIDE - LEFT) / wide);
    return [Math.floor((((event.clientY - box.top) / box.height) * HIGH - 6) / high), column];
  };
  host.addEventListener("pointermove", (event) => {
    const [row, column] = cellAt(event);
    const letter = map.cells[row]?.[column];
    if (letter) showTip(cellWords(map, row, column, letter), event.clientX, event.clientY);
    else hideTip();
  });
  host.addEventListener("pointerleave", hideTip);
  if (elements) {
    host.classList.add("answers");
    host.addEventListener("click", (event) => elements.near(...cellAt(event)));
    elements.watch(([row, column]) => {
      chosen.setAttribute("transform", `translate(${LEFT + (column + 0.5) * wide} ${6 + (row + 0.5) * high})`);
      chosen.setAttribute("visibility", "visible");
    });
  }
  return host;
}

/** A ring around each cell with a NaN, if there are few: the reader would miss them. */
function rings(map, wide, high) {
  const cells = map.cells.flatMap((line, row) => [...line].map((letter, column) => (letter === "!" ? [row, column] : null)).filter(Boolean));
  if (cells.length > 12) return [];
  return cells.map(([row, column]) => s("circle", { cx: LEFT + (column + 0.5) * wide, cy: 6 + (row + 0.5) * high, r: 6, fill: "none", stroke: "var(--introduced)", "stroke-width": 2 }));
}

function levelColour(level) {
  if (level === 0) return "var(--raised)";
  if (level === LETTERS.length - 1) return "var(--ink)";
  // The levels span ten decades, and the upper ones matter most.
  const share = ((level - 1) / 39) ** 1.6;
  return share < 0.5
    ? `color-mix(in oklab, var(--low), var(--middle) ${Math.round(200 * share)}%)`
    : `color-mix(in oklab, var(--middle), var(--high) ${Math.round(200 * share - 100)}%)`;
}

function range(axis, at) {
  const from = at * axis.per_cell;
  const to = Math.min(axis.extent, from + axis.per_cell) - 1;
  return `${axis.name} ${from}${to > from ? " to " + to : ""}`;
}

function cellWords(map, row, column, letter) {
  const level = LETTERS.indexOf(letter);
  const words = level === 0 ? "no error" : letter === "!" ? "NaN or infinite on one side" : `largest error ${40 - level === 0 ? "of the largest quarter decade" : `${(40 - level) / 4} decades below the largest`}`;
  return `${range(map.rows, row)}\n${range(map.columns, column)}\n${words}`;
}

function mapWords({ map }) {
  const wrong = map.cells.map((line, row) => (/[^.]/.test(line) ? row : -1)).filter((row) => row >= 0);
  const columns = [...(map.cells[0] ?? "")].filter((_, at) => map.cells.some((line) => line[at] !== ".")).length;
  const broken = map.cells.some((line) => line.includes("!")) ? " Dotted or ringed cells hold NaN or infinities." : "";
  const all = wrong.length === map.cells.length && columns === map.cells[0].length;
  const where = all ? "Every cell holds errors" : `${wrong.length} of ${map.cells.length} rows and ${columns} of ${map.cells[0].length} columns of cells hold errors`;
  return `${where}; the further a colour is from the ground, the larger the error.${broken}`;
}

function linear(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

function spread(values) {
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  if (!(high >= low)) return [0, 1];
  const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** Both ends of an axis, with enough digits to distinguish them. */
function ends([low, high]) {
  const close = size(low) === size(high);
  return close ? [low, high].map((end) => String(Number(end.toPrecision(5)))) : [size(low), size(high)];
}

function axisTexts(low, high, y, x, words) {
  return [
    s("text", { x: LEFT, y: HIGH - BELOW + 14 }, ends(x)[0]),
    s("text", { x: WIDE - 10, y: HIGH - BELOW + 14, "text-anchor": "end" }, ends(x)[1]),
    s("text", { x: LEFT - 4, y: HIGH - BELOW, "text-anchor": "end" }, size(low)),
    s("text", { x: LEFT - 4, y: 16, "text-anchor": "end" }, size(high)),
    s("text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, words),
    s("path", { class: "grid", fill: "none", d: `M${LEFT} 8V${HIGH - BELOW}H${WIDE - 10}` }),
  ];
}

function scatter(pairs) {
  const finite = pairs.filter((pair) => pair.every(Number.isFinite));
  const across = spread(finite.map(([r]) => r));
  const along = spread(finite.map(([, c]) => c));
  const x = linear(...across, LEFT, WIDE - 10);
  const y = linear(...along, HIGH - BELOW, 8);
  const [low, high] = [Math.max(across[0], along[0]), Math.min(across[1], along[1])];
  const same = high > low ? s("line", { class: "cursor", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }) : null;
  const d = finite.map(([r, c]) => `M${x(r).toFixed(1)} ${y(c).toFixed(1)}h0.01`).join("");
  return sheet(`Scatter of ${finite.length} sampled elements, candidate over reference`,
    ...axisTexts(...along, y, across, "reference"), ...(same ? [same] : []),
    s("path", { class: "dots", d: d || "M0 0", stroke: "var(--introduced)", "stroke-width": 3.2, opacity: 0.75 }));
}

const FRACTION = { f16: [10, -14], bf16: [7, -126], tf32: [10, -126], f32: [23, -126] };

function stepAt(value, format) {
  const [fraction, smallest] = FRACTION[format] ?? FRACTION.f16;
  const exponent = value === 0 ? smallest : Math.max(smallest, Math.floor(Math.log2(Math.abs(value))));
  return 2 ** (exponent - fraction);
}

/** Differences on a scale that is linear near 0 and logarithmic beyond. */
function steps(pairs, format) {
  const finite = pairs.filter((pair) => pair.every(Number.isFinite));
  const points = finite.map(([r, c]) => [r, Math.asinh((c - r) / stepAt(r, format))]);
  const most = Math.max(Math.asinh(4), ...points.map(([, d]) => Math.abs(d)));
  const across = spread(finite.map(([r]) => r));
  const x = linear(...across, LEFT, WIDE - 10);
  const y = linear(-most, most, HIGH - BELOW, 8);
  const one = Math.asinh(1);
  const parts = [s("rect", { x: LEFT, y: y(one), width: WIDE - 10 - LEFT, height: y(-one) - y(one), fill: "var(--cumulative)", opacity: 0.18 })];
  for (const power of [...Array(12).keys()].map((n) => 10 ** n)) {
    if (Math.asinh(power) > most) break;
    for (const sign of [1, -1]) {
      const at = y(sign * Math.asinh(power));
      parts.push(s("line", { class: "grid", x1: LEFT, x2: WIDE - 10, y1: at, y2: at }));
      const text = power === 1 || power === 100 || power >= 1e4 ? (sign < 0 ? "−" : "") + (power < 1e4 ? power : powerText(Math.log10(power))) : null;
      if (text && (power !== 1 || most < 6)) parts.push(s("text", { x: LEFT - 4, y: at + 4, "text-anchor": "end" }, text));
    }
  }
  parts.push(s("text", { x: LEFT - 4, y: y(0) + 4, "text-anchor": "end" }, "0"));
  const d = points.map(([r, v]) => `M${x(r).toFixed(1)} ${y(v).toFixed(1)}h0.01`).join("");
  parts.push(s("path", { class: "dots", d: d || "M0 0", stroke: "var(--introduced)", "stroke-width": 3.2, opacity: 0.75 }));
  parts.push(s("text", { x: LEFT, y: HIGH - BELOW + 14 }, ends(across)[0]), s("text", { x: WIDE - 10, y: HIGH - BELOW + 14, "text-anchor": "end" }, ends(across)[1]));
  parts.push(s("text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, "reference"));
  const outside = points.filter(([, v]) => Math.abs(v) > one * 1.001).length;
  return sheet(`Differences in steps of ${format}: ${outside} of ${points.length} sampled elements are off by more than one step`, ...parts);
}

/** Seven digits; the stored bits are the cell's title. */
function value(number) {
  return typeof number === "string" ? number : String(Number(number.toPrecision(7)));
}

function worstTable(worst) {
  if (!worst?.length) return h("p", { class: "soft" }, "None.");
  const rows = worst.map((element) => h("tr", {},
    h("td", { class: "mono" }, `[${element.index.join(", ")}]`),
    h("td", { class: "number", title: element.reference_bits }, value(element.reference)),
    h("td", { class: "number", title: element.candidate_bits }, value(element.candidate))));
  const head = h("tr", {}, h("th", {}, "index"), h("th", { class: "number" }, "reference"), h("th", { class: "number" }, "candidate"));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Worst elements of the chosen operator" }, h("table", { class: "worst" }, h("thead", {}, head), h("tbody", {}, rows)));
}
