// What people see of the chat page: talking, in rooms, with whatever names and texts and hands.

import { Visitor, inspect, launch } from "./page_visitor.mjs";

const MARKUP_NAME = "<img src=x onerror=hit=1>";
const MARKUP_TEXT = "<img src=x onerror=hit=2><script>hit=3</script><b>bold</b>";

export const talk = {
  /** Two browsers, the second with another window that stays in another room. */
  async chat(url) {
    const [first, second] = await Promise.all([launch(), launch()]);
    const anna = await (await Visitor.open(first, url)).join("Anna");
    const cleo = await (await Visitor.open(second, url)).join("Cleo");
    await cleo.switchTo("random");
    const ben = await (await Visitor.open(second, url)).join("Ben");

    await anna.sees("notice", /Ben joined general/);
    await Promise.all([anna, ben].map((visitor) => visitor.seesUsers("Anna", "Ben")));
    await Promise.all([anna, ben, cleo].map((visitor) =>
      visitor.seesCounts({ general: 2, tech: 0, random: 1 })));
    await anna.say("Hello Ben");
    await ben.sees("message-text", "Hello Ben");
    await ben.say("Hello Anna");
    await anna.sees("message-text", "Hello Anna");
    const together = { anna: await anna.messages(), ben: await ben.messages() };
    // What is read aloud, for those who do not see it come.
    const aloud = await anna.page.getByRole("log", { name: "Messages" }).evaluate((node) => {
      const texts = (id) => [...node.querySelectorAll(`[data-testid=${id}]`)]
        .map((found) => found.firstChild.textContent);
      return { live: node.ariaLive, messages: texts("message-text"), notices: texts("notice") };
    });
    aloud.status = await anna.page.getByRole("status").innerText();

    await anna.switchTo("tech");
    await ben.sees("notice", /Anna left general/);
    await ben.seesUsers("Ben");
    await anna.seesUsers("Anna");
    await Promise.all([anna, ben, cleo].map((visitor) =>
      visitor.seesCounts({ general: 1, tech: 1, random: 1 })));
    await ben.say("Only here in general");
    // What was meant for another room would have come before one's own message.
    await anna.say("Only here in tech");
    await cleo.say("Only here in random");
    const apart = {};
    for (const [name, visitor] of Object.entries({ anna, ben, cleo })) {
      apart[name] = { messages: await visitor.messages(), notices: await visitor.notices() };
    }

    await anna.switchTo("random");
    await cleo.sees("notice", /Anna joined random/);
    await cleo.seesUsers("Anna", "Cleo");
    await cleo.at("leave").click();
    await anna.sees("notice", /Cleo left random/);
    await anna.seesUsers("Anna");
    await cleo.seesState("offline");
    await second.close(); // a window that is closed says no goodbye
    await anna.seesCounts({ general: 0, tech: 0, random: 1 });
    return { together, aloud, apart, ...inspect(anna, ben, cleo) };
  },

  async refusals(url) {
    const visitor = await Visitor.open(await launch(), url);
    const tryName = async (name) => {
      await visitor.at("name-input").fill(name);
      await visitor.at("name-input").press("Enter");
      const error = await visitor.seesError("name-error");
      return { error, focus: (await visitor.focus()).on };
    };
    const names = { empty: await tryName(""), blank: await tryName("   ") };
    await visitor.reload(); // or the words of the last refusal would be taken for those of the next
    names.long = await tryName("x".repeat(33));
    await visitor.join("x".repeat(32));
    const goneError = await visitor.at("name-error").textContent();
    const tryText = async (text) => {
      await visitor.at("message-input").fill(text); // which takes back the last refusal
      await visitor.at("send").click();
      await visitor.seesError("message-error");
      const [error] = (await visitor.page.getByRole("alert").allInnerTexts()).filter(Boolean);
      return { error, kept: await visitor.at("message-input").inputValue() === text };
    };
    const texts = { empty: await tryText(""), blank: await tryText(" \n "),
      long: await tryText("y".repeat(2001)) };
    await visitor.say("y".repeat(2000));
    const sent = (await visitor.messages()).map((text) => text.length);
    return { names, goneError, texts, sent, ...inspect(visitor) };
  },

  async markup(url) {
    const browser = await launch();
    const other = await (await Visitor.open(browser, url)).join("Other");
    const visitor = await (await Visitor.open(browser, url)).join(MARKUP_NAME);
    await other.sees("notice", new RegExp(`^${MARKUP_NAME} joined general`));
    await visitor.say(MARKUP_TEXT);
    await other.sees("message-text", MARKUP_TEXT);
    await visitor.switchTo("tech");
    await other.sees("notice", new RegExp(`^${MARKUP_NAME} left general`));
    await visitor.switchTo("general");
    await visitor.say(MARKUP_TEXT);
    await other.seesUsers(MARKUP_NAME, "Other");
    const admin = await Visitor.open(browser, `${url}#admin`);
    await admin.at("stats-general").getByText(MARKUP_NAME).waitFor();
    const all = [other, visitor, admin];
    const seen = inspect(...all); // what follows makes the browser complain, on purpose
    const windows = await Promise.all(all.map(({ page }) => page.evaluate(() => ({
      hit: window.hit ?? null,
      made: document.querySelectorAll("main :is(img[src=x], script, b)").length,
    }))));
    // Even markup that got in would not run.
    const blocked = await other.page.evaluate(() => new Promise((resolve) => {
      const directives = [];
      const tell = () => resolve({ directives: directives.sort(), hit: window.hit ?? null });
      setTimeout(tell, 5_000); // not all were blocked
      addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        if (directives.push(effectiveDirective) === 3) tell();
      });
      const script = document.createElement("script");
      script.textContent = "hit = 4";
      const frame = document.createElement("div");
      frame.innerHTML = "<p onclick='hit = 5' style='color: red'></p>";
      document.body.append(script, frame);
    }));
    const policy = other.headers["content-security-policy"]
      ?? await other.page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
    return { name: MARKUP_NAME, text: MARKUP_TEXT, windows, blocked, policy,
      author: await other.page.locator(".author").last().textContent(),
      ...seen };
  },

  async keyboard(url) {
    const browser = await launch();
    const other = await (await Visitor.open(browser, url)).join("Other");
    const visitor = await Visitor.open(browser, url);
    const type = (text) => visitor.page.keyboard.type(text);
    const focus = [(await visitor.focus()).on];
    await type("Keyboard");
    await visitor.press("Enter");
    await visitor.sees("room-title", "general");
    focus.push((await visitor.focus()).on);
    await type("One line");
    await visitor.press("Shift+Enter");
    await type("and another");
    await visitor.press("Enter");
    await other.sees("message-text", "One line\nand another");
    const ways = { rooms: await visitor.walkTo("room-tech", "Shift+Tab") };
    await visitor.press("Enter");
    await visitor.sees("room-title", "tech");
    focus.push((await visitor.focus()).on);
    ways.back = await visitor.walkTo("message-input");
    await type("In tech");
    ways.send = await visitor.walkTo("send");
    await visitor.press("Space");
    await visitor.sees("message-text", "In tech");
    ways.admin = await visitor.walkTo("admin-link", "Shift+Tab");
    await visitor.press("Enter");
    await visitor.at("stats-tech").waitFor();
    focus.push((await visitor.focus()).on);
    ways.chat = await visitor.walkTo("chat-link", "Shift+Tab");
    await visitor.press("Enter");
    await visitor.sees("room-title", "tech");
    focus.push((await visitor.focus()).on);
    ways.leave = await visitor.walkTo("leave");
    await visitor.press("Enter");
    await visitor.at("name-form").waitFor();
    focus.push((await visitor.focus()).on);
    return { focus, ways, ...inspect(other, visitor) };
  },
};
