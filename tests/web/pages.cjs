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

const LOADED = 2000;
const FILTERED = 100;
const WIDTHS = [1280, 400];

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const wrong = [];

async function main() {
  const browser = await chromium.launch({ executablePath: plan.chromium, args: ["--no-sandbox"] });
  // The first page of a browser that has just started pays for the start.
  await browser.newPage().then((page) => page.close());
  for (const page of plan.pages) {
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
  if (plan_page.ops > 0) {
    await markers(page, plan_page, say);
    const filter = await filtered(page, plan_page, say);
    console.error(`${where}: ready after ${took} ms, filtered in ${filter.toFixed(1)} ms`);
  }
  await named(page, say);
  await context.close();
}

/** Nothing is wider than the window. */
async function layout(page, say) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (wide > window) say(`the page is ${wide} px wide, its window ${window}`);
}

/** Sources are marked in the chart with their names, and open from the keyboard. */
async function markers(page, { sources }, say) {
  const labels = await page.$$eval("svg .source", (marks) => marks.map((mark) => mark.getAttribute("aria-label")));
  for (const source of sources) {
    if (!labels.some((label) => label.includes(source))) say(`no marker carries the name of ${source}`);
  }
  if (sources.length === 0) return;
  const texts = await page.$$eval("svg .source text", (texts) => texts.map((text) => text.textContent.replace("…", "")));
  if (!texts.some((text) => text && sources[0].endsWith(text))) say(`no text in the chart ends the name of ${sources[0]}`);
  const last = sources[sources.length - 1];
  const mark = page.locator(`svg .source[aria-label*=${JSON.stringify(last + ",")}]`).first();
  await mark.focus();
  await page.keyboard.press("Enter");
  const opened = await page.locator(".detail h3").first().innerText();
  if (!opened.includes(last)) say(`Enter on the marker of ${last} opens ${opened}`);
  const chart = page.locator(".plot[role=group]").first();
  await chart.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("PageDown");
  const tip = await page.locator("#tip").innerText();
  if (!sources.some((source) => tip.includes(source))) say(`Page Down in the chart does not go to a source: ${tip}`);
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
