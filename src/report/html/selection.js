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

function choose(number, op, jump) {
  current = [number, op];
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

const HELP = "j and k: next and previous source. /: search the operators. Esc: close. ?: this help.";

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
