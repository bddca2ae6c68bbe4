// The drawing with every operator as a row, and modules that fold. Only the rows in sight are drawn, so thousands of
// operators cost no more than fifty.

const ROW = 26;
const LANE = 14;
const MOST_LANES = 24;
/** Rows above and below the visible part that are drawn as well. */
const SPARE = 8;

/** Adds a button that unfolds the drawing. Returns a function that marks an operator in it. */
function drawingAnswers(host, walk, drawing, choose) {
  const folded = host.querySelector(".rows");
  const tall = h("div", { class: "tall rows", tabindex: 0, role: "region", "aria-label": "Every operator of the network", hidden: true });
  const button = h("button", { type: "button", "aria-pressed": "false", onclick: () => unfold(tall.hidden) }, "Show every operator");
  folded.before(h("div", { class: "tools" }, button), tall);
  let view = null;
  let chosen = null;

  function unfold(open, at) {
    tall.hidden = !open;
    folded.hidden = open;
    button.setAttribute("aria-pressed", String(open));
    if (open) {
      view ??= unfoldedView(tall, walk, drawing, choose);
      view.draw(chosen);
      if (at !== undefined) view.scrollTo(at);
    }
  }

  // A run of operators opens where it begins.
  folded.addEventListener("click", (event) => {
    const run = event.target.closest("a.run");
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    unfold(true, Number(run.dataset.op));
    tall.focus();
  });
  return (op) => {
    chosen = op;
    const at = walk.ops.indexOf(op);
    for (const link of folded.querySelectorAll("a")) {
      const is = Number(link.dataset.op) === at || (link.dataset.to && Number(link.dataset.op) <= at && at < Number(link.dataset.to));
      link.classList.toggle("chosen", Boolean(is));
    }
    if (view && !tall.hidden) view.draw(op);
  };
}

function unfoldedView(host, walk, drawing, choose) {
  const closed = new Set();
  const space = h("div", { class: "space" });
  host.append(space);
  const wide = LANE * (Math.min(drawing.count, MOST_LANES) + 1);
  host.style.setProperty("--lanes", wide + "px");
  let rows = [];
  let rowOf = [];
  let edges = [];
  let chosen = null;

  /** Rows for modules and for the operators in modules that are open. */
  function arrange() {
    rows = [];
    rowOf = [];
    let open = [];
    let hidden = null;
    walk.ops.forEach((op, at) => {
      const path = drawing.modules[drawing.module_of[at]].split("/").filter(Boolean);
      let same = 0;
      while (same < Math.min(path.length, open.length) && path[same] === open[same].name) same += 1;
      open = open.slice(0, same);
      if (hidden && !open.includes(hidden)) hidden = null;
      for (const name of path.slice(same)) {
        const module = { name, key: `${at}:${open.length}`, depth: open.length, first: at, row: rows.length, ops: [] };
        if (!hidden) {
          rows.push({ module });
          if (closed.has(module.key)) hidden = module;
        }
        open.push(module);
      }
      open.forEach((module) => module.ops.push(at));
      rowOf[at] = hidden ? hidden.row : rows.length;
      if (!hidden) rows.push({ at, depth: path.length });
    });
    const seen = new Set();
    edges = walk.ops.flatMap((op, at) => (op.reads ?? []).map((from) => [from, at])).filter(([from, to]) => {
      const key = `${rowOf[from]} ${rowOf[to]}`;
      return rowOf[from] < rowOf[to] && !seen.has(key) && seen.add(key);
    });
    space.style.height = rows.length * ROW + "px";
  }

  const laneOf = (row) => Math.min(MOST_LANES - 1, drawing.lanes[row.module ? row.module.ops.at(-1) : row.at]);
  const x = (row) => LANE * (laneOf(row) + 1) - LANE / 2;
  const y = (row) => ROW * row + ROW / 2;
  const worst = (module) => module.ops.reduce((most, at) => Math.max(most, drawing.heat[at][0]), 0);

  function line([from, to]) {
    const [a, b] = [rowOf[from], rowOf[to]];
    const [left, right] = [x(rows[a]), x(rows[b])];
    const turn = y(b) - ROW;
    const path = left === right ? `M${left} ${y(a)}V${y(b)}` : `M${left} ${y(a)}V${turn}C${left} ${turn + ROW / 2} ${right} ${y(b) - ROW / 2} ${right} ${y(b)}`;
    return s("path", { class: `edge h${drawing.heat[from][1]}`, d: path });
  }

  function mark(row, number) {
    if (row.module) return closed.has(row.module.key) ? s("rect", { class: `node h${worst(row.module)}`, x: x(row) - 4, y: y(number) - 8, width: 8, height: 16, rx: 4 }) : null;
    const [own, carried] = drawing.heat[row.at];
    const at = { class: `node h${own} o${carried}` };
    return walk.ops[row.at].role === "source"
      ? s("path", { ...at, d: `M${x(row)} ${y(number) - 7}l7 7l-7 7l-7 -7z` })
      : s("circle", { ...at, cx: x(row), cy: y(number), r: 4.5 });
  }

  function text(row, number) {
    const place = { style: `top: ${number * ROW}px; --depth: ${row.module ? row.module.depth : row.depth}` };
    if (row.module) {
      const { module } = row;
      const is = closed.has(module.key);
      const toggle = () => {
        is ? closed.delete(module.key) : closed.add(module.key);
        arrange();
        draw(chosen);
      };
      return h("button", { ...place, type: "button", class: "module", "aria-expanded": String(!is), onclick: toggle }, `${is ? "▸" : "▾"} ${module.name}`, is ? h("small", {}, ` ${count(module.ops.length)} operators`) : null);
    }
    const op = walk.ops[row.at];
    const error = op.nonfinite ? "NaN or infinities" : op.introduced === undefined ? "not compared" : size(op.introduced);
    const classes = [op.role === "source" ? "is-source" : "", op === chosen ? "chosen" : ""].join(" ").trim();
    return h("a", { ...place, href: addressOf(walk, op), class: classes || null, title: op.name, onclick: (event) => { event.preventDefault(); choose(op); } },
      h("span", { class: "role" }, roleName(op.role)), h("code", {}, h("bdi", {}, op.name)), h("small", {}, `${op.op_type}, ${error}`));
  }

  function draw(op) {
    chosen = op;
    const first = Math.max(0, Math.floor(host.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length - 1, Math.ceil((host.scrollTop + host.clientHeight) / ROW) + SPARE);
    const high = rows.length * ROW;
    const visible = [];
    for (let number = first; number <= last; number += 1) visible.push([rows[number], number]);
    const svg = s("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" },
      ...edges.filter(([from, to]) => rowOf[to] >= first && rowOf[from] <= last).map(line), ...visible.map(([row, number]) => mark(row, number)));
    space.replaceChildren(svg, ...visible.map(([row, number]) => text(row, number)));
  }

  let asked = false;
  host.addEventListener("scroll", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw(chosen);
    });
  }, { passive: true });
  arrange();
  return { draw, scrollTo: (at) => { host.scrollTop = Math.max(0, rowOf[at] * ROW - 2 * ROW); draw(chosen); } };
}
