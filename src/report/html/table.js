// The table of operators: searched, filtered, sorted, and shown a page at a time. Thousands of operators
// cost no more than fifty.

const PAGE_ROWS = 50;

const COLUMNS = [
  { title: "op", wide: 3.6, key: (op) => op.index, number: true, cell: (op) => String(op.index) },
  { title: "name", wide: 22, key: (op) => op.name },
  { title: "type", wide: 8, key: (op) => op.op_type, cell: (op) => op.op_type },
  { title: "role", wide: 7, key: (op) => Object.keys(ROLES).indexOf(op.role), cell: (op) => `${ROLES[op.role]} ${roleName(op.role)}`, class: "role" },
  { title: "introduced", wide: 6.6, key: (op) => (op.nonfinite ? Infinity : op.introduced), number: true, cell: (op) => (op.nonfinite ? "NaN/inf" : size(op.introduced)) },
  { title: "floor", wide: 5.4, key: (op) => op.floor, number: true, cell: (op) => size(op.floor) },
  { title: "ratio", wide: 5.4, key: (op) => op.ratio, number: true, cell: (op) => size(op.ratio) },
  { title: "cumulative", wide: 6.6, key: (op) => (op.disagreeing ? Infinity : op.cumulative), number: true, cell: (op) => (op.disagreeing ? "NaN/inf" : size(op.cumulative)) },
  { title: "largest value", wide: 8, key: (op) => op.absmax, number: true, cell: (op) => size(op.absmax) },
];

/** The table of one walk; `choose(op)` is called for the operator whose name was clicked, `narrow(null)` to end a range. */
function opTable(walk, choose, narrow) {
  const unchecked = new Map(walk.ops_unchecked.map((op) => [op.name, op.reason]));
  const words = walk.ops.map((op) => `${op.index} ${op.name} ${op.op_type} ${op.onnx_node ?? ""} ${roleName(op.role)} ${op.backend} ${origin(op) ?? ""}`.toLowerCase());
  const state = { text: "", role: "", by: 0, down: false, page: 0, chosen: null, range: null };
  const body = h("tbody");
  const said = h("span", { role: "status", class: "soft" });
  const pages = h("span", { class: "tools" });
  const range = h("button", { type: "button", hidden: true, onclick: () => narrow(null) }, "All operators");
  let shown = [];

  const search = h("input", { type: "search", placeholder: "Search names, types, nodes", "aria-label": "Search operators", oninput: () => { state.text = search.value; find(); } });
  const roles = h("select", { "aria-label": "Role", onchange: () => { state.role = roles.value; find(); } },
    h("option", { value: "" }, "every role"), Object.keys(ROLES).map((role) => h("option", { value: role }, `${ROLES[role]} ${roleName(role)}`)));
  const heads = COLUMNS.map((column, at) => h("th", { class: column.number ? "number" : null, scope: "col" },
    h("button", { type: "button", onclick: () => { state.down = state.by === at ? !state.down : Boolean(column.number) && at > 0; state.by = at; find(); } }, column.title)));

  function find() {
    const wanted = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    walk.ops.forEach((op, at) => {
      if (state.role && op.role !== state.role) return;
      if (state.range && (at < state.range[0] || at > state.range[1])) return;
      if (wanted.every((word) => words[at].includes(word))) shown.push(op);
    });
    if (state.by !== 0 || state.down) shown.sort(order(COLUMNS[state.by].key, state.down ? -1 : 1));
    state.page = 0;
    turn();
  }

  function turn() {
    const last = Math.max(0, Math.ceil(shown.length / PAGE_ROWS) - 1);
    state.page = Math.min(last, Math.max(0, state.page));
    const from = state.page * PAGE_ROWS;
    body.replaceChildren(...shown.slice(from, from + PAGE_ROWS).map((op) => row(op, unchecked, state, choose)));
    heads.forEach((head, at) => {
      if (at === state.by) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.firstChild.textContent = COLUMNS[at].title + (at === state.by ? (state.down ? " ↓" : " ↑") : "");
    });
    said.textContent = `${count(shown.length)} of ${count(walk.ops.length)} operators`;
    const step = (text, to, off) => h("button", { type: "button", disabled: off, onclick: () => { state.page = to; turn(); } }, text);
    pages.replaceChildren(...(last === 0 ? [] : [
      step("First", 0, state.page === 0), step("Previous", state.page - 1, state.page === 0),
      h("span", { class: "soft" }, `page ${state.page + 1} of ${last + 1}`),
      step("Next", state.page + 1, state.page === last), step("Last", last, state.page === last)]));
  }

  const element = h("section", { class: "ops", "aria-label": "All operators" },
    h("div", { class: "tools" }, search, roles, range, said),
    h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Table of operators" },
      h("table", {}, h("colgroup", {}, COLUMNS.map((column) => h("col", { style: `width: ${column.wide ?? 6}rem` }))), h("thead", {}, h("tr", {}, heads)), body)),
    pages);
  element.mark = (op) => { state.chosen = op; turn(); };
  element.narrow = (between) => {
    state.range = between;
    range.hidden = !between;
    if (between) range.textContent = `operators ${walk.ops[between[0]].index} to ${walk.ops[between[1]].index} ✕`;
    find();
  };
  find();
  return element;
}

/** The module and source line that became an operator's node, if the exporter wrote them. */
function origin(op) {
  const { module, class: kind, line } = op.exported ?? {};
  return [module && `module ${module}${kind ? ` (${kind})` : ""}`, line].filter(Boolean).join(", ") || null;
}

/** Missing measurements come last in both directions. */
function order(key, sign) {
  const absent = (value) => value === null || value === undefined;
  return (a, b) => {
    const [left, right] = [key(a), key(b)];
    if (absent(left) || absent(right)) return absent(left) - absent(right);
    return left < right ? -sign : left > right ? sign : a.index - b.index;
  };
}

function row(op, unchecked, state, choose) {
  const cells = COLUMNS.map((column) => {
    if (column.title !== "name") return h("td", { class: [column.number ? "number" : "", column.class ?? ""].join(" ").trim() || null }, column.cell(op));
    const notes = [op.onnx_node && !op.name.startsWith(op.onnx_node) ? `ONNX ${op.onnx_node}` : null, origin(op), unchecked.has(op.name) ? `not compared: ${unchecked.get(op.name)}` : null];
    return h("td", { class: "name" },
      h("button", { type: "button", onclick: () => choose(op, true) }, op.name),
      notes.filter(Boolean).map((note) => h("small", {}, note)));
  });
  const classes = [op.role === "source" ? "is-source" : "", state.chosen === op ? "chosen" : ""];
  return h("tr", { class: classes.join(" ").trim() || null }, cells);
}
