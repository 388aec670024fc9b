// Looks at every page of the gallery with a real browser: axe-core finds no
// violation in either theme, no page is wider than 320 px, nothing breaks the
// content policy, and the keyboard reaches what can be followed or pressed.
//
//   node check.mjs GALLERY [SHOTS]
//
// GALLERY is the folder that TestGallery writes; with SHOTS, pictures of the
// pages at 1440, 768 and 320 px in both themes are kept there. ONLY=text takes
// only pages whose name holds it. Exit status 1: something was found.
import { createServer } from "node:http";
import { readFile, readdir, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [gallery, shots] = process.argv.slice(2);
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const policy = await readFile(join(gallery, "assets", "policy"), "utf8");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const types = { css: "text/css", js: "text/javascript", svg: "image/svg+xml", html: "text/html; charset=utf-8" };

let grows = false; // the ledger grows soon after a page begins to listen
const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  if (path.includes("..")) return response.writeHead(400).end();
  if (path === "/v1/events") {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write(": quiet\n\n");
    if (grows) setTimeout(() => response.write("event: revision\ndata: 999\n\n"), 4000);
    return;
  }
  try {
    const data = await readFile(join(gallery, path));
    response.writeHead(200, { "Content-Type": types[path.split(".").pop()] ?? "text/plain", "Content-Security-Policy": policy }).end(data);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const origin = `http://127.0.0.1:${server.address().port}`;

const pages = [];
for (const kind of await readdir(gallery)) {
  if (kind === "assets") continue;
  for (const file of await readdir(join(gallery, kind))) pages.push(`${kind}/${file}`);
}
pages.sort();
// A page that is the same to the byte as one before is looked at once.
const texts = new Set(), chosen = [];
let same = 0;
for (const p of pages.filter((p) => p.includes(process.env.ONLY ?? ""))) {
  const text = await readFile(join(gallery, p), "utf8");
  if (texts.has(text)) same++;
  else chosen.push(p);
  texts.add(text);
}

const browser = await chromium.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const found = [];
let rules = 0, looked = 0;
if (shots) await mkdir(shots, { recursive: true });
for (const theme of ["light", "dark"]) {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  let name = "";
  page.on("console", (m) => { if (m.type() === "error") found.push(`${name}: console: ${m.text()}`); });
  page.on("pageerror", (e) => found.push(`${name}: script: ${e.message}`));
  for (const path of chosen) {
    name = `${path} (${theme})`;
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(`${origin}/${path}`, { waitUntil: "load" });
    await page.evaluate(axe);
    for (const width of [1440, 768, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      looked++;
      rules = Math.max(rules, result.passes.length);
      for (const v of result.violations) {
        for (const n of v.nodes) found.push(`${name} ${width}px: ${v.id}: ${n.target.join(" ")}: ${n.failureSummary.replaceAll("\n", " ")}`);
      }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.push(`${name}: ${over} px wider than ${width} px`);
    }
    if (theme === "light") {
      // Every link, button and field takes the focus from the keyboard, in turn.
      await page.setViewportSize({ width: 1440, height: 900 });
      const want = await page.evaluate(() => {
        document.activeElement?.blur();
        return Array.from(document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")).filter((e) => e.checkVisibility()).length;
      });
      if (want <= 150) {
        const reached = new Set();
        for (let i = 0; i < want + 10; i++) {
          await page.keyboard.press("Tab");
          const at = await page.evaluate(() => {
            const e = document.activeElement;
            if (e === document.body) return null;
            const all = Array.from(document.querySelectorAll("*"));
            return all.indexOf(e);
          });
          if (at !== null) reached.add(at);
        }
        if (reached.size < want) found.push(`${name}: the keyboard reaches ${reached.size} of ${want}`);
      }
    }
    if (shots && !path.startsWith("large/")) {
      await page.evaluate(() => document.activeElement?.blur());
      for (const width of [1440, 768, 320]) {
        await page.setViewportSize({ width, height: 900 });
        await page.screenshot({ path: join(shots, `${path.replaceAll("/", "-").replace(".html", "")}-${width}-${theme}.png`), fullPage: true });
      }
    }
  }
  await context.close();
}
if (chosen.includes("full/queue.html")) {
  const page = await browser.newPage();
  const say = (ok, what) => { if (!ok) found.push(`full/queue.html: ${what}`); };
  const held = () => page.evaluate(() => [document.activeElement?.name ?? document.activeElement?.id ?? "", document.activeElement?.value ?? ""]);
  await page.goto(`${origin}/full/queue.html`, { waitUntil: "load" });
  await page.keyboard.press("/");
  say((await page.evaluate(() => document.activeElement?.id)) === "find", "the key / does not lead to the search");
  await page.focus("[data-keys=queue]");
  for (const key of ["j", "j", "x", "k", "x"]) await page.keyboard.press(key);
  say((await page.locator("input[name=item]:checked").count()) === 2, "j, k and x do not mark two items");
  // Somebody writes while the ledger grows: nothing moves until they are done.
  grows = true;
  await page.goto(`${origin}/full/queue.html`, { waitUntil: "load" });
  await page.fill("fieldset input[name=reason]", "half a sen");
  await page.evaluate(() => { document.querySelector("main").dataset.old = "yes"; });
  await page.waitForFunction(() => document.querySelector("#pause").textContent === "Show what is new", null, { timeout: 60000 }).catch(() => say(false, "it is not said that there is something new"));
  await page.waitForTimeout(3000); // longer than a renewal waits
  const [name, value] = await held();
  say(name === "reason" && value === "half a sen", `the focus or the text was lost: ${name} ${value}`);
  await page.fill("fieldset input[name=reason]", "");
  await page.focus(".skip");
  await page.waitForFunction(() => !document.querySelector("main").dataset.old, null, { timeout: 60000 }).catch(() => say(false, "the page is not renewed when nobody writes"));
  say((await page.evaluate(() => document.activeElement?.className)) === "skip", "the renewal moved the focus");
  await page.close();
}
if (chosen.includes("full/cases-cas_0001.html")) {
  // A renewal keeps the focus on the very button that somebody is about to press.
  grows = true;
  const page = await browser.newPage();
  await page.goto(`${origin}/full/cases-cas_0001.html`, { waitUntil: "load" });
  await page.focus("form[action$='/note'] button");
  await page.evaluate(() => { document.querySelector("main").dataset.old = "yes"; });
  await page.waitForFunction(() => !document.querySelector("main").dataset.old, null, { timeout: 60000 }).catch(() => found.push("full/cases-cas_0001.html: the page is not renewed"));
  const at = await page.evaluate(() => document.activeElement.form?.getAttribute("action") ?? document.activeElement.tagName);
  if (!at.endsWith("/note")) found.push(`full/cases-cas_0001.html: the renewal moved the focus to ${at}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
for (const f of found) console.log(f);
console.log(`${chosen.length} pages, ${same} more that are the same as one of them, ${looked} runs of axe, ${found.length} found`);
process.exit(found.length ? 1 : 0);
