// The drawing: lanes are columns, items are rows.
//
// It is a fixed number of paths, which are written anew for what is in sight; so it is as quick with
// many thousand events. A message goes from its sender's lane at the step of sending to the mailbox
// beside its receiver's lane, waits there, and goes in at the step of delivery. One that was never
// received waits to the end.

const ROW = 32; // px, as the style sheet has it
const TAIL = 44; // px below the last row
const FOOT = 14; // px of it below the lanes' ends
const BUCKET = 64; // rows; see #crossing
const MOST_TRACKS = 5; // messages that are seen waiting side by side

// From back to front.
const PATHS = ["deviation", "life", "stuck", "wait", "arrow", "bytes", "lost", "dot", "head",
  "lost-end", "started", "ended", "note", "net", "timer", "choice", "fork", "failure",
  "failure-sign", "hot", "hot-head"];

const circle = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
const cross = (x, y, r) => `M${x - r} ${y - r}l${2 * r} ${2 * r}m0-${2 * r}l-${2 * r} ${2 * r}`;
const stuck = (x, y) => `${circle(x, y, 7)}M${x - 2} ${y - 3}v6M${x + 2} ${y - 3}v6`;
const choice = (x, y) => `M${x} ${y - 7}l7 7l-7 7l-7-7z`;
const fork = (x, y) => `M${x - 8} ${y - 5}h3l4 5h5M${x - 8} ${y + 5}h3l4-5`;
const GLYPHS = {
  started: (x, y) => circle(x, y, 4),
  ended: (x, y) => `M${x - 8} ${y}h16`,
  note: (x, y) => `M${x - 6} ${y - 7}h8l4 4v10h-12zM${x - 3} ${y}h6M${x - 3} ${y + 3.5}h4`,
  net: (x, y) => `M${x + 2} ${y - 9}l-8 10.5h5l-2 7.5l8-10.5h-5z`,
  timer: (x, y) => `${circle(x, y, 7)}M${x} ${y - 4}v4l3 2`,
  failure: (x, y) => circle(x, y, 9),
};

function svgPath(name, d = "") {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", name);
  path.setAttribute("d", d);
  return path;
}

class Drawing {
  #run;
  #svg;
  #paths;
  #left; // px up to the first lane
  #spacing; // px between lanes
  #columnOf; // the column of each lane that is shown
  #tracks; // how many there are on a side of a lane
  #places; // of each message: where it is sent (in rows), its row, side and track
  #open; // for each bucket the messages that wait across its beginning
  #lost; // the messages that wait to the end

  constructor(run, svg) {
    this.#run = run;
    this.#svg = svg;
    this.#paths = PATHS.map((name) => svgPath(name));
    svg.append(...this.#paths);
  }

  /** The height of all rows. */
  get height() {
    return this.#run.rows.length * ROW + TAIL;
  }

  /** The middle of a lane; NaN if it is not shown. */
  x(lane) {
    return Math.round(this.#left + (this.#columnOf.get(lane) + 0.5) * this.#spacing) + 0.5;
  }

  /** Works out the places of the messages. */
  layout(left, spacing) {
    const { rows, columns } = this.#run;
    this.#left = left;
    this.#spacing = spacing;
    this.#columnOf = new Map(columns.map((lane, column) => [lane, column]));
    this.#tracks = Math.max(1, Math.min(MOST_TRACKS, Math.floor((spacing / 2 - 8) / 5)));
    this.#places = new Map();
    rows.forEach((item, row) => {
      if (item.sender < 0) return;
      const to = item.kind === "unreceived" ? item.to : item.lane;
      const sent = item.waited ? Math.min(this.#run.place(item.sentAt), row + 0.1) : row + 0.5;
      // It waits on the side of its sender.
      const side = this.#columnOf.get(item.sender) < this.#columnOf.get(to) ? -1 : 1;
      this.#places.set(item, { row, sent, to, side, track: 0 });
    });
    this.#layTracks();
    this.#open = Array.from({ length: Math.ceil(rows.length / BUCKET) + 1 }, () => []);
    this.#lost = rows.filter(({ kind }) => kind === "unreceived");
    for (const [item, { row, sent }] of this.#places) {
      for (let bucket = Math.floor(sent / BUCKET) + 1; bucket * BUCKET <= row; bucket++) {
        this.#open[bucket].push(item);
      }
    }
  }

  /** Gives messages that wait at the same time beside the same lane tracks of their own. */
  #layTracks() {
    const waiting = [...this.#places].filter(([{ waited }]) => waited).map(([, place]) => place);
    waiting.sort((one, other) => one.sent - other.sent);
    const ends = new Map(); // of each side of each lane: until when its tracks are taken
    for (const place of waiting) {
      const key = `${place.to} ${place.side}`;
      if (!ends.has(key)) ends.set(key, Array(this.#tracks).fill(-1));
      const taken = ends.get(key);
      const free = taken.findIndex((end) => end <= place.sent);
      place.track = free < 0 ? this.#tracks - 1 : free;
      taken[place.track] = Math.max(taken[place.track], place.row + 0.5);
    }
  }

  /** The messages of which something is between two rows. */
  #crossing(first, last) {
    const { rows } = this.#run;
    const bucket = Math.floor(last / BUCKET) + 1;
    const above = new Map(); // one for each line that comes down from there
    for (const item of this.#lost) {
      const { row, to, side } = this.#places.get(item);
      if (row < first && !item.waiting) above.set(`${to} ${side}`, item);
    }
    return new Set([
      ...above.values(),
      ...rows.slice(first, bucket * BUCKET).filter((item) => this.#places.has(item)),
      ...(this.#open[bucket] ?? []),
    ]);
  }

  /** Draws the rows from `first` up to `last`. */
  draw(first, last, current) {
    const d = Object.fromEntries(PATHS.map((name) => [name, ""]));
    const { rows, columns } = this.#run;
    const from = first * ROW;
    const until = last === rows.length ? this.height : last * ROW;
    for (const lane of columns) this.#drawLife(d, lane, from, until);
    for (const item of this.#crossing(first, last)) {
      this.#drawMessage(d, item, from, until, item === current);
    }
    for (let row = first; row < last; row++) this.#drawGlyph(d, rows[row], (row + 0.5) * ROW);
    const [width, height] = [this.#left + columns.length * this.#spacing, until - from];
    this.#svg.style.top = `calc(var(--heads) + ${from}px)`;
    this.#svg.setAttribute("width", width);
    this.#svg.setAttribute("height", height);
    this.#svg.setAttribute("viewBox", `0 ${from} ${width} ${height}`);
    PATHS.forEach((name, index) => this.#paths[index].setAttribute("d", d[name]));
  }

  #drawLife(d, lane, from, until) {
    const { lives, rows, story } = this.#run;
    const x = this.x(lane);
    const foot = this.height - FOOT;
    const y = (item) => {
      const row = this.#run.rowOf(item);
      return (rows[row] === item ? row + 0.5 : row) * ROW;
    };
    for (const [started, ended] of lives[lane]) {
      const top = Math.max(from, started ? y(started) : 0);
      const bottom = Math.min(until, ended ? y(ended) : foot);
      if (top < bottom) d.life += `M${x} ${top}V${bottom}`;
    }
    const blocked = story.blocked.some((one) => this.#run.laneOf(one.lane) === lane);
    if (blocked && foot <= until) d.stuck += stuck(x, foot);
  }

  #drawMessage(d, item, from, until, hot) {
    const { row, sent, to, side, track } = this.#places.get(item);
    const x = this.x(item.sender);
    const target = this.x(to); // NaN when nobody knows where it went
    const [y, middle] = [sent * ROW, (row + 0.5) * ROW];
    if (item.kind === "unreceived") return this.#drawLost(d, item, { x, y, target, side, from, until, hot });
    const line = hot ? "hot" : item.kind === "bytes" ? "bytes" : "arrow";
    const straight = y === middle && to !== item.sender;
    const start = y === middle && !straight ? middle - 8 : y; // to oneself, it goes out and comes back
    const way = straight ? Math.sign(x - target) : side; // from the lane to where it comes from
    d[hot ? "hot-head" : "dot"] += circle(x, start, hot ? 4 : 2.5);
    if (straight) {
      d[line] += `M${x} ${y}H${target + way * 6}`;
    } else {
      const beside = target + side * (11 + 5 * track);
      d[line] += `M${x} ${start}H${beside}M${beside} ${middle}H${target + side * 6}`;
      d[hot ? "hot" : "wait"] += `M${beside} ${Math.max(start, from)}V${Math.min(middle, until)}`;
    }
    const [long, wide] = hot ? [10, 5.5] : [8, 4];
    d[hot ? "hot-head" : "head"] += `M${target + way} ${middle}l${way * long}-${wide}v${2 * wide}z`;
  }

  #drawLost(d, item, { x, y, target, side, from, until, hot }) {
    d[hot ? "hot-head" : "dot"] += circle(x, y, hot ? 4 : 2.5);
    if (Number.isNaN(target) || item.waiting) { // it did not even get into a mailbox
      const end = x + Math.min(40, this.#spacing * 0.6) * (target < x ? -1 : 1);
      d.lost += `M${x} ${y}H${end}`;
      d["lost-end"] += item.waiting ? `M${end} ${y - 7}v14` : cross(end, y, 4);
      return;
    }
    const beside = target + side * (11 + 5 * (this.#tracks - 1));
    const foot = this.height - FOOT;
    d.lost += `M${x} ${y}H${beside}M${beside} ${Math.max(y, from)}V${Math.min(foot, until)}`;
    if (foot <= until) d["lost-end"] += cross(beside, foot, 4);
  }

  #drawGlyph(d, item, y) {
    const left = this.#left + 12.5;
    const x = item.lane < 0 ? left : this.x(item.lane);
    if (SCHEDULE.has(item.kind)) { // it is about them all
      d.deviation += `M${left} ${y}H${this.#left + this.#columnOf.size * this.#spacing}`;
    }
    if (item.kind === "deviation") { // and about one before the others
      d.fork += fork(left, y);
      d.choice += choice(x, y);
    }
    if (GLYPHS[item.kind]) d[item.kind] += GLYPHS[item.kind](x, y);
    if (item.kind === "failure") d["failure-sign"] += cross(x, y, 3.5);
  }
}
