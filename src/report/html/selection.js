// One selection for each walk drives its chart, drawing, details and table. It is in the address, so a finding can be
// linked.

/** `#op=447`; `#op=1.447` for the second walk. */
function addressOf(walk, op) {
  const number = walks.indexOf(walk);
  return number === 0 ? `#op=${op.index}` : `#op=${number}.${op.index}`;
}

/** The walk's number and the operator that an address names. */
function addressed(address) {
  const found = /^#op=(?:(\d+)\.)?(\d+)$/.exec(decodeURIComponent(address));
  if (!found) return null;
  const number = Number(found[1] ?? 0);
  const op = walks[number]?.ops.find((op) => op.index === Number(found[2]));
  return op ? [number, op] : null;
}

/** The views of each walk: functions that show an operator. */
const views = walks.map(() => []);
let current = null;
/** The last choice in each walk. */
const picked = [];

/** With several walks, one is shown at a time. The buttons choose which. */
const sections = [...document.querySelectorAll(".walk")];
const switches = sections.map((section, number) => h("button", { type: "button", "aria-pressed": "false", onclick: () => { showWalk(number); current = picked[number] ?? current; } }, section.querySelector("h2").textContent.replace("Operators of ", "")));

function showWalk(number) {
  sections.forEach((section, at) => { section.hidden = at !== number; });
  switches.forEach((button, at) => button.setAttribute("aria-pressed", String(at === number)));
}

if (sections.length > 1) {
  document.getElementById("walks").prepend(h("div", { class: "tools switch", role: "group", "aria-label": "Target" }, switches));
  showWalk(0);
}

function choose(number, op, jump) {
  current = [number, op];
  picked[number] = current;
  if (jump && sections.length > 1) showWalk(number);
  views[number].forEach((view) => view(op));
  if (jump) {
    history.replaceState(null, "", addressOf(walks[number], op));
    document.querySelector(`.walk[data-walk="${number}"] .detail`)?.scrollIntoView({ block: "nearest" });
  }
}

// A link to an operator chooses it. Without scripts it goes to the operator's row among the sources.
addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#op="]');
  const found = link && addressed(link.getAttribute("href"));
  if (!found || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  choose(...found, true);
});
addEventListener("hashchange", () => {
  const found = addressed(location.hash);
  if (found) choose(...found, true);
});

const HELP = "j and k: next and previous source. /: search the operators. Drag in a chart, or Shift and arrows: a range of operators. Esc: close. ?: this help.";

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || !current) return;
  const [number, op] = current;
  const walk = walks[number];
  const step = { j: 1, k: -1 }[event.key];
  if (step) {
    choose(number, walk.ops[nextSource(walk, walk.ops.indexOf(op), step)], true);
  } else if (event.key === "/") {
    event.preventDefault();
    document.querySelector(`.walk[data-walk="${number}"] .ops input`)?.focus();
  } else if (event.key === "?") {
    showTip(HELP, innerWidth / 2 - 160, innerHeight / 3);
  }
});
