// The page of a simulated run in a browser: `node sim_page.mjs SCENARIO FOLDER CHROMIUM NAMES`.
//
// FOLDER is the URL of a folder with the pages NAMES. It prints all that was seen, as JSON. When a wait was in
// vain, it says on stderr which, and fails.

import { contrasts } from "./page_contrast.mjs";
import { Visitor, closeAll, inspect, launch } from "./page_visitor.mjs";

const [scenario, folder] = process.argv.slice(2);

let browser = null;

/** A window with one of the pages. */
async function open(name) {
  browser ??= await launch();
  const visitor = await Visitor.open(browser, `${folder}/${name}.html`);
  await drawn(visitor);
  return visitor;
}

/** Waits until the page has drawn what it has to. */
function drawn({ page }) {
  return page.evaluate(() => new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(resolve));
  }));
}

const text = (visitor, testid) => visitor.at(testid).innerText();

const rows = async (visitor) => {
  await drawn(visitor);
  return visitor.at("rows").getByRole("option").evaluateAll((nodes) =>
    nodes.map((node) => node.innerText.replace(/\s+/g, " ").trim()));
};

/** What is current, as it stands in the rows, and in the details. */
async function current(visitor) {
  await drawn(visitor);
  const row = visitor.at("rows").locator("[aria-selected=true]");
  return {
    row: (await row.count()) ? (await row.innerText()).replace(/\s+/g, " ").trim() : null,
    now: (await text(visitor, "now")).replace(/\s+/g, " ").trim(),
    position: await text(visitor, "position"),
  };
}

const row = (visitor, step) =>
  visitor.at("rows").getByRole("option").filter({ hasText: new RegExp(`^${step}`) });

const at = async (visitor) => (await current(visitor)).position;

const scenarios = {
  async head() {
    const visitor = await open("everything");
    await visitor.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const seen = { window: await visitor.page.title() };
    for (const part of ["title", "outcome", "where", "found", "facts", "replay"]) {
      seen[part] = await text(visitor, part);
    }
    for (const part of ["unreceived", "blocked", "deviation", "net"]) {
      seen[part] = await visitor.at(part).locator("li").allInnerTexts();
    }
    await visitor.at("copy").click();
    await visitor.sees("copy", "Copied");
    seen.copied = await visitor.page.evaluate(() => navigator.clipboard.readText());
    // From a finding to where it happened.
    await visitor.at("unreceived").locator("li").last().getByRole("button").click();
    seen.went = await current(visitor);
    const passed = await open("passed");
    seen.passed = { outcome: await text(passed, "outcome"), at: await at(passed),
      replay: await passed.at("replay").isVisible(), slice: await passed.at("slice").isVisible(),
      findings: await passed.at("findings").isVisible() };
    return { ...seen, ...inspect(visitor, passed) };
  },

  /** How high the heading is, and where the chart begins and ends, in px. */
  async unfold() {
    const measure = async (visitor) => {
      await drawn(visitor);
      const button = visitor.at("unfold");
      const [{ height }, box] = [await visitor.at("outcome").boundingBox(), await visitor.at("chart").boundingBox()];
      return { heading: height, chart: box.y, end: box.y + box.height,
        button: (await button.isVisible()) ? await button.getAttribute("aria-expanded") : null };
    };
    const visitors = [await open("run"), await open("long")];
    for (const { page } of visitors) await page.setViewportSize({ width: 1280, height: 800 });
    const [short, folded] = [await measure(visitors[0]), await measure(visitors[1])];
    await visitors[1].at("unfold").click();
    const unfolded = await measure(visitors[1]);
    await visitors[1].at("unfold").click();
    return { short, folded, unfolded, again: await measure(visitors[1]), ...inspect(...visitors) };
  },

  async steps() {
    const visitor = await open("everything");
    const way = [await current(visitor)];
    const click = async (testid) => {
      await visitor.at(testid).click();
      way.push(await current(visitor));
    };
    await click("first");
    for (let step = 0; step < 4; step++) await click("forward");
    await click("back");
    await click("last");
    for (let step = 0; step < 4; step++) await click("back");
    const ends = {};
    for (const id of ["first", "back", "forward", "last"]) ends[id] = await visitor.at(id).isDisabled();
    await row(visitor, "124").click();
    const clicked = await at(visitor);
    return { way, ends, clicked, rows: await rows(visitor), ...inspect(visitor) };
  },

  /** It plays to the end by itself; the time is made up. */
  async plays() {
    const visitor = await open("passed");
    await visitor.page.clock.install();
    await visitor.reload();
    const seen = [await text(visitor, "position")];
    await visitor.at("play").click();
    const label = await visitor.at("play").getAttribute("aria-label");
    for (let tick = 0; tick < 4; tick++) {
      await visitor.page.clock.runFor(700);
      seen.push(await text(visitor, "position"));
    }
    const after = await visitor.at("play").getAttribute("aria-label");
    await visitor.at("play").click(); // from the beginning
    await visitor.page.clock.runFor(700);
    await visitor.at("play").click(); // and stop
    await visitor.page.clock.runFor(7_000);
    seen.push(await text(visitor, "position"));
    return { seen, labels: [label, after], ...inspect(visitor) };
  },

  async filters() {
    const visitor = await open("everything");
    await visitor.page.setViewportSize({ width: 1280, height: 1600 }); // all rows are in sight
    const seen = { sliced: await rows(visitor), checked: await visitor.at("slice").isChecked() };
    await visitor.at("slice").locator("..").click();
    seen.all = await rows(visitor);
    // A lane goes by a click on its name, and comes back in the menu.
    await visitor.at("heads").getByRole("button", { name: "ticker" }).click();
    seen.withoutTicker = await rows(visitor);
    await visitor.at("lanes-menu").click();
    const ticker = visitor.at("lanes").getByLabel("ticker");
    seen.tickerChecked = await ticker.isChecked();
    await ticker.check();
    seen.again = await rows(visitor);
    await visitor.page.keyboard.press("Escape");
    await visitor.at("kinds-menu").click();
    seen.kinds = await visitor.at("kinds").locator("li").allInnerTexts();
    await visitor.at("kinds").getByLabel("messages").uncheck();
    seen.withoutMessages = await rows(visitor);
    await visitor.page.keyboard.press("Escape");
    // What is hidden comes back when one goes there.
    await visitor.at("kinds-menu").click();
    await visitor.at("kinds").getByLabel("never received").uncheck();
    await visitor.page.keyboard.press("Escape");
    await visitor.at("unreceived").locator("li").last().getByRole("button").click();
    seen.revealed = (await current(visitor)).row;
    await visitor.at("lanes-menu").click();
    await visitor.page.getByRole("button", { name: "None" }).click();
    seen.laneless = await rows(visitor);
    await visitor.page.keyboard.press("Escape");
    await visitor.at("kinds-menu").click();
    for (const kind of ["timers", "failure"]) await visitor.at("kinds").getByLabel(kind).uncheck();
    await visitor.sees("nothing", "The filters leave nothing to show.");
    seen.none = { rows: await rows(visitor), said: await text(visitor, "nothing") };
    return { ...seen, ...inspect(visitor) };
  },

  async search() {
    const visitor = await open("everything");
    const steps = async (...keys) => {
      await visitor.press(...keys);
      return { hits: await text(visitor, "hits"), row: (await current(visitor)).row };
    };
    await visitor.press("/");
    await visitor.page.keyboard.type("LEAVE");
    const marks = await visitor.at("rows").locator("mark").allInnerTexts();
    const seen = { marks, typed: await steps(), next: await steps("Enter"), round: await steps("Enter"),
      back: await steps("Shift+Enter") };
    await visitor.at("search").fill("[('"); // no pattern, but a text
    seen.special = (await steps()).hits;
    await visitor.at("search").fill("nowhere");
    seen.nowhere = (await steps()).hits;
    seen.left = await steps("Escape");
    seen.value = await visitor.at("search").inputValue();
    return { ...seen, ...inspect(visitor) };
  },

  /** Everything without a mouse, and always with the focus in sight. */
  async keyboard() {
    const visitor = await open("everything");
    const { page } = visitor;
    const focus = () => page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return {};
      const frame = node.closest(".switch")?.querySelector(".knob") ?? node.closest(".chart") ?? node;
      return { on: node.dataset.testid ?? (node.textContent || node.value).trim(),
        visible: getComputedStyle(frame).outlineStyle !== "none" };
    });
    const way = [];
    for (let tab = 0; tab < 40; tab++) {
      await visitor.press("Tab");
      const { on, visible } = await focus();
      if (!on) break; // once around
      way.push(visible ? on : `${on}, unseen`);
    }
    const walk = async (testid) => {
      for (let tab = 0; (await focus()).on !== testid; tab++) {
        if (tab > 40) throw new Error(`no way to ${testid}`);
        await visitor.press("Tab");
      }
    };
    const places = {};
    await walk("rows");
    for (const key of ["Home", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "End",
      "Shift+ArrowUp", "Shift+ArrowUp", "Shift+ArrowDown", "End", "PageUp", "PageDown"]) {
      await visitor.press(key);
      places[key] = await at(visitor);
    }
    const active = await visitor.at("rows").evaluate((node) =>
      document.getElementById(node.getAttribute("aria-activedescendant")).ariaSelected);
    await walk("slice");
    await visitor.press("Space");
    places.unsliced = await at(visitor);
    await walk("lanes-menu");
    await visitor.press("Enter", "Tab", "Tab", "Tab", "Space"); // past All and None, to the first
    places.laneHidden = await at(visitor);
    await visitor.press("Escape");
    const closed = (await focus()).on;
    await walk("play");
    await visitor.press("Space");
    const playing = await visitor.at("play").getAttribute("aria-label");
    await visitor.press("Space");
    const paused = await visitor.at("play").getAttribute("aria-label");
    return { way, places, active, closed, playing, paused, ...inspect(visitor) };
  },

  /** How a message that waited goes, in px: the points of its line, from the sender on. */
  async drawing() {
    const visitor = await open("everything");
    const { page } = visitor;
    const lane = (name) => visitor.at("heads").getByRole("button", { name, exact: true })
      .evaluate((node) => node.offsetLeft + node.offsetWidth / 2);
    const line = (name) => visitor.at("drawing").locator(`path.${name}`).getAttribute("d");
    const top = (step) => page.evaluate((wanted) => [...document.querySelectorAll(".row")]
      .find((row) => row.querySelector(".step").textContent.startsWith(wanted)).offsetTop, step);
    const lanes = { registry: await lane("registry"), room: await lane("room") };
    const lost = await line("lost");
    const ends = await line("lost-end");
    const rows = { 107: await top("107"), 109: await top("109"), 122: await top("122") };
    await row(visitor, "122").click();
    await drawn(visitor);
    const waited = await line("hot");
    await row(visitor, "124").click();
    await drawn(visitor);
    const straight = await line("hot");
    const glyphs = {};
    await page.setViewportSize({ width: 1280, height: 1600 });
    await drawn(visitor);
    for (const name of ["note", "net", "timer", "choice", "fork", "failure", "ended", "started",
      "bytes", "stuck"]) {
      glyphs[name] = (await line(name)).split("M").length > 1;
    }
    const later = await open("later");
    await later.at("last").click();
    await drawn(later);
    const stillLost = await later.at("drawing").locator("path.lost").getAttribute("d");
    return { lanes, rows, waited, straight, lost, ends, glyphs, stillLost, ...inspect(visitor, later) };
  },

  /** Texts stay texts, whatever they are, and nothing inline would run. */
  async markup() {
    const names = process.argv[5].split(",");
    const visitor = await open(names[0]);
    const pages = [];
    for (const name of names) {
      await visitor.page.goto(`${folder}/${name}.html`);
      await drawn(visitor);
      pages.push(await visitor.page.evaluate(() => ({
        hit: window.hit ?? null,
        made: document.querySelectorAll("body :is(img, script, style, main b b, pre *)").length,
        title: document.getElementById("title").textContent,
        now: document.querySelector("#now pre")?.textContent ?? "",
        names: [...document.querySelectorAll(".lane-name span")].map((node) => node.textContent),
      })));
    }
    const seen = inspect(visitor); // what follows makes the browser complain, on purpose
    const blocked = await visitor.page.evaluate(() => new Promise((resolve) => {
      const directives = [];
      addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        if (directives.push(effectiveDirective) === 3) resolve(directives.sort());
      });
      const script = document.createElement("script");
      script.textContent = "hit = 4";
      const frame = document.createElement("div");
      frame.innerHTML = "<p onclick='hit = 5' style='color: red'></p>";
      document.body.append(script, frame);
    }));
    return { pages, blocked, hit: await visitor.page.evaluate(() => window.hit ?? null), ...seen };
  },

  /** Every state of the page, in narrow and wide windows and either colour scheme. */
  async looks() {
    const looks = [];
    const visitors = [];
    const look = async (visitor, view, widths = [360, 1280]) => {
      for (const width of widths) {
        await visitor.page.setViewportSize({ width, height: 800 });
        for (const colorScheme of ["light", "dark"]) {
          await visitor.page.emulateMedia({ colorScheme });
          await drawn(visitor);
          looks.push({ view, width, colorScheme, texts: await contrasts(visitor.page),
            strokes: await strokes(visitor.page), tooWide: await visitor.tooWide() });
        }
      }
    };
    for (const name of ["everything", "passed", "nothing", "long", "large"]) {
      const visitor = await open(name);
      visitors.push(visitor);
      await look(visitor, name);
      if (name !== "everything") continue;
      await visitor.at("search").fill("o");
      await visitor.at("back").click();
      await look(visitor, "searching");
      for (const menu of ["lanes-menu", "kinds-menu"]) {
        await visitor.at(menu).click();
        await look(visitor, menu);
        await visitor.press("Escape");
      }
      await visitor.at("search").fill("");
      const many = Number(await visitor.at("scrubber").getAttribute("max"));
      for (let row = many; row >= 0; row -= 4) { // some of each kind as the current one
        await visitor.at("scrubber").fill(String(row));
        await look(visitor, `row ${row}`, [1280]);
      }
    }
    return { looks, ...inspect(...visitors) };
  },

  /** Thousands of events: how much is in the document, and how long a step takes. */
  async large() {
    const visitor = await open("large");
    await visitor.at("slice").locator("..").click();
    const seen = await visitor.page.evaluate(async () => {
      const frame = () => new Promise(requestAnimationFrame);
      const find = (id) => document.querySelector(`[data-testid=${id}]`);
      const nodes = [];
      const points = [];
      const note = () => {
        nodes.push(document.querySelectorAll("*").length);
        points.push([...document.querySelectorAll("#drawing path")]
          .reduce((sum, path) => sum + path.getAttribute("d").length, 0));
      };
      const chart = find("chart");
      const { scrollHeight } = chart;
      for (let part = 0; part <= 20; part++) {
        chart.scrollTop = (scrollHeight - chart.clientHeight) * part / 20;
        await frame();
        note();
      }
      const times = { step: [], scroll: [], search: [], filter: [] };
      const time = async (name, act) => {
        await frame();
        const begin = performance.now();
        act();
        await frame(); // in which it draws
        document.body.getBoundingClientRect(); // and the browser has laid it out
        times[name].push(performance.now() - begin);
      };
      find("first").click();
      for (let step = 0; step < 20; step++) await time("step", () => find("forward").click());
      for (let step = 0; step < 20; step++) await time("scroll", () => { chart.scrollTop += 60; });
      const search = find("search");
      for (const wanted of ["s", "sa", "say", "say'"]) {
        await time("search", () => {
          search.value = wanted;
          search.dispatchEvent(new Event("input"));
        });
      }
      for (let turn = 0; turn < 4; turn++) await time("filter", () => find("slice").click());
      for (const list of Object.values(times)) list.sort((one, other) => one - other);
      const median = (list) => list[Math.floor(list.length / 2)];
      return {
        nodes: Math.max(...nodes), points: Math.max(...points), scrollHeight,
        times: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)])),
      };
    });
    return { ...seen, position: await at(visitor), ...inspect(visitor) };
  },
};

/** The contrast of each line of the drawing with the ground of the rows. */
function strokes(page) {
  return page.evaluate(() => {
    const luminance = (colour) => {
      const [r, g, b] = colour.match(/[\d.]+/g).map((part) => Number(part) / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (...colours) => {
      const [dark, light] = colours.map(luminance).sort((a, b) => a - b);
      return (light + 0.05) / (dark + 0.05);
    };
    const ground = getComputedStyle(document.querySelector("#heads")).backgroundColor;
    return [...document.querySelectorAll("#drawing path")].filter((path) => path.getAttribute("d"))
      .map((path) => {
        const { stroke, fill } = getComputedStyle(path);
        return { name: path.getAttribute("class"), contrast: ratio(stroke === "none" ? fill : stroke, ground) };
      });
  });
}

try {
  console.log(JSON.stringify(await scenarios[scenario]()));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await closeAll();
}
