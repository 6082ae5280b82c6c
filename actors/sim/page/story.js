// The story as it came, made into what can be drawn. One module with chart.js and page.js, in this
// order, so nothing is imported.
//
// An item is whatever has a row of its own: an event, a message that was never received (at the
// step of its sending), a choice of the schedule that was not the plain one, the failure. `rows` are
// the items that pass the filters. A lane is a number, -1 where there is none.

const KINDS = {
  message: "messages",
  bytes: "bytes",
  unreceived: "never received",
  started: "started",
  ended: "ended",
  note: "notes",
  net: "network",
  timer: "timers",
  deviation: "schedule",
  failure: "failure",
};
// What is written before the text of an item.
const TAGS = {
  message: "", bytes: "bytes", unreceived: "never received", started: "started", ended: "ended",
  note: "note", net: "network", timer: "timer", deviation: "schedule", failure: "failure",
};
const SCHEDULE = new Set(["timer", "deviation"]); // what is not as in the plain schedule
const SHORT_TAGS = { unreceived: "lost" };

const PASSED = "passed";

class Run {
  #numbers; // of the lanes, by name

  constructor(story) {
    this.story = story;
    this.failed = story.outcome !== PASSED;
    this.lanes = [...story.lanes];
    this.#numbers = new Map(this.lanes.map((name, number) => [name, number]));
    this.items = this.#items();
    this.lives = this.#lives();
    this.unsliced = this.items.filter((item) => !item.sliced).length;
    this.sliceOnly = this.failed && this.unsliced > 0;
    this.hiddenLanes = new Set();
    this.hiddenKinds = new Set();
    this.filter();
  }

  #lane(name) {
    if (!this.#numbers.has(name)) {
      if (!name) return -1;
      this.#numbers.set(name, this.lanes.length);
      this.lanes.push(name);
    }
    return this.#numbers.get(name);
  }

  laneOf(name) {
    return this.#numbers.get(name) ?? -1;
  }

  #items() {
    const { story } = this;
    const items = [];
    const add = (kind, step, rest) => items.push({
      kind, step, lane: -1, sender: -1, to: -1, text: "", channel: "", sentAt: 0, time: null,
      sliced: true, waiting: false, ...rest,
    });
    // The sort below is stable: what was chosen comes before what came of it, a message that was
    // sent in vain after what its sender had got, and the failure after all.
    for (const { step, text, lane } of story.deviations) {
      add(lane ? "deviation" : "timer", step, { text, lane: this.#lane(lane) });
    }
    const ends = new Map(); // where a channel's messages go
    for (const [step, time, kind, lane, text, sender, channel, sentAt, sliced] of story.events) {
      const arrow = kind === "message" || kind === "bytes";
      const to = this.#lane(lane);
      const from = arrow ? this.#lane(sender) : -1;
      if (arrow && sender && channel) ends.set(channel, to);
      add(kind, step, {
        time, lane: to, text: text === kind ? "" : text, sender: from, channel, sentAt, sliced,
      });
    }
    for (const { channel, text, sender, sent_at: step, waiting } of story.unreceived) {
      const to = ends.get(channel) ?? this.#numbers.get(channel) ?? -1;
      const from = this.#lane(sender);
      add("unreceived", step, { lane: from, sender: from, to, text, channel, waiting });
    }
    if (this.failed) add("failure", story.failed_at, { text: story.outcome });
    items.sort((one, other) => one.step - other.step);
    let time = 0;
    items.forEach((item, index) => {
      item.index = index;
      item.time = time = item.time ?? time;
      item.waited = item.sentAt > 0 && item.sentAt < item.step;
      item.hay = [item.text, item.channel, TAGS[item.kind], this.lanes[item.lane] ?? "",
        this.lanes[item.sender] ?? "", `step ${item.step}`].join("\n");
    });
    return items;
  }

  /**
   * For each lane the items with which its task started and ended, null where it did not in this
   * run. A link lives all the time.
   */
  #lives() {
    const lives = this.lanes.map(() => []);
    for (const item of this.items) {
      const life = lives[item.lane];
      if (item.kind === "started" && life) life.push([item, null]);
      if (item.kind !== "ended" || !life) continue;
      if (!life.length) life.push([null, null]);
      life.at(-1)[1] = item;
    }
    return lives.map((life) => (life.length ? life : [[null, null]]));
  }

  lanesOf(item) {
    return [item.sender, item.lane, item.to].filter((lane) => lane >= 0);
  }

  /** Whether it passes the filters; a message is where both its lanes are. */
  passes(item) {
    return (item.sliced || !this.sliceOnly) && !this.hiddenKinds.has(item.kind) &&
      !this.lanesOf(item).some((lane) => this.hiddenLanes.has(lane));
  }

  filter() {
    this.rows = this.items.filter((item) => this.passes(item));
    // Lanes in which nothing is to be seen take no room.
    const used = new Set(this.rows.flatMap((item) => this.lanesOf(item)));
    this.columns = this.lanes.map((_, lane) => lane).filter((lane) => used.has(lane));
  }

  /** Changes the filters so that an item is seen. */
  reveal(item) {
    if (!item.sliced) this.sliceOnly = false;
    this.hiddenKinds.delete(item.kind);
    for (const lane of this.lanesOf(item)) this.hiddenLanes.delete(lane);
    this.filter();
  }

  /** The row at which `test` of a row begins to hold, if it holds from some row on. */
  firstRow(test) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (test(this.rows[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The row of an item, or of the next one that is shown. */
  rowOf(item) {
    return this.firstRow((row) => row.index >= item.index);
  }

  /** Where a step is, in rows: below the middle of its last row, or between two rows. */
  place(step) {
    const next = this.firstRow((row) => row.step > step);
    return this.rows[next - 1]?.step === step ? next - 0.25 : next;
  }

  /** What passes the filters, had been sent at an item, and was not received yet; oldest first. */
  waitingAt(item) {
    return this.rows.filter(({ kind, step, sentAt, index }) => (kind === "unreceived"
      ? index <= item.index
      : sentAt && sentAt <= item.step && step > item.step))
      .sort((one, other) => (one.sentAt || one.step) - (other.sentAt || other.step));
  }

  /** What a lane was last seen doing. */
  lastOf(lane) {
    return this.items.findLast((item) => item.lane === lane || item.sender === lane);
  }

  describe(item) {
    const name = (lane) => this.lanes[lane] || "(no name)";
    if (item.kind === "deviation") return ""; // its text tells
    if (item.sender < 0) return item.lane < 0 ? "" : name(item.lane);
    const to = item.kind === "unreceived" ? item.to : item.lane;
    return `${name(item.sender)} → ${to < 0 ? item.channel || "?" : name(to)}`;
  }
}

/** Virtual time as people read it. */
function seconds(value) {
  return `${Number(value.toFixed(3)).toLocaleString("en")} s`;
}

/** Makes an element: `make("p.note", { hidden: true }, "text", child)`. */
function make(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  node.className = classes.join(" ");
  const { data = {}, aria = {}, ...rest } = properties;
  Object.assign(node, rest);
  Object.assign(node.dataset, data);
  for (const [key, value] of Object.entries(aria)) node.setAttribute(`aria-${key}`, value);
  node.append(...children);
  return node;
}
