// What people see of the chat page: how it looks, the statistics, and a server that goes and comes.

import { contrasts } from "./page_contrast.mjs";
import { Visitor, inspect, launch } from "./page_visitor.mjs";

export const views = {
  /** Every view, in narrow and wide windows and either colour scheme; the server wants a token. */
  async looks(url) {
    const browser = await launch();
    const other = await (await Visitor.open(browser, url)).join("W".repeat(32));
    const visitor = await Visitor.open(browser, url);
    const looks = [];
    const look = async (view) => {
      for (const width of [360, 1280]) {
        await visitor.page.setViewportSize({ width, height: 740 });
        for (const colorScheme of ["light", "dark"]) {
          await visitor.page.emulateMedia({ colorScheme });
          const texts = await contrasts(visitor.page);
          looks.push({ view, width, colorScheme, texts, tooWide: await visitor.tooWide() });
        }
      }
    };
    await look("join");
    await visitor.at("name-input").press("Enter");
    await visitor.seesError("name-error");
    await look("name refused");
    await visitor.join("Anna");
    await look("empty room");
    await visitor.say("w".repeat(300));
    await other.say(`A long word ${"m".repeat(200)} and https://example.com/${"a/".repeat(100)}`);
    await other.say("Short");
    await visitor.sees("message-text", "Short");
    await other.switchTo("tech");
    await visitor.sees("notice", /left general/);
    await other.switchTo("general");
    await visitor.sees("notice", /joined general/);
    await visitor.at("message-input").fill(" ");
    await visitor.at("send").click();
    await visitor.seesError("message-error");
    await look("chat");
    for (let hue = 0; hue < 6; hue++) { // the colours a name's badge may have
      await visitor.at("self").evaluate((node, value) => { node.dataset.hue = value; }, hue);
      await look(`badge ${hue}`);
    }
    await visitor.at("admin-link").click();
    await visitor.seesError("admin-error");
    await look("token");
    await visitor.at("admin-token-input").fill("the token");
    await visitor.at("admin-token-input").press("Enter");
    await visitor.at("stats-general").getByText("Anna").waitFor();
    await look("statistics");
    return { looks, ...inspect(other, visitor) };
  },

  async admin(url) {
    const browser = await launch();
    const admin = await Visitor.open(browser, `${url}#admin`);
    const card = (room) => admin.at(`stats-${room}`).locator("p").first().textContent();
    await admin.at("stats-general").getByText("0 members, 0 messages").waitFor();
    const before = await admin.page.locator("#totals").innerText();
    const anna = await (await Visitor.open(browser, url)).join("Anna");
    await anna.say("One");
    await anna.say("Two");
    // It shows what happens without being asked.
    await admin.at("stats-general").getByText("1 member, 2 messages").waitFor();
    await anna.switchTo("tech");
    await anna.say("Three");
    await admin.at("stats-tech").getByText("1 member, 1 message").waitFor();
    await admin.at("stats-tech").getByText("Anna").waitFor();
    const during = { general: await card("general"), tech: await card("tech") };
    const totals = await admin.page.locator("#totals > div").evaluateAll((nodes) =>
      Object.fromEntries(nodes.map((node) => [...node.children].map((child) => child.textContent))));
    await anna.page.close();
    await admin.at("stats-tech").getByText("0 members, 0 messages").waitFor();
    return { before, during, totals, form: await admin.at("admin-token-form").isVisible(),
      ...inspect(admin, anna) };
  },

  async token(url) {
    const admin = await Visitor.open(await launch(), `${url}#admin`);
    const none = await admin.seesError("admin-error");
    const offer = async (token) => {
      await admin.at("admin-token-input").fill(token);
      await admin.at("admin-token-input").press("Enter");
    };
    await offer("a wrong one");
    const wrong = await admin.seesError("admin-error");
    const hidden = !(await admin.at("admin-stats").isVisible());
    await offer("the token");
    await admin.at("stats-general").waitFor();
    await admin.at("admin-token-form").waitFor({ state: "hidden" });
    await admin.reload(); // the window keeps the token
    await admin.at("stats-general").waitFor();
    return { none, wrong, hidden, ...inspect(admin) };
  },

  async reconnect(url, step) {
    const browser = await launch();
    const visitor = await (await Visitor.open(browser, url)).join("Anna");
    const admin = await Visitor.open(browser, `${url}#admin`);
    const all = [visitor, admin];
    await visitor.switchTo("tech");
    await visitor.say("Before");
    await admin.at("stats-tech").getByText("1 member, 1 message").waitFor();
    const before = inspect(...all).complaints;

    step("kill");
    await Promise.all(all.map((each) => each.seesState("reconnecting")));
    await visitor.at("retry").waitFor();
    const state = await visitor.at("connection-state").innerText();
    const stale = await contrasts(admin.page);
    await visitor.at("message-input").fill("Meanwhile");
    await visitor.at("send").click();
    const refused = await visitor.seesError("message-error");

    step("start");
    await Promise.all(all.map((each) => each.seesState("connected")));
    await visitor.sees("room-title", "tech");
    await visitor.seesUsers("Anna");
    await visitor.at("retry").waitFor({ state: "hidden" });
    await admin.at("stats-tech").getByText("1 member, 0 messages").waitFor();
    const meanwhile = all.flatMap(({ complaints }) => complaints.splice(0));
    const kept = await visitor.at("message-input").inputValue();
    await visitor.say("After");
    const messages = await visitor.messages();
    return { before, state, stale, refused, kept, messages, meanwhile, ...inspect(...all) };
  },
};
