// Puts the answering parts onto the page: charts, drawings, the details of the chosen operator, tables.

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

function links(walk, ops) {
  return ops.length ? h("span", {}, ops.slice(0, 8).map((op) => h("a", { href: addressOf(walk, op), title: op.name }, `${op.index} `)), ops.length > 8 ? `and ${ops.length - 8} more` : null) : null;
}

/** The worst element of an operator, which the page has as text already. */
function elementOf(op, walk) {
  const written = document.querySelector(`.elements[data-walk="${walks.indexOf(walk)}"] [data-op="${op.index}"]`);
  if (!written) return null;
  const shown = written.cloneNode(true);
  shown.open = true;
  shown.classList.add("screen");
  return shown;
}

function opDetail(op, walk) {
  const unchecked = walk.ops_unchecked.find((other) => other.name === op.name);
  const found = op.nonfinite;
  const explained = op.explained_by ? `${op.explained_by.format}, ${op.explained_by.rounding}` : null;
  const excess = op.excess;
  const at = walk.ops.indexOf(op);
  return [
    h("h3", {}, `${ROLES[op.role]} ${roleName(op.role)}: `, h("code", {}, op.name)),
    facts([
      ["operator", `${op.index} of ${walk.ops_total}`], ["type", op.op_type], ["backend", op.backend], ["ONNX node", op.onnx_node], ["exported from", origin(op)],
      ["introduced", found || op.introduced_disagreeing ? "NaN or infinities" : size(op.introduced)], ["floor", size(op.floor)], ["times the floor", found || op.introduced_disagreeing ? null : size(op.ratio)],
      ["elements beyond their bound", excess ? `${count(excess.beyond)} of ${count(excess.weighed)}` : null], ["worst element, times its bound", excess?.excess > 0 ? size(excess.excess) : null],
      ["cumulative", op.disagreeing ? `NaN or infinite in ${count(op.disagreeing)} elements` : size(op.cumulative)],
      ["largest value", size(op.absmax)], ["share of the format's maximum", `${size(100 * op.headroom_used)} %`],
      ["explained by rounding to", explained], ["conversion", op.conversion === undefined ? null : size(op.conversion)],
      ["reads operators", links(walk, (op.reads ?? []).map((read) => walk.ops[read]))],
      ["read by", links(walk, walk.ops.filter((other) => other.reads?.includes(at)))],
    ]),
    found ? h("p", { class: "note" }, `${count(found.nan)} NaN and ${count(found.inf)} infinite elements where the reference has numbers; cause: ${found.cause.replaceAll("_", " ")}` + (found.input_range ? `; inputs from ${size(found.input_range[0])} to ${size(found.input_range[1])}` : "")) : null,
    op.lost ? h("p", { class: "note" }, `The reference, on the same inputs, has NaN in ${count(op.lost.nan)} and infinities in ${count(op.lost.inf)} elements. The target has numbers there; ${count(op.lost.unlike)} are another NaN or infinity`) : null,
    op.born ? h("p", { class: "note" }, `${count(op.born.nan)} NaN and ${count(op.born.inf)} infinite elements of finite inputs, rightly; cause: ${op.born.cause.replaceAll("_", " ")}`) : null,
    unchecked ? h("p", { class: "note" }, `Not compared: ${unchecked.reason}`) : null,
    ...(op.diagnosis ?? []).map((pattern) => h("p", {}, h("strong", {}, `Looks like ${pattern.name}: `), `${pattern.words}. `, h("span", { class: "soft" }, `To check: ${pattern.disproof}.`))),
    elementOf(op, walk),
    portraitPanels(op, walk.storage),
  ].filter(Boolean);
}

document.querySelectorAll(".walk").forEach((section) => {
  const number = Number(section.dataset.walk);
  const walk = walks[number];
  if (!walk.ops.length) return;
  const pick = (op) => choose(number, op, true);
  const table = opTable(walk, pick, (range) => narrow(range));
  const bands = [...section.querySelectorAll(".plot[data-walk]")].map((plot) => chartAnswers(plot, walk, pick, (range) => narrow(range)));
  const narrow = (range) => {
    bands.forEach((show) => show(range));
    table.narrow(range);
  };
  const network = section.querySelector(".network");
  if (network && content.drawings[number]) views[number].push(drawingAnswers(network, walk, content.drawings[number], pick));
  const detail = h("div", { class: "detail screen", "aria-live": "polite" });
  section.querySelector(".chosen").append(detail);
  section.querySelector(".table").append(h("h3", {}, "All operators"), table);
  views[number].push(
    (op) => detail.replaceChildren(...opDetail(op, walk)), table.mark,
    (op) => section.querySelectorAll("a.source").forEach((mark) => mark.classList.toggle("chosen", walk.ops[mark.dataset.op] === op)));
  const first = walk.ops.find((op) => op.role === "source") ?? walk.ops.find((op) => op.nonfinite) ?? walk.ops.reduce((a, b) => ((b.introduced ?? 0) > (a.introduced ?? 0) ? b : a));
  choose(number, first, false);
});
current = walks[0]?.ops.length ? current && [0, walks[0].ops.find((op) => op.role === "source") ?? walks[0].ops[0]] : current;
const asked = addressed(location.hash);
if (asked) choose(...asked, true);

const markdown = document.getElementById("markdown");
const copy = h("button", { type: "button", onclick: async () => {
  markdown.select();
  try { await navigator.clipboard.writeText(markdown.value); } catch { document.execCommand("copy"); }
  copy.textContent = "Copied";
} }, "Copy");
markdown.previousElementSibling.append(copy);

// A reader of paper cannot choose a source, so the first sources with a portrait are printed.
const MOST_PRINTED = 2;
addEventListener("beforeprint", () => {
  const drawn = walks.flatMap((walk) => walk.ops.filter((op) => op.portrait).map((op) => [op, walk]));
  document.getElementById("print").replaceChildren(...drawn.slice(0, MOST_PRINTED).map(([op, walk]) => h("section", { class: "detail" }, opDetail(op, walk))));
});
addEventListener("afterprint", () => document.getElementById("print").replaceChildren());
addEventListener("scroll", hideTip, { passive: true });
document.documentElement.classList.add("scripted");
document.documentElement.dataset.ready = String(Math.round(performance.now()));
