// A visitor of the chat page: one window of a browser, and what is seen in it.
//
// Nothing here sleeps: every wait is for a condition of the document.

import { chromium } from "playwright-core";

const PATIENCE = 15_000; // longer than anything takes, on a busy machine too

const ARGS = [
  "--headless=new",
  "--no-sandbox", // tests may run as root, in a container
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const browsers = [];

export async function launch() {
  const browser = await chromium.launch({
    executablePath: process.argv[4], // the system's, never one that was downloaded
    args: ARGS,
  });
  browsers.push(browser);
  return browser;
}

export async function closeAll() {
  await Promise.all(browsers.map((browser) => browser.close()));
}

export class Visitor {
  /** Opens the page in a window of its own, which shares nothing with the others. */
  static async open(browser, url) {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      colorScheme: "light",
      reducedMotion: "reduce", // colours are measured as they are in the end
    });
    context.setDefaultTimeout(PATIENCE);
    const visitor = new Visitor(await context.newPage());
    visitor.headers = (await visitor.page.goto(url)).headers();
    return visitor;
  }

  constructor(page) {
    this.page = page;
    this.complaints = []; // of the browser: errors and warnings
    this.requests = new Set(); // the origins of all that was loaded
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) {
        this.complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => this.complaints.push(`uncaught: ${error.stack}`));
    page.on("request", (request) => this.requests.add(new URL(request.url()).origin));
    page.on("websocket", (socket) => this.requests.add(new URL(socket.url()).origin));
  }

  async reload() {
    await this.page.reload();
  }

  at(testid) {
    return this.page.getByTestId(testid);
  }

  /** Waits until one of the elements is shown with this text as a whole, or one that matches. */
  async sees(testid, text) {
    const hasText = text instanceof RegExp ? text : whole(text);
    await this.at(testid).filter({ hasText }).first().waitFor();
  }

  async join(name) {
    await this.at("name-input").fill(name);
    await this.at("name-input").press("Enter");
    await this.sees("room-title", "general");
    return this;
  }

  async switchTo(room) {
    await this.at(`room-${room}`).click();
    await this.sees("room-title", room);
  }

  /** Sends a message and waits until it comes back. */
  async say(text) {
    await this.at("message-input").fill(text);
    await this.at("send").click();
    await this.sees("message-text", text);
  }

  /** Waits until the people who are here are these, in this order. */
  async seesUsers(...names) {
    await this.page.waitForFunction((wanted) => {
      const items = document.querySelectorAll("[data-testid=users] li");
      return JSON.stringify([...items].map((item) => item.textContent)) === wanted;
    }, JSON.stringify(names));
  }

  /** Waits until the rooms' counts are these. */
  async seesCounts(counts) {
    await Promise.all(Object.entries(counts)
      .map(([room, count]) => this.sees(`count-${room}`, String(count))));
  }

  async seesState(state) {
    await this.page.locator(`[data-testid=connection-state][data-state=${state}]`).waitFor();
  }

  async seesError(testid) {
    const error = this.at(testid).filter({ hasText: /\S/ });
    await error.waitFor();
    return error.textContent();
  }

  messages() {
    return this.at("message-text").allTextContents();
  }

  /** The notices in the log, without their time. */
  notices() {
    return this.at("notice").evaluateAll((nodes) =>
      nodes.map((node) => node.firstChild.textContent));
  }

  /** By how much the page is wider than its window. */
  tooWide() {
    return this.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return Math.max(scrollWidth, document.body.scrollWidth) - clientWidth;
    });
  }

  /** What has the keyboard's focus, and whether one can see it. */
  focus() {
    return this.page.evaluate(() => {
      const node = document.activeElement;
      const frame = getComputedStyle(node.closest(".field") ?? node);
      const outlined = getComputedStyle(node).outlineStyle !== "none";
      return {
        on: node.dataset.testid ?? node.id ?? node.tagName,
        visible: outlined || frame.boxShadow !== "none",
      };
    });
  }

  press(...keys) {
    return keys.reduce((done, key) => done.then(() => this.page.keyboard.press(key)),
      Promise.resolve());
  }

  /** Presses `key` until the element has the focus; returns the elements on the way. */
  async walkTo(testid, key = "Tab") {
    const way = [];
    do {
      if (way.length > 20) throw new Error(`no way by ${key} to ${testid}, but ${way}`);
      await this.press(key);
      const { on, visible } = await this.focus();
      way.push(visible ? on : `${on}, unseen`);
    } while (!way.at(-1).startsWith(testid));
    return way;
  }
}

/** What the browsers had to complain of, and from where they loaded. */
export function inspect(...visitors) {
  return {
    complaints: visitors.flatMap(({ complaints }) => complaints),
    origins: [...new Set(visitors.flatMap(({ requests }) => [...requests]))].sort(),
  };
}

/** Matches the text as a whole, whatever white space is around it. */
function whole(text) {
  return new RegExp(`^\\s*${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s*$`);
}
