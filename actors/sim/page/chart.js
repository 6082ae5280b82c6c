// The chart: the rows with their texts beside the drawing, in a frame that scrolls.
//
// Only the rows in sight exist in the document.

const SPARE = 4; // rows drawn beyond those in sight
const NAMES_LIE = 96; // px between lanes, from which on their names lie however long they are
const TALLEST_NAMES = 112; // px

class Chart {
  #run;
  #chart = document.getElementById("chart");
  #heads = document.getElementById("heads");
  #rows = document.getElementById("rows");
  #ruler = document.getElementById("ruler");
  #drawing;
  #shown = new Map(); // the rows in the document, by item
  #gutter = 0; // px of the steps' column
  #spacing = 0; // px between lanes
  #narrow = false;
  #due = 0;
  #highlight = null;

  current = null; // an item

  constructor(run, { onPick, onHide }) {
    this.#run = run;
    this.#drawing = new Drawing(run, document.getElementById("drawing"));
    this.#chart.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(this.#chart);
    this.#chart.addEventListener("click", ({ target }) => {
      const head = target.closest(".lane-name");
      if (head) return onHide(Number(head.dataset.lane));
      const row = target.closest(".row");
      if (row) onPick(this.#run.items[Number(row.dataset.item)]);
    });
    // The rows have the focus, and the frame shows it: they are as long as the run.
    for (const kind of ["focus", "blur"]) {
      this.#rows.addEventListener(kind, () =>
        this.#chart.classList.toggle("focused", this.#rows.matches(":focus-visible")));
    }
    this.#ruler.addEventListener("click", ({ clientY }) => {
      const { top, height } = this.#ruler.getBoundingClientRect();
      const { rows } = this.#run;
      const row = rows[Math.min(rows.length - 1, Math.floor((clientY - top) / height * rows.length))];
      if (row) onPick(row);
    });
  }

  get rowsInSight() {
    return Math.max(1, Math.floor((this.#chart.clientHeight - this.#heads.offsetHeight) / ROW) - 1);
  }

  /** What to highlight in the texts: a global regular expression, or null. */
  set highlight(pattern) {
    this.#highlight = pattern;
    this.#forget();
    this.#drawRuler();
    this.draw();
  }

  /** Works out the places of everything: after the filters or the size changed. */
  layout() {
    const { columns } = this.#run;
    const width = this.#chart.clientWidth;
    this.#narrow = width < 560;
    this.#gutter = this.#narrow ? 46 : 64;
    const room = width - this.#gutter;
    const wanted = Math.min(this.#narrow ? 168 : 440, room * 0.56); // by the texts
    const least = this.#narrow ? 24 : 28;
    this.#spacing = Math.max(least, Math.min(132, (room - wanted) / Math.max(1, columns.length)));
    this.#drawing.layout(this.#gutter, this.#spacing);
    const lanes = Math.round(columns.length * this.#spacing);
    const text = Math.floor(Math.max(wanted, room - lanes));
    const px = { gutter: this.#gutter, lanes, text, total: this.#drawing.height };
    for (const [name, value] of Object.entries(px)) {
      this.#chart.style.setProperty(`--${name}`, `${value}px`);
    }
    this.#chart.classList.toggle("wide", this.#gutter + lanes + text > width);
    this.#layHeads();
    this.#forget();
    this.#drawRuler();
    this.draw();
  }

  #layHeads() {
    const { lanes, columns } = this.#run;
    const context = document.createElement("canvas").getContext("2d");
    context.font = `600 13px ${getComputedStyle(this.#chart).fontFamily}`;
    const longest = Math.max(0, ...columns.map((lane) => context.measureText(lanes[lane]).width));
    const upright = this.#spacing < Math.min(NAMES_LIE, longest + 12);
    this.#chart.classList.toggle("upright", upright);
    const tall = upright ? Math.max(40, Math.min(TALLEST_NAMES, Math.ceil(longest) + 20)) : 40;
    this.#chart.style.setProperty("--heads", `${tall}px`);
    this.#heads.replaceChildren(
      make("span.corner"),
      ...columns.map((lane, column) => {
        const name = lanes[lane] || "(no name)";
        const head = make("button.lane-name", {
          type: "button", tabIndex: -1, title: `${name} (click to hide)`, data: { lane },
        }, make("span", { dir: "auto" }, name));
        head.style.left = `${this.#gutter + column * this.#spacing}px`;
        head.style.width = `${this.#spacing}px`;
        return head;
      }),
      make("span.corner.end"),
    );
  }

  /** Forgets the rows that are in the document: they are not as they should be. */
  #forget() {
    for (const node of this.#shown.values()) node.remove();
    this.#shown.clear();
  }

  /** Draws what is in sight, once for however many reasons there are. */
  draw() {
    this.#due ||= requestAnimationFrame(() => {
      this.#due = 0;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { rows } = this.#run;
    const top = this.#chart.scrollTop;
    const first = Math.max(0, Math.floor(top / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((top + this.#chart.clientHeight) / ROW) + SPARE);
    this.#drawRows(first, last);
    this.#drawing.draw(first, last, this.current);
    const current = this.current && this.#shown.get(this.current);
    if (current) this.#rows.setAttribute("aria-activedescendant", current.id);
    else this.#rows.removeAttribute("aria-activedescendant");
  }

  #drawRows(first, last) {
    const { rows } = this.#run;
    const wanted = new Set(rows.slice(first, last));
    for (const [item, node] of this.#shown) {
      if (wanted.has(item)) continue;
      node.remove();
      this.#shown.delete(item);
    }
    let before = null; // they stand in the document in the order in which they are seen
    for (let row = first; row < last; row++) {
      const item = rows[row];
      if (!this.#shown.has(item)) this.#shown.set(item, this.#row(item, row));
      const node = this.#shown.get(item);
      node.setAttribute("aria-selected", item === this.current);
      const place = before ? before.nextElementSibling : this.#rows.firstElementChild;
      if (place !== node) this.#rows.insertBefore(node, place);
      before = node;
    }
  }

  #row(item, row) {
    const { rows } = this.#run;
    const before = rows[row - 1];
    const route = this.#run.describe(item);
    const step = make("span.step", {}, make("b", {}, item.step === before?.step ? "" : String(item.step)));
    if (!before ? item.time > 0 : item.time > before.time) step.append(make("i", {}, seconds(item.time)));
    const line = make("span.line");
    const tag = (this.#narrow && SHORT_TAGS[item.kind]) || TAGS[item.kind];
    if (tag) line.append(make("span.tag", {}, tag), " ");
    // In a narrow window the drawing alone says between whom.
    if (route && !this.#narrow) line.append(make("bdi.who", {}, ...this.#marked(route)), " ");
    line.append(make("bdi.text", {}, ...this.#marked(item.text)));
    if (item.waited && !this.#narrow) {
      line.append(" ", make("span.waited", {}, `sent at ${item.sentAt}`));
    }
    const node = make("div.row", {
      id: `item-${item.index}`, role: "option", data: { item: item.index, kind: item.kind },
      aria: { setsize: rows.length, posinset: row + 1 },
    }, step, line);
    node.style.top = `${row * ROW}px`;
    return node;
  }

  #marked(text) {
    if (!this.#highlight) return [text];
    const parts = [];
    let from = 0;
    for (const { 0: found, index } of text.matchAll(this.#highlight)) {
      parts.push(text.slice(from, index), make("mark", {}, found));
      from = index + found.length;
    }
    return [...parts, text.slice(from)];
  }

  /** What stands out in the whole run, beside the scroll bar, when not all of it is in sight. */
  #drawRuler() {
    const { rows } = this.#run;
    this.#ruler.replaceChildren();
    this.#ruler.classList.toggle("empty", this.#drawing.height <= this.#chart.clientHeight);
    this.#ruler.setAttribute("viewBox", `0 0 1 ${Math.max(1, rows.length)}`);
    const marks = { hit: "", net: "", timer: "", deviation: "", lost: "", failure: "" };
    rows.forEach((item, row) => {
      const name = item.kind === "unreceived" ? "lost" : item.kind;
      if (marks[name] !== undefined) marks[name] += `M0 ${row + 0.5}h1`;
      if (this.#highlight && item.hay.search(this.#highlight) >= 0) marks.hit += `M0 ${row + 0.5}h1`;
    });
    this.#ruler.append(...Object.entries(marks).map(([name, d]) => svgPath(name, d)));
  }

  /** Makes an item the current one and brings it into sight, with its lanes. */
  show(item) {
    this.current = item;
    if (item) {
      const row = this.#run.rowOf(item);
      const space = this.#chart.clientHeight - this.#heads.offsetHeight;
      const isLast = row === this.#run.rows.length - 1;
      const [top, bottom] = [(row - 1) * ROW, isLast ? this.#drawing.height : (row + 2) * ROW];
      if (top < this.#chart.scrollTop) this.#chart.scrollTop = top;
      else if (bottom > this.#chart.scrollTop + space) this.#chart.scrollTop = bottom - space;
      this.#showLanes(this.#run.lanesOf(item).map((lane) => this.#drawing.x(lane)));
    }
    this.draw();
  }

  #showLanes(places) {
    if (!places.length) return;
    const text = this.#chart.clientWidth - Number.parseFloat(this.#chart.style.getPropertyValue("--text"));
    const [left, right] = [Math.min(...places) - this.#spacing, Math.max(...places) + this.#spacing];
    if (right > this.#chart.scrollLeft + text) this.#chart.scrollLeft = right - text;
    if (left < this.#chart.scrollLeft + this.#gutter) this.#chart.scrollLeft = left - this.#gutter;
  }
}
