// Opens rendered reports in Chromium and checks what a reader relies on.
//
//   node pages.cjs PLAN.json     NODE_PATH names the folder with playwright-core
//
// The plan: {"chromium": program, "screenshots": folder or null, "pages": [{"file", "name", "ops",
// "sources": [operator names], "words": [texts that must be seen]}]}. Prints one line for each thing
// that is wrong, and leaves with 1 if there is any.

const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const LOADED = 2000;
const FILTERED = 100;
const PAINTED = 1000;
const FRAME = 50;
const SIZE = 2 << 20;
const WIDTHS = [1280, 400];

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const wrong = [];

async function main() {
  const browser = await chromium.launch({ executablePath: plan.chromium, args: ["--no-sandbox"] });
  // The first page of a browser that has just started pays for the start.
  await browser.newPage().then((page) => page.close());
  for (const page of plan.pages) {
    await withoutScripts(browser, page);
    for (const width of WIDTHS) await look(browser, page, width, width === 400 ? "dark" : "light");
  }
  await browser.close();
  for (const line of wrong) console.log(line);
  process.exit(wrong.length ? 1 : 0);
}

async function look(browser, plan_page, width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const where = `${plan_page.name} at ${width} px`;
  const say = (words) => wrong.push(`${where}: ${words}`);
  const url = pathToFileURL(plan_page.file).href;
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) say(`console: ${message.text()}`); });
  page.on("pageerror", (error) => say(`error: ${error.message}`));
  page.on("request", (request) => { if (request.url() !== url && !request.url().startsWith("data:")) say(`request: ${request.url()}`); });

  // The best of three: the machine may have other work.
  let took = Infinity;
  for (let attempt = 0; attempt < 3 && took >= LOADED; attempt += 1) {
    const started = Date.now();
    await page.goto(url, { waitUntil: "load" });
    await page.waitForFunction(() => document.documentElement.dataset.ready);
    took = Math.min(took, Date.now() - started);
  }
  if (took >= LOADED) say(`ready after ${took} ms, not within ${LOADED}`);
  await layout(page, say);
  await picture(page, plan_page.name, width, colorScheme);
  for (const words of plan_page.words) {
    if (!(await page.evaluate((words) => document.body.innerText.includes(words), words))) say(`\`${words}\` is not on the page`);
  }
  await painted(page, plan_page, say);
  if (plan_page.ops > 0) {
    await markers(page, plan_page, say);
    const filter = await filtered(page, plan_page, say);
    const frame = await scrolled(page, say);
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0);
    console.error(`${where}: first paint after ${Math.round(paint)} ms, ready after ${took} ms, filtered in ${filter.toFixed(1)} ms, frames of ${frame.toFixed(1)} ms`);
    if (paint >= PAINTED) say(`first paint after ${Math.round(paint)} ms, not within ${PAINTED}`);
    await elements(page, say);
    await selection(page, plan_page, say);
    await brushed(page, plan_page, say);
    await switched(page, plan_page, say);
  }
  await accessible(page, say);
  await named(page, say);
  await context.close();
}

/** Cells of the first map have the colour of an error, or of none. */
async function painted(page, plan_page, say) {
  for (const [row, step, wrong] of plan_page.painted ?? []) {
    const colours = await page.evaluate(([row, step]) => {
      const colour = (at) => getComputedStyle(document.querySelector(`.map td[data-row="${row}"][data-step="${at}"]`)).backgroundColor;
      const calm = document.createElement("td");
      calm.className = "h0";
      document.querySelector(".map tbody tr").append(calm);
      const found = [colour(step), getComputedStyle(calm).backgroundColor];
      calm.remove();
      return found;
    }, [row, step]);
    if ((colours[0] !== colours[1]) !== wrong) say(`the cell of ${row} in step ${step} is ${colours[0]}, and no error is ${colours[1]}`);
  }
}

/** Nothing is wider than the window. */
async function layout(page, say) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (wide > window) say(`the page is ${wide} px wide, its window ${window}`);
}

/** Sources are marked in the chart with their names, and open from the keyboard. */
async function markers(page, { sources }, say) {
  const labels = await page.$$eval("a.source", (marks) => marks.map((mark) => mark.getAttribute("aria-label")));
  for (const source of sources) {
    if (!labels.some((label) => label.includes(source))) say(`no marker carries the name of ${source}`);
  }
  if (sources.length === 0) return;
  const texts = await page.$$eval(".area .name", (names) => names.map((name) => name.textContent));
  if (!texts.includes(sources[0])) say(`no text in the chart is the name of ${sources[0]}`);
  const last = sources[sources.length - 1];
  const mark = page.locator(`a.source[aria-label*=${JSON.stringify(last + ",")}]`).first();
  await mark.focus();
  await page.keyboard.press("Enter");
  const opened = await page.locator(".detail h3").first().innerText();
  if (!opened.includes(last)) say(`Enter on the marker of ${last} opens ${opened}`);
  const address = await page.evaluate(() => location.hash);
  if (!address.startsWith("#op=")) say(`the address does not name the chosen operator: ${address}`);
  const chart = page.locator(".plot[role=group]").first();
  await chart.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("PageDown");
  const tip = await page.locator("#tip").innerText();
  if (!sources.some((source) => tip.includes(source))) say(`Page Down in the chart does not go to a source: ${tip}`);
}

/** One selection: a source in the drawing opens its details and its row, survives a reload, and moves by keys. */
async function selection(page, { sources }, say) {
  const link = page.locator(".walk:not([hidden]) .network ol a.is-source").last();
  if (sources.length === 0 || (await link.count()) === 0) return;
  const name = await link.getAttribute("title");
  await link.click();
  const shown = () => page.locator(".detail h3").first().innerText();
  if (!(await shown()).includes(name)) say(`a click on ${name} in the drawing opens ${await shown()}`);
  if ((await page.locator(".walk:not([hidden]) a.source.chosen").count()) !== 1) say("the chart does not mark the chosen source");
  await page.reload();
  await page.waitForFunction(() => document.documentElement.dataset.ready);
  if (!(await shown()).includes(name)) say(`after a reload ${await shown()} is open, not ${name}`);
  await page.evaluate(() => document.activeElement?.blur());
  if (sources.length > 1) {
    await page.keyboard.press("k");
    const before = await shown();
    if (before.includes(name)) say("k does not go to the source before");
    await page.keyboard.press("j");
    if (!(await shown()).includes(name)) say(`j does not come back to ${name}: ${await shown()}`);
  }
  await page.keyboard.press("/");
  if (!(await page.evaluate(() => document.activeElement.matches(".ops input")))) say("/ does not go to the search");
}

/** A click in the map of errors shows the nearest wrong element, and the list of these elements shows the others. */
async function elements(page, say) {
  const detail = page.locator(".detail").first();
  const list = detail.locator(".panels select");
  if ((await list.count()) === 0) return;
  const indices = await list.locator("option").evaluateAll((options) => options.map((option) => option.textContent.split(":")[0]));
  const shown = () => detail.locator(".part").innerText();
  const ring = () => detail.locator(".chosen-cell").getAttribute("transform");
  if (!(await shown()).includes(`Element ${indices[0]} is`)) say(`the first wrong element is not shown: ${await shown()}`);
  const last = indices.length - 1;
  await list.selectOption(String(last));
  if (!(await shown()).includes(`Element ${indices[last]} is`)) say(`the list does not show element ${indices[last]}: ${await shown()}`);
  const there = await ring();
  await list.selectOption("0");
  const [x, y] = there.match(/[\d.]+/g).map(Number);
  const map = detail.locator(".answers svg");
  await map.scrollIntoViewIfNeeded();
  const box = await map.boundingBox();
  const [, , wide, high] = (await map.getAttribute("viewBox")).split(" ").map(Number);
  await page.mouse.click(box.x + (x / wide) * box.width, box.y + (y / high) * box.height);
  if ((await ring()) !== there) say(`a click in the map at ${there} marks ${await ring()}`);
}

/** A range that is dragged over in the chart narrows the table; Escape widens it. */
async function brushed(page, { ops }, say) {
  const area = page.locator(".walk:not([hidden]) .plot .area").first();
  const said = () => page.locator(".walk:not([hidden]) .ops [role=status]").first().innerText();
  if (ops < 8) return;
  await area.scrollIntoViewIfNeeded();
  const box = await area.boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.25, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 4 });
  await page.mouse.up();
  const all = `${ops.toLocaleString("en-US")} of`;
  if ((await said()).startsWith(all)) say(`dragging in the chart leaves ${await said()}`);
  await page.locator(".walk:not([hidden]) .plot[role=group]").first().focus();
  await page.keyboard.press("Escape");
  if (!(await said()).startsWith(all)) say(`Escape leaves ${await said()}`);
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowRight");
  if (!(await said()).startsWith("2 of")) say(`Shift and an arrow leave ${await said()}`);
  await page.keyboard.press("Escape");
}

/** With several walks one is shown, and a button or an address shows the other. */
async function switched(page, { walks }, say) {
  if (!(walks > 1)) return;
  const seen = () => page.$$eval(".walk", (sections) => sections.map((section) => section.offsetHeight > 0));
  const only = async (number, how) => {
    const visible = await seen();
    if (visible.some((is, at) => is !== (at === number))) say(`${how}: the walks that are seen are ${visible}`);
  };
  await page.locator(".switch button").first().click();
  await only(0, "the first button");
  const link = page.locator('#across a[href^="#op=1."]').first();
  await link.click();
  await only(1, "a link to the second walk");
  await page.locator(".switch button").first().click();
  await only(0, "the first button again");
}

/** The drawing with every operator: how long a frame takes while it scrolls. */
async function scrolled(page, say) {
  const button = page.locator(".network .tools button").first();
  if ((await button.count()) === 0) return 0;
  await button.click();
  const frame = () => page.evaluate(async () => {
    const view = document.querySelector(".network .tall");
    view.scrollTop = 0;
    const times = [];
    let last = performance.now();
    for (let step = 0; step < 60; step += 1) {
      view.scrollTop += view.scrollHeight / 60;
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    times.sort((a, b) => a - b);
    return times[Math.floor(times.length * 0.95)];
  });
  // The best of three: the machine may have other work.
  let slowest = Infinity;
  for (let attempt = 0; attempt < 3 && slowest >= FRAME; attempt += 1) slowest = Math.min(slowest, await frame());
  if (slowest >= FRAME) say(`a frame of the drawing takes ${slowest.toFixed(1)} ms, not below ${FRAME}`);
  await button.click();
  return slowest;
}

/** What a page tells without scripts: every source, and what print needs. */
async function withoutScripts(browser, plan_page) {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const say = (words) => wrong.push(`${plan_page.name} without scripts: ${words}`);
  await page.goto(pathToFileURL(plan_page.file).href);
  const text = await page.locator("body").innerText();
  for (const source of plan_page.sources.slice(0, 40)) if (!text.includes(source)) say(`${source} is not named`);
  if (plan_page.walks > 1 && (await page.$$eval(".walk", (sections) => sections.some((section) => section.offsetHeight === 0)))) say("a walk is hidden");
  for (const words of plan_page.ops ? ["What was ruled out", "How to reproduce", "Environment"] : []) if (!text.includes(words)) say(`no ${words}`);
  if (plan.screenshots) await page.screenshot({ path: path.join(plan.screenshots, `${plan_page.name}-plain.png`), fullPage: true });
  const pdf = await page.pdf({ format: "A4" });
  const sheets = (pdf.toString("latin1").match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length;
  console.error(`${plan_page.name} without scripts: ${sheets} sheets of paper, ${Math.round(fs.statSync(plan_page.file).size / 1024)} KiB`);
  const size = fs.statSync(plan_page.file).size;
  if (size >= SIZE) say(`it has ${Math.round(size / 1024)} KiB, not below ${SIZE / 1024}`);
  if (plan_page.sheets && sheets > plan_page.sheets) say(`it prints on ${sheets} sheets, not ${plan_page.sheets}`);
  await context.close();
}

/** No violation of accessibility rules that axe knows. */
async function accessible(page, say) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of found.violations) say(`axe: ${violation.id}: ${violation.help}: ${violation.nodes[0].html.slice(0, 160)}`);
}

/** The table is filtered, sorted and turned within the time. */
async function filtered(page, { ops }, say) {
  const result = await page.evaluate(async (ops) => {
    const table = document.querySelector(".ops");
    const search = table.querySelector("input");
    const rows = () => table.querySelectorAll("tbody tr").length;
    let slowest = 0;
    // The best of three: the machine may have other work.
    const timed = (act) => {
      const times = [1, 2, 3].map(() => {
        const from = performance.now();
        act();
        void table.offsetHeight;
        return performance.now() - from;
      });
      slowest = Math.max(slowest, Math.min(...times));
    };
    const type = (text) => timed(() => { search.value = text; search.dispatchEvent(new Event("input")); });
    const before = rows();
    type("no such operator anywhere");
    const none = rows();
    for (const text of ["s", "so", "source", "1", ""]) type(text);
    const after = rows();
    for (const head of table.querySelectorAll("th button")) timed(() => head.click());
    return { before, none, after, slowest, said: table.querySelector("[role=status]").textContent };
  }, ops);
  if (result.none !== 0 || result.before !== result.after || result.before !== Math.min(50, ops)) say(`the table shows ${JSON.stringify(result)}`);
  if (!result.said.includes(ops.toLocaleString("en-US"))) say(`the table does not count ${ops}: ${result.said}`);
  if (result.slowest >= FILTERED) say(`filtering took ${result.slowest.toFixed(1)} ms, not below ${FILTERED}`);
  return result.slowest;
}

/** Whatever can be operated has a name. */
async function named(page, say) {
  const nameless = await page.$$eval("button, input, select, textarea, [tabindex='0'], svg[role=img]", (elements) => elements
    .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.title || [...(e.labels ?? [])].some((l) => l.textContent.trim()))).map((e) => e.outerHTML.slice(0, 120)));
  for (const element of nameless) say(`nameless: ${element}`);
}

async function picture(page, name, width, scheme) {
  if (!plan.screenshots) return;
  await page.screenshot({ path: path.join(plan.screenshots, `${name}-${width}-${scheme}.png`), fullPage: true });
}

main().catch((error) => {
  console.log(`${error.stack}`);
  process.exit(2);
});
