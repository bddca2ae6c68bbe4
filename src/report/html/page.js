// The page: a matrix of targets, each walk with its chart, detail and table, the outputs, the doubts ruled
// out, and the environment.

/** How many sources have a button above the detail. */
const MOST_CHIPS = 60;
const MARKS = { agrees: ["good", "✓"], explained: ["good", "✓"], diverges: ["bad", "✕"], incomparable: ["none", "?"] };

/** Targets against outputs, if there are several targets. */
function matrix() {
  const names = [...new Set(report.targets.flatMap((target) => target.outputs.map((output) => output.name)))];
  if (report.targets.length < 2) return null;
  const cell = (target, name) => {
    const output = target.outputs.find((output) => output.name === name);
    if (!output) return h("td", { class: "none" }, `? ${target.outcome}`);
    const [kind, mark] = MARKS[output.agreement];
    const measured = output.comparison ? ` ${size(output.comparison.rel_l2)}` : "";
    return h("td", { class: kind }, `${mark} ${output.agreement}`, h("small", {}, measured));
  };
  const strategy = (target) => (report.strategies && target.walk ? ` (${target.walk.strategy})` : "");
  const rows = report.targets.map((target) => h("tr", {},
    h("th", { scope: "row" }, h("code", {}, target.target), strategy(target)),
    h("td", {}, place(target)), names.map((name) => cell(target, name))));
  return [h("h2", {}, "Targets and outputs"), tableOf(["target", "ran on", ...names], rows, "Targets and outputs"),
    h("p", { class: "soft" }, "Beside each word: the relative L2 error.")];
}

function place(target) {
  const on = target.ran_on;
  // A target `ext:` does not name the engine of its worker process.
  const engine = target.target.startsWith("ext:") && on ? `${on.engine}, ` : "";
  return on ? `${engine}${on.backend}, ${clean(on.device)}` : "-";
}

function clean(text) {
  return text.replaceAll("\0", "").trim();
}

function tableOf(titles, rows, name) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name },
    h("table", {}, h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, rows)));
}

/** One walk: chart, sources, the chosen operator, the table. */
function walkSection(target) {
  const walk = target.walk;
  const sources = walk.ops.filter((op) => op.role === "source");
  const detail = h("div", { class: "detail screen", "aria-live": "polite" });
  const chips = h("div", { class: "chips" });
  let chart, table;
  const choose = (op, jump) => {
    detail.replaceChildren(...opDetail(op, walk));
    for (const chip of chips.querySelectorAll("button")) chip.setAttribute("aria-pressed", String(chip.op === op));
    chart?.querySelector(".plot").mark(op);
    table?.mark(op);
    if (jump) detail.scrollIntoView({ block: "nearest" });
  };
  const title = `Operators of ${target.target}` + (report.strategies ? `, strategy ${walk.strategy}` : "");
  const parts = [h("h2", {}, title), h("p", { class: "soft" }, walkWords(walk))];
  if (walk.probes?.length) parts.push(probeTable(walk));
  if (walk.ops.length) {
    chart = errorChart(walk, choose);
    table = opTable(walk, choose);
    sources.slice(0, MOST_CHIPS).forEach((op) => {
      const chip = h("button", { type: "button", "aria-pressed": "false", title: op.name, onclick: () => choose(op) }, `◆ ${op.index} ${ended(op.name, 40)}`);
      chip.op = op;
      chips.append(chip);
    });
    if (sources.length > MOST_CHIPS) chips.append(h("span", { class: "soft" }, `and ${sources.length - MOST_CHIPS} more: choose the role source in the table`));
    parts.push(chart, sources.length > 1 ? chips : null, detail, headroomChart(walk, choose), h("h3", {}, "All operators"), table);
    choose(sources[0] ?? walk.ops.find((op) => op.nonfinite) ?? largest(walk.ops));
  }
  return h("section", {}, parts.filter(Boolean));
}

function largest(ops) {
  return ops.reduce((a, b) => ((b.introduced ?? 0) > (a.introduced ?? 0) ? b : a));
}

function walkWords(walk) {
  const words = [
    walk.ops.length ? `${count(walk.ops_compared)} of ${count(walk.ops_total)} operators compared, ${(100 * walk.mapped_share).toFixed(0)} % traced to ONNX nodes` : `${count(walk.ops_total)} nodes searched`,
    `values stored as ${walk.storage}`, `${walk.candidate_runs} ${walk.candidate_runs === 1 ? "run" : "runs"} of the target`,
  ];
  if (walk.ops.length) words.push(walk.sources.length ? `${walk.sources.length} introduce error` : "none introduces error beyond rounding");
  return words.join("; ") + ".";
}

function probeTable(walk) {
  const rows = walk.probes.map((probe) => h("tr", {}, h("td", { class: "number" }, `${probe.at + 1} of ${walk.ops_total}`),
    h("td", { class: "name" }, h("code", {}, probe.node)), h("td", {}, probe.answer + (probe.reason ? ` (${probe.reason})` : "")),
    h("td", { class: "number" }, size(probe.cumulative)), h("td", { class: "number" }, size(probe.floor))));
  return tableOf(["node", "truncated after", "says", "rel. L2", "floor"], rows, "Truncations");
}

function facts(pairs, style = "facts") {
  return h("dl", { class: style }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

function opDetail(op, walk) {
  const unchecked = walk.ops_unchecked.find((other) => other.name === op.name);
  const found = op.nonfinite;
  const explained = op.explained_by ? `${op.explained_by.format}, ${op.explained_by.rounding}` : null;
  return [
    h("h3", {}, `${ROLES[op.role]} ${roleName(op.role)}: `, h("code", {}, op.name)),
    facts([
      ["operator", `${op.index} of ${walk.ops_total}`], ["type", op.op_type], ["backend", op.backend], ["ONNX node", op.onnx_node],
      ["introduced", found || op.introduced_disagreeing ? "NaN or infinities" : size(op.introduced)], ["floor", size(op.floor)], ["times the floor", found || op.introduced_disagreeing ? null : size(op.ratio)],
      ["cumulative", op.disagreeing ? `NaN or infinite in ${count(op.disagreeing)} elements` : size(op.cumulative)],
      ["largest value", size(op.absmax)], ["share of the format's maximum", `${size(100 * op.headroom_used)} %`],
      ["explained by rounding to", explained], ["conversion", op.conversion === null ? null : size(op.conversion)],
    ]),
    found ? h("p", { class: "note" }, `${count(found.nan)} NaN and ${count(found.inf)} infinite elements where the reference has numbers; cause: ${found.cause.replaceAll("_", " ")}` + (found.input_range ? `; inputs from ${size(found.input_range[0])} to ${size(found.input_range[1])}` : "")) : null,
    op.lost ? h("p", { class: "note" }, `Where the reference, on the same inputs, has NaN in ${count(op.lost.nan)} and infinities in ${count(op.lost.inf)} elements, there are numbers; ${count(op.lost.unlike)} are another NaN or infinity`) : null,
    op.born ? h("p", { class: "note" }, `${count(op.born.nan)} NaN and ${count(op.born.inf)} infinite elements of finite inputs, rightly; cause: ${op.born.cause.replaceAll("_", " ")}`) : null,
    unchecked ? h("p", { class: "note" }, `Not compared: ${unchecked.reason}`) : null,
    ...op.diagnosis.map((pattern) => h("p", {}, h("strong", {}, `Looks like ${pattern.name}: `), `${pattern.words}. `, h("span", { class: "soft" }, `To check: ${pattern.disproof}.`))),
    portraitPanels(op, walk.storage),
  ].filter(Boolean);
}

/** The outputs: the outermost elements one under the other, metrics, worst elements. */
function outputsSection() {
  const parts = [h("h2", {}, "Outputs")];
  const lines = [];
  const several = report.targets.some((target) => target.outputs.length > 1);
  for (const target of report.targets) {
    for (const output of target.outputs.filter((output) => output.comparison)) {
      const of = several ? ` ${output.name}` : "";
      const line = ["reference" + of, output.comparison.reference_preview];
      if (!lines.some(([who, text]) => who === line[0] && text === line[1])) lines.push(line);
      lines.push([target.target + of, output.comparison.preview]);
    }
  }
  if (lines.length === 0) return [...parts, h("p", { class: "soft" }, "No target gave an output that could be compared.")];
  const wide = Math.min(48, Math.max(...lines.map(([who]) => who.length)));
  parts.push(h("pre", { tabindex: 0 }, lines.map(([who, text]) => `${who.padEnd(wide)}  ${text}`).join("\n")));
  for (const target of report.targets) for (const output of target.outputs) parts.push(outputDetail(target, output));
  return parts;
}

function outputDetail(target, output) {
  const [kind, mark] = MARKS[output.agreement];
  const c = output.comparison;
  const needed = output.judgement.needed;
  const tolerance = needed && output.agreement === "diverges" ? `--rtol ${exact(needed.rtol)} --atol ${size(needed.atol)}` : null;
  const side = (census) => `${census.nan} NaN, ${census.pos_inf} +inf, ${census.neg_inf} -inf`;
  const summary = h("summary", {}, h("code", {}, `${target.target} ${output.name}`), ` ${output.shape.join("×")}: `, h("strong", {}, `${mark} ${output.agreement}`));
  return h("details", { open: kind === "bad" }, summary, h("p", {}, output.judgement.words), c ? facts([
    ["differ", `${count(c.mismatched)} of ${count(c.elements)}`],
    ["beyond the tolerance", output.beyond_tolerance === null ? null : count(output.beyond_tolerance)],
    ["relative L2", size(c.rel_l2)], ["largest difference", size(c.max_abs)], ["largest relative", size(c.max_rel)],
    ["cosine", exact(c.cosine)], ["ulps of f32", c.max_ulp_f32 === null ? null : count(c.max_ulp_f32)], ["ulps of f16", c.max_ulp_f16 === null ? null : count(c.max_ulp_f16)],
    ["non-finite, reference", side(c.nonfinite.reference)], ["non-finite, candidate", side(c.nonfinite.candidate)],
    ["would pass with", tolerance],
  ]) : null, c?.worst?.length ? worstTable(c.worst) : null);
}

function trustSection() {
  const parts = [h("h2", {}, "What was ruled out")];
  report.targets.forEach((target, at) => {
    const strategy = report.strategies && target.walk ? `, ${target.walk.strategy}` : "";
    if (report.targets.length > 1) parts.push(h("h3", {}, h("code", {}, target.target), strategy));
    const rows = content.checks[at].map((check) => h("tr", {}, h("td", {}, check.question), h("td", {}, check.answer), h("td", {}, prose(check.because))));
    parts.push(tableOf(["question", "answer", "because"], rows, "What was ruled out"));
  });
  if (report.strategies) parts.push(h("h3", {}, "The strategies together"), h("ul", {}, report.strategies.sentences.map((line) => h("li", {}, prose(line)))));
  return parts;
}

function aboutSection() {
  const about = report.environment;
  const pairs = [["offby", report.tool.version]];
  if (about) pairs.push(["system", about.os], ["processor", `${about.cpu}, ${about.cores} threads`], ["converter", about.converter]);
  if (report.reference_ran_on) pairs.push(["reference", `${report.reference}, version ${report.reference_ran_on.engine_version}`]);
  for (const target of report.targets) {
    const on = target.ran_on;
    if (on) pairs.push([target.target, `${on.engine} ${on.engine_version}, ${on.backend}, ${clean(on.device)}` + (clean(on.driver) ? `, driver ${clean(on.driver)}` : "")]);
  }
  pairs.push(["network", `${report.model.path}, digest ${exact(report.model.digest)}`]);
  for (const input of report.inputs) pairs.push([`input ${input.name}`, `${input.shape.join("×")} ${input.dtype} = ${input.spec}`]);
  for (const [name, value] of Object.entries(about?.variables ?? {})) pairs.push([name, value]);
  const markdown = h("textarea", { readonly: true, "aria-label": "Markdown for an issue" }, content.markdown);
  const copy = h("button", { type: "button", onclick: async () => {
    markdown.select();
    try { await navigator.clipboard.writeText(markdown.value); } catch { document.execCommand("copy"); }
    copy.textContent = "Copied";
  } }, "Copy");
  const evidence = report.targets.filter((target) => target.evidence.length).map((target) => h("details", {}, h("summary", {}, "What engine and driver said on ", h("code", {}, target.target)), h("pre", { tabindex: 0 }, target.evidence.map(clean).join("\n"))));
  return [h("h2", {}, "How to reproduce"), h("pre", { tabindex: 0 }, content.reproduce.join("\n")),
    h("h2", {}, "Environment"), facts(pairs, "facts wide"), ...evidence,
    h("details", { class: "screen" }, h("summary", {}, "The same for an issue, as Markdown"), h("div", { class: "tools" }, copy), markdown)];
}

function put(id, children) {
  const host = document.getElementById(id);
  if (children) host.replaceChildren(...children.filter(Boolean));
  else host.remove();
}

put("matrix", matrix());
put("walks", report.targets.filter((target) => target.walk).map(walkSection));
put("outputs", outputsSection());
put("trust", trustSection());
put("about", aboutSection());

// A reader of paper cannot choose a source, so every source with a portrait is printed.
addEventListener("beforeprint", () => {
  const drawn = report.targets.flatMap((target) => (target.walk?.ops ?? []).filter((op) => op.portrait).map((op) => [op, target.walk]));
  put("print", drawn.map(([op, walk]) => h("section", { class: "detail" }, opDetail(op, walk))));
});
addEventListener("afterprint", () => document.getElementById("print").replaceChildren());
addEventListener("scroll", hideTip, { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
document.documentElement.dataset.ready = String(Math.round(performance.now()));
