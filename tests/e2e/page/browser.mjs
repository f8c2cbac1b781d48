// What the tests of the status page do in a real browser:
//
//   node browser.mjs dump URL              what the page is, once it has settled
//   node browser.mjs judge URL             accessibility, width and errors, in every dress
//   node browser.mjs keys URL              whether the keyboard gets everywhere
//   node browser.mjs live URL TEXT         says "live", then waits for TEXT without a new page
//   node browser.mjs typed URL TEXT        looks for TEXT as somebody who types it
//   node browser.mjs plain URL TEXT        the same without scripts: waits for TEXT
//   node browser.mjs shoot URL FILE light|dark WIDTH HEIGHT
//
// It exits with 0 if all is as it should be, and else says what is not. MODULES names the folder
// that has playwright-core and axe-core, PROFILE one for the browser.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [does, url, ...rest] = process.argv.slice(2);
const PATIENCE = 30_000;
const PHONE = { width: 360, height: 740 };
const DESK = { width: 1200, height: 900 };

const wrong = [];
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--proxy-server=direct://",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ],
});

// A page whose every complaint is written down.
async function open(address, options = {}) {
  const context = await browser.newContext({ viewport: DESK, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => {
    console.log(`CONSOLE ${message.type()}: ${message.text()}`);
    if (["error", "warning"].includes(message.type())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(`${error}`));
  page.on("dialog", (dialog) => {
    console.log(`CONSOLE dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  const isFetch = (answer) => answer.request().resourceType() === "fetch";
  page.fetched = page.waitForResponse(isFetch).then(() => true, () => false);
  await page.goto(address, { waitUntil: "load" });
  return page;
}

// The script has told that the page is live.
const lives = (page) => page.getByText("Live", { exact: true }).waitFor();

// The balancer was asked for the page once more, and what came is shown.
async function anew(page) {
  if (!(await page.fetched)) throw new Error("the page was never asked for again");
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
}

async function judge(page, dress, media, viewport) {
  await page.emulateMedia(media);
  await page.setViewportSize(viewport);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document));
  for (const { id, help, nodes } of violations) {
    for (const { html, failureSummary } of nodes) {
      wrong.push(`${dress}: ${id}: ${help}\n  ${html}\n  ${failureSummary}`);
    }
  }
  if (passes.length < 20) wrong.push(`${dress}: axe judged ${passes.length} things only`);
  const [scrolls, shows] = await page.evaluate(() => {
    const root = document.documentElement;
    return [root.scrollWidth, root.clientWidth];
  });
  if (scrolls > shows) wrong.push(`${dress}: ${scrolls} pixels wide where ${shows} are shown`);
  console.log(`${dress}: ${passes.length} rules passed, ${violations.length} violated`);
}

const doing = {
  async dump() {
    const page = await open(url);
    await page.waitForLoadState("domcontentloaded");
    // Whoever loads it may have put anything in the place of the script.
    await Promise.race([anew(page), page.waitForTimeout(6_000)]);
    console.log(await page.content());
    // To complain is the browser's duty here.
    wrong.length = 0;
  },

  async judge() {
    const page = await open(url);
    await lives(page);
    await anew(page);
    await page.evaluate(axe);
    for (const colorScheme of ["light", "dark"]) {
      await judge(page, `${colorScheme}, desk`, { colorScheme }, DESK);
      await judge(page, `${colorScheme}, phone`, { colorScheme }, PHONE);
    }
    await judge(page, "by request", { reducedMotion: "reduce", contrast: "more" }, PHONE);
  },

  async keys() {
    const page = await open(url, { viewport: PHONE });
    await lives(page);
    const reachable = "a[href], button, input, summary, [tabindex='0']";
    const all = await page.locator(reachable).count();
    const reached = new Set();
    for (let press = 0; press < all + 2; press += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate((reachable) => {
        const focused = document.activeElement;
        const style = getComputedStyle(focused);
        return {
          place: [...document.querySelectorAll(reachable)].indexOf(focused),
          seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
          html: focused.outerHTML.slice(0, 120),
        };
      }, reachable);
      if (at.place < 0) continue;
      reached.add(at.place);
      if (!at.seen) wrong.push(`has the focus, and does not show it: ${at.html}`);
    }
    if (reached.size < all) wrong.push(`${reached.size} of ${all} are reached by the keyboard`);
    console.log(`${reached.size} of ${all} reached`);
  },

  async live() {
    const page = await open(url);
    await lives(page);
    await page.evaluate(() => { globalThis.isTheSame = true; });
    await page.locator("#q").focus();
    console.log("live");
    await page.locator("#main").getByText(rest[0]).first().waitFor();
    const same = await page.evaluate(() =>
      [globalThis.isTheSame === true, document.activeElement.id === "q"].join());
    if (same !== "true,true") wrong.push(`same page, same focus: ${same}`);
  },

  async typed() {
    const page = await open(url);
    await lives(page);
    await page.locator("#q").pressSequentially(rest[0]);
    await page.waitForFunction((text) =>
      [...document.querySelectorAll("tbody[data-key]")].every((it) => it.dataset.key.includes(text)),
    rest[0]);
    const address = new URL(page.url());
    if (address.searchParams.get("q") !== rest[0]) wrong.push(`the address is ${address}`);
  },

  async plain() {
    const page = await open(url, { javaScriptEnabled: false });
    const deadline = Date.now() + PATIENCE;
    while (!(await page.content()).includes(rest[0])) {
      if (Date.now() > deadline) throw new Error(`never shown: ${rest[0]}`);
      await page.waitForTimeout(200);
    }
    if (await page.locator("#live").isVisible()) wrong.push("it says that it is live");
  },

  async shoot() {
    const [path, colorScheme, width, height] = rest;
    const viewport = { width: Number(width), height: Number(height) };
    const page = await open(url, { colorScheme, viewport });
    await lives(page);
    await page.screenshot({ path });
  },
};

try {
  await doing[does]();
} catch (error) {
  wrong.push(`${error}`);
}
await browser.close();
for (const what of wrong) console.log(`WRONG ${what}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
