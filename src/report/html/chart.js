// What follows the pointer and the keys on a chart. The chart itself is on the page already.

/** How many pixels a pointer moves before it chooses a range instead of an operator. */
const DRAGGED = 5;

/**
 * Makes a chart answer. `choose(op)` is called for the operator that was clicked, and `narrow([from, to])` for a range of
 * operators that was dragged over, or extended with Shift and an arrow; `narrow(null)` ends the range. Returns a function
 * that shows a range.
 */
function chartAnswers(plot, walk, choose, narrow) {
  const area = plot.querySelector(".area");
  const cursor = h("div", { class: "cursor", hidden: true });
  const band = h("div", { class: "brushed", hidden: true });
  area.append(band, cursor);
  let begun = null;
  let anchor = null;
  let dragged = false;
  const last = walk.ops.length - 1;
  let at = -1;
  const left = (op) => (last < 1 ? 50 : (100 * op) / last);
  const go = (to) => {
    at = Math.min(last, Math.max(0, to));
    cursor.hidden = false;
    cursor.style.left = left(at) + "%";
  };
  const leave = () => {
    cursor.hidden = true;
    hideTip();
  };
  const show = (range) => {
    band.hidden = !range;
    if (!range) return;
    band.style.left = left(range[0]) + "%";
    band.style.width = left(range[1]) - left(range[0]) + "%";
  };
  const between = (a, b) => [Math.min(a, b), Math.max(a, b)];
  area.addEventListener("pointerdown", (event) => {
    dragged = false;
    if (event.button !== 0 || event.target.closest("a")) return;
    begun = { at: Math.max(0, at), x: event.clientX };
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    go(Math.round(((event.clientX - box.left) / box.width) * last));
    dragged ||= begun !== null && Math.abs(event.clientX - begun.x) > DRAGGED;
    if (begun && dragged) show(between(begun.at, at));
    showTip(opWords(walk.ops[at]), event.clientX, event.clientY);
  });
  area.addEventListener("pointerup", () => {
    if (begun && dragged) narrow(between(begun.at, at));
    begun = null;
  });
  area.addEventListener("pointercancel", () => { begun = null; });
  area.addEventListener("click", (event) => {
    if (!dragged && !event.target.closest("a") && walk.ops[at]) choose(walk.ops[at]);
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    if (event.target !== plot) return;
    if (event.key === "Enter" && walk.ops[at]) choose(walk.ops[at]);
    if (event.key === "Escape") narrow(null);
    if (!event.shiftKey) anchor = null;
    else anchor ??= Math.max(0, at);
    const moves = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1, Home: () => 0, End: () => last,
      PageDown: () => nextSource(walk, at, 1), PageUp: () => nextSource(walk, at, -1),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    go(moves[event.key]());
    if (event.shiftKey) narrow(between(anchor, at));
    const box = area.getBoundingClientRect();
    showTip(opWords(walk.ops[at]), box.left + (box.width * left(at)) / 100, box.top + box.height / 2);
  });
  return show;
}

/** The place of the next source in a direction, or the same place if there is none. */
function nextSource(walk, from, step) {
  for (let at = from + step; at >= 0 && at < walk.ops.length; at += step) {
    if (walk.ops[at].role === "source") return at;
  }
  return from;
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
