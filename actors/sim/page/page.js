// What is around the chart: the head, stepping, the filters, the search, and the keys.

const TICK = 700; // ms for each step while it plays

const $ = (id) => document.getElementById(id);

const run = new Run(JSON.parse($("story").textContent));
const chart = new Chart(run, { onPick: (item) => go(item), onHide: (lane) => hideLane(lane) });
const details = new Details(run, { onPick: (item) => go(item) });
const { story } = run;

// Head --------------------------------------------------------------------------

function fill(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

function layHead() {
  document.body.dataset.outcome = run.failed ? "failed" : PASSED;
  $("verdict-sign").setAttribute("d", run.failed ? "M8 8l8 8m0-8-8 8" : "m7 12.5 3.5 3.5 7-7.5");
  fill("title", story.title);
  layOutcome();
  fill("where", story.where);
  fill("found", story.found);
  $("facts").textContent = [
    count(story.steps, "step"), `${seconds(story.seconds)} of virtual time`,
    count(run.lanes.length, "lane"), count(story.events.length, "event"),
  ].join(" · ");
  $("replay-box").hidden = !story.replay;
  // It breaks between words only, so that none of it looks like two.
  $("replay").replaceChildren(...story.replay.split(/(?<= )/).map((word) => make("span", {}, word)));
  $("copy").addEventListener("click", copy);
}

function layOutcome() {
  // The name of an error stands out from what it says, and that from its details, line by line.
  const outcome = run.failed ? story.outcome : "Passed";
  const [, name, said, details] = /^(?:([\w.]+): )?(.*)\n?([^]*)$/.exec(outcome);
  $("outcome").replaceChildren(...(name ? [make("b", {}, name), " "] : []), said,
    make("span.more", {}, details));
  new ResizeObserver(([{ target }]) => {
    const whole = target.classList.contains("whole");
    $("unfold").hidden = !whole && target.scrollHeight <= target.clientHeight + 1;
  }).observe($("outcome"));
  $("unfold").addEventListener("click", () => {
    $("unfold").ariaExpanded = $("outcome").classList.toggle("whole");
  });
}

async function copy() {
  let copied = true;
  try {
    await navigator.clipboard.writeText(story.replay);
  } catch { // not allowed here; the old way may be
    getSelection().selectAllChildren($("replay"));
    copied = document.execCommand("copy");
  }
  $("copy").textContent = copied ? "Copied" : "Press Ctrl + C";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 2_000);
}

// Stepping ----------------------------------------------------------------------

let playing = 0;

function row() {
  return chart.current ? run.rowOf(chart.current) : 0;
}

/** Makes an item the current one, whoever asks. */
function go(item, { byPlay = false } = {}) {
  if (!byPlay) pause();
  if (item && !run.passes(item)) {
    run.reveal(item);
    layFilters();
    search();
    chart.layout();
  }
  chart.show(item ?? null);
  layPosition();
  layHits();
  details.show(chart.current, { aloud: !byPlay });
}

function goTo(number, options) {
  go(run.rows[Math.max(0, Math.min(run.rows.length - 1, number))], options);
}

/** Goes to the next item, or the one before, in one of the current one's lanes, if it has any. */
function goAlong(way) {
  const lanes = chart.current ? run.lanesOf(chart.current) : [];
  for (let at = row() + way; run.rows[at]; at += way) {
    const others = run.lanesOf(run.rows[at]);
    if (!lanes.length || lanes.some((lane) => others.includes(lane))) return goTo(at);
  }
}

function layPosition() {
  const many = run.rows.length;
  const at = many ? row() : -1;
  $("position").textContent = `${(at + 1).toLocaleString("en")} of ${many.toLocaleString("en")}`;
  $("scrubber").max = Math.max(0, many - 1);
  $("scrubber").value = Math.max(0, at);
  $("scrubber").disabled = many < 2;
  $("scrubber").setAttribute("aria-valuetext", many ? `${at + 1} of ${many}` : "no events");
  for (const id of ["first", "back"]) $(id).disabled = at <= 0;
  for (const id of ["last", "forward"]) $(id).disabled = at >= many - 1;
  $("play").disabled = many < 2;
}

function play() {
  if (row() >= run.rows.length - 1) goTo(0);
  playing = setInterval(() => {
    goTo(row() + 1, { byPlay: true });
    if (row() >= run.rows.length - 1) pause();
  }, TICK);
  layPlay();
}

function pause() {
  clearInterval(playing);
  playing = 0;
  layPlay();
}

function layPlay() {
  $("play").classList.toggle("playing", playing > 0);
  $("play").ariaLabel = playing ? "Pause" : "Play";
  $("play").title = `${playing ? "Pause" : "Play"} (space)`;
}

function toggle() {
  if (playing) pause();
  else if (run.rows.length > 1) play();
}

// Filters -----------------------------------------------------------------------

/** Shows what passes the filters, and stays as near as it can to where one was. */
function refilter() {
  pause();
  run.filter();
  layFilters();
  search();
  chart.layout();
  const stay = chart.current;
  go(stay && (run.rows[run.rowOf(stay)] ?? run.rows.at(-1)) || run.rows.at(-1));
}

function hideLane(lane) {
  run.hiddenLanes.add(lane);
  refilter();
}

function layFilters() {
  const { rows, items, lanes } = run;
  $("slice").checked = run.sliceOnly;
  const kinds = new Set(items.map(({ kind }) => kind));
  $("slice-count").textContent = run.sliceOnly ? `${run.unsliced.toLocaleString("en")} others hidden` : "";
  const note = (hidden, all) => (hidden ? `${all - hidden} of ${all}` : "");
  $("lanes-count").textContent = note(run.hiddenLanes.size, lanes.length);
  $("kinds-count").textContent = note(run.hiddenKinds.size, kinds.size);
  for (const box of $("lanes").querySelectorAll("input")) box.checked = !run.hiddenLanes.has(Number(box.value));
  for (const box of $("kinds").querySelectorAll("input")) box.checked = !run.hiddenKinds.has(box.value);
  $("nothing").hidden = rows.length > 0;
  $("nothing").textContent = items.length ? "The filters leave nothing to show." : "Nothing happened in this run.";
}

function layMenus() {
  $("filters").hidden = !run.items.length;
  $("slice-box").hidden = !(run.failed && run.unsliced);
  $("slice").addEventListener("change", ({ target }) => {
    run.sliceOnly = target.checked;
    refilter();
  });
  const entry = (value, label, number, hidden) => {
    const box = make("input", { type: "checkbox", value, checked: true });
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(value);
      else hidden.add(value);
      refilter();
    });
    return make("li", {}, make("label", {}, box, make("bdi", {}, label),
      make("span.count", {}, number.toLocaleString("en"))));
  };
  const ofLane = run.lanes.map(() => 0);
  const ofKind = {};
  for (const item of run.items) {
    ofKind[item.kind] = (ofKind[item.kind] ?? 0) + 1;
    for (const lane of new Set(run.lanesOf(item))) ofLane[lane]++;
  }
  $("lanes").replaceChildren(...run.lanes.map((name, lane) =>
    entry(lane, name || "(no name)", ofLane[lane], run.hiddenLanes)));
  $("kinds").replaceChildren(...Object.keys(KINDS).filter((kind) => ofKind[kind]).map((kind) =>
    entry(kind, KINDS[kind], ofKind[kind], run.hiddenKinds)));
  $("lanes-all").addEventListener("click", () => { run.hiddenLanes.clear(); refilter(); });
  $("lanes-none").addEventListener("click", () => {
    run.lanes.forEach((_, lane) => run.hiddenLanes.add(lane));
    refilter();
  });
  const menus = [...document.querySelectorAll(".menu")];
  document.addEventListener("pointerdown", ({ target }) => {
    for (const menu of menus) if (!menu.contains(target)) menu.open = false;
  });
  for (const menu of menus) {
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    menu.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !menu.contains(relatedTarget)) menu.open = false;
    });
  }
}

// Search ------------------------------------------------------------------------

let pattern = null;
let hits = [];

function search() {
  const wanted = $("search").value;
  pattern = wanted ? new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : null;
  hits = pattern ? run.rows.filter(({ hay }) => hay.search(pattern) >= 0) : [];
  chart.highlight = pattern;
  layHits();
}

function layHits() {
  const at = hits.indexOf(chart.current);
  $("hits").textContent = !pattern ? "" : !hits.length ? "none"
    : `${at < 0 ? "-" : (at + 1).toLocaleString("en")} of ${hits.length.toLocaleString("en")}`;
  for (const id of ["hit-back", "hit-on"]) $(id).disabled = !hits.length;
}

function goToHit(way) {
  if (!hits.length) return;
  const { index } = chart.current;
  const next = way > 0 ? hits.find((hit) => hit.index > index) ?? hits[0]
    : hits.findLast((hit) => hit.index < index) ?? hits.at(-1);
  go(next);
}

// Keys --------------------------------------------------------------------------------

const KEYS = {
  ArrowDown: () => goTo(row() + 1), ArrowRight: () => goTo(row() + 1),
  ArrowUp: () => goTo(row() - 1), ArrowLeft: () => goTo(row() - 1),
  PageDown: () => goTo(row() + chart.rowsInSight), PageUp: () => goTo(row() - chart.rowsInSight),
  Home: () => goTo(0), End: () => goTo(run.rows.length - 1),
  " ": toggle,
  "/": () => $("search").focus(),
  n: () => goToHit(1), N: () => goToHit(-1),
};

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  // Who types, or is at something that has these keys for itself, keeps them.
  if (target.closest("input, .menu") || (key === " " && target.closest("button, summary"))) return;
  if (target.closest("pre, code") && key !== "/") return;
  const act = event.shiftKey && key === "ArrowDown" ? () => goAlong(1)
    : event.shiftKey && key === "ArrowUp" ? () => goAlong(-1) : KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
}

layHead();
layMenus();
layFilters();
chart.layout();
$("first").addEventListener("click", () => goTo(0));
$("back").addEventListener("click", () => goTo(row() - 1));
$("play").addEventListener("click", toggle);
$("forward").addEventListener("click", () => goTo(row() + 1));
$("last").addEventListener("click", () => goTo(run.rows.length - 1));
$("scrubber").addEventListener("input", ({ target }) => goTo(Number(target.value)));
$("search").addEventListener("input", search);
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") goToHit(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") {
    $("search").value = "";
    search();
    $("rows").focus({ preventScroll: true });
  }
});
$("hit-back").addEventListener("click", () => goToHit(-1));
$("hit-on").addEventListener("click", () => goToHit(1));
document.addEventListener("keydown", onKey);
goTo(run.failed ? run.rows.length - 1 : 0); // a failure is what one looks for; the way there comes after
