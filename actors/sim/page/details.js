// In words: the current item in full, and what was found out about the run as a whole.

const MOST = 100; // entries of a list; the drawing has them all
const MOST_WAITING = 6;
const LONGEST = 120; // characters of a text in a list; the details of its item have it all

function count(number, one) {
  return `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;
}

function brief(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function two(who, text, more = "") {
  return make("span", {}, make("bdi.who", {}, brief(who)), " ", make("bdi.text", {}, brief(text)),
    more && ` (${more})`);
}

class Details {
  #run;
  #onPick;

  constructor(run, { onPick }) {
    this.#run = run;
    this.#onPick = onPick;
    this.#layFindings();
  }

  /** Something to click that goes to an item; only its words if there is none. */
  #jump(item, ...words) {
    if (!item) return make("span.entry", {}, ...words);
    const button = make("button.entry", { type: "button" }, ...words);
    button.addEventListener("click", () => this.#onPick(item));
    return button;
  }

  /** Shows an item, or nothing. It is read out unless it is one of many, quickly. */
  show(item, { aloud = true } = {}) {
    const [now, title, body, spoken] = ["now", "now-title", "now-body", "spoken"]
      .map((id) => document.getElementById(id));
    now.classList.toggle("nothing", !item);
    if (!item) return;
    const kind = TAGS[item.kind] || "message";
    const route = this.#run.describe(item);
    const { text } = item;
    title.replaceChildren(make("span", {}, `Step ${item.step}`),
      make("span.time", {}, seconds(item.time)));
    body.replaceChildren(
      make("p.about", { data: { kind: item.kind } },
        make("span.tag", {}, kind), " ", make("bdi.who", {}, route)),
      ...(text ? [make("pre.text", { dir: "auto", tabIndex: 0 }, text)] : []),
      ...this.#facts(item),
      ...this.#waiting(item),
    );
    if (aloud) spoken.textContent = `Step ${item.step}, ${kind}, ${route}: ${text}`;
  }

  #facts(item) {
    const facts = [];
    if (item.channel) facts.push(make("span", {}, "in ", make("bdi", {}, item.channel)));
    if (item.waited) {
      const { rows } = this.#run;
      const sent = rows[this.#run.firstRow(({ step }) => step > item.sentAt) - 1];
      facts.push(make("span", {}, "sent at step ", this.#jump(sent, String(item.sentAt)),
        `, waited for ${count(item.step - item.sentAt, "step")}`));
    }
    if (item.kind === "unreceived") {
      facts.push(item.waiting ? "its sender still waits for a place" : "nobody took it out");
    }
    const joined = facts.flatMap((fact, index) => (index ? [" · ", fact] : [fact]));
    return facts.length ? [make("p.facts", {}, ...joined)] : [];
  }

  /** What was on its way at that time. */
  #waiting(item) {
    const waiting = this.#run.waitingAt(item).filter((other) => other !== item);
    if (!waiting.length) return [];
    const list = waiting.slice(0, MOST_WAITING).map((other) =>
      make("li", {}, this.#jump(other, two(this.#run.describe(other), other.text))));
    const more = waiting.length - list.length;
    if (more > 0) list.push(make("li.more", {}, `and ${more.toLocaleString("en")} more`));
    return [make("h3", {}, `On the way (${waiting.length.toLocaleString("en")})`), make("ul", {}, ...list)];
  }

  #layFindings() {
    const { items, story, lanes } = this.#run;
    const at = ({ step }) => make("span.at", {}, String(step));
    const lost = items.filter(({ kind }) => kind === "unreceived").map((item) => () =>
      this.#jump(item, at(item),
        two(this.#run.describe(item), item.text, item.waiting ? "waits for a place" : "")));
    const blocked = story.blocked.map(({ lane, where }) => () =>
      this.#jump(this.#run.lastOf(this.#run.laneOf(lane)), two(lane || "(no name)", where)));
    const deviations = items.filter(({ kind }) => SCHEDULE.has(kind)).map((item) => () =>
      this.#jump(item, at(item), make("bdi", {}, brief(item.text))));
    const faults = story.faults.map((text) => () => this.#jump(
      items.find((item) => item.kind === "net" && `${lanes[item.lane]}: ${item.text}` === text),
      make("bdi", {}, brief(text))));
    const findings = document.getElementById("findings");
    findings.replaceChildren(
      ...this.#finding("unreceived", "Never received", lost),
      ...this.#finding("blocked", "Blocked in the end", blocked),
      ...this.#finding("deviation", "The schedule", deviations, "The plain one, but for:"),
      ...this.#finding("net", "Faults", faults),
    );
    findings.hidden = !findings.children.length;
  }

  #finding(kind, title, entries, note) {
    if (!entries.length) return [];
    const list = entries.slice(0, MOST).map((entry) => make("li", {}, entry()));
    const more = entries.length - list.length;
    if (more > 0) list.push(make("li.more", {}, `and ${more.toLocaleString("en")} more`));
    return [make("section", { data: { kind, testid: kind } },
      make("h2", {}, title, make("span.count", {}, entries.length.toLocaleString("en"))),
      ...(note ? [make("p.note", {}, note)] : []), make("ul", {}, ...list))];
  }
}
