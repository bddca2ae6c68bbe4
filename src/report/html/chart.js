// What follows the pointer and the keys on a chart. The chart itself is on the page already.

/** Makes a chart answer; `choose(op)` is called for the operator that was clicked. */
function chartAnswers(plot, walk, choose) {
  const area = plot.querySelector(".area");
  const cursor = h("div", { class: "cursor", hidden: true });
  area.append(cursor);
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
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    go(Math.round(((event.clientX - box.left) / box.width) * last));
    showTip(opWords(walk.ops[at]), event.clientX, event.clientY);
  });
  area.addEventListener("click", (event) => {
    if (!event.target.closest("a") && walk.ops[at]) choose(walk.ops[at]);
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    if (event.target !== plot) return;
    if (event.key === "Enter" && walk.ops[at]) choose(walk.ops[at]);
    const moves = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1, Home: () => 0, End: () => last,
      PageDown: () => nextSource(walk, at, 1), PageUp: () => nextSource(walk, at, -1),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    go(moves[event.key]());
    const box = area.getBoundingClientRect();
    showTip(opWords(walk.ops[at]), box.left + (box.width * left(at)) / 100, box.top + box.height / 2);
  });
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
