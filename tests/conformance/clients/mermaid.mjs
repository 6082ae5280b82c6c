// Mermaid itself, in a browser: `node mermaid.mjs CHROMIUM`.
//
// Each line of its input is a diagram, as a JSON string. For each it prints one of JSON:
// `{"texts": [...]}`, all that is to be read in the picture, or `{"error": …}`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const bundle = createRequire(import.meta.url).resolve("@mermaid-js/tiny");

const browser = await chromium.launch({
  executablePath: process.argv[2], // the system's, never one that was downloaded
  args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** Draws a diagram in the page; a mistake in it is an exception. */
async function draw(source) {
  try {
    await window.mermaid.parse(source);
    const { svg } = await window.mermaid.render("drawn", source);
    const { documentElement } = new DOMParser().parseFromString(svg, "text/html");
    // The actors stand below the drawing, too.
    const texts = [...documentElement.querySelectorAll("text:not(.actor), .actor-top + text")];
    return { texts: texts.map((text) => text.textContent), ran: window.hit ?? null };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

try {
  const page = await browser.newPage();
  await page.setContent("<!doctype html><title>Mermaid</title>");
  await page.addScriptTag({ content: readFileSync(bundle, "utf8") });
  await page.evaluate(() => window.mermaid.initialize({ startOnLoad: false }));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await page.evaluate(draw, JSON.parse(line))));
  }
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
