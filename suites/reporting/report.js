// The page: its state, which is in the address too, its controls, and what is drawn when.

const $ = (id) => document.getElementById(id);
const FAMILIES = [...new Set(METHODS.map((method) => method.family))].sort((a, b) =>
  a.localeCompare(b, "en", { numeric: true }),
);
const COLOURS = 8,
  DASHES = ["", "8 4", "2 3"];

// ---- state ----

const DEFAULTS = {
  view: firstView(),
  stat: "iqm",
  cost: firstCost(),
  log: true,
  bars: true,
  stepslog: false,
  seeds: false,
  hide: [],
  find: "",
  sort: "normalised",
  down: true,
  theme: "",
  method: "",
};
const FREE = { find: true, hide: true, method: true, view: true, cost: true }; // any text
const CHOICES = {
  stat: ["iqm", "mean"],
  theme: ["", "dark", "light"],
  sort: COLUMNS.map((c) => c.key),
};
let state = { ...DEFAULTS };

// As many tasks together as most methods ran on, or else the task that most ran on.
function firstView() {
  const shown = new Map(VIEWS.map((view) => [view, seriesOf(view).length]));
  const joint = VIEWS.filter((view) => view.together && 2 * shown.get(view) > METHODS.length);
  const from = joint.length ? joint : VIEWS.filter((view) => !view.together);
  const order = (a, b) => b.tasks.length - a.tasks.length || shown.get(b) - shown.get(a);
  return from.sort(order)[0].key;
}

function firstCost() {
  return ["cpu_seconds", ...AXES].find((axis) => DATA.groups.costs[axis].some((of) => of !== null));
}

function readState() {
  const said = new URLSearchParams(location.hash.slice(1)),
    made = { ...DEFAULTS };
  for (const [key, text] of said) {
    if (typeof DEFAULTS[key] === "boolean") made[key] = text === "1";
    else if (key === "hide") made.hide = text.split("|").filter((name) => FAMILIES.includes(name));
    else if (FREE[key] || CHOICES[key]?.includes(text)) made[key] = text;
  }
  if (!VIEWS.some((view) => view.key === made.view)) made.view = DEFAULTS.view;
  if (!AXES.includes(made.cost)) made.cost = DEFAULTS.cost;
  if (!METHODS.some((method) => method.name === made.method)) made.method = "";
  return made;
}

function writeState() {
  const said = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    const text = (x) => (Array.isArray(x) ? x.join("|") : typeof x === "boolean" ? Number(x) : x);
    if (String(text(value)) !== String(text(DEFAULTS[key]))) said.set(key, text(value));
  }
  const hash = said.toString();
  if (location.hash.slice(1) !== hash) history.replaceState(null, "", hash ? `#${hash}` : "#");
}

const PARTS = {
  find: ["table"],
  sort: ["table"],
  down: ["table"],
  theme: ["theme"],
  method: ["details"],
  stepslog: ["curves"],
  seeds: ["curves"],
  log: ["frontier"],
  bars: ["frontier"],
  cost: ["frontier"],
};

function set(changes) {
  state = { ...state, ...changes };
  writeState();
  draw(
    new Set(Object.keys(changes).flatMap((key) => PARTS[key] ?? ["legend", "frontier", "curves"])),
  );
}

// ---- drawing ----

let pending = 0;
const later = (work) => {
  const mine = ++pending;
  setTimeout(() => mine === pending && work());
};

function draw(parts) {
  const all = parts.has("all");
  if (all || parts.has("theme")) drawTheme();
  if (all || parts.has("legend")) drawLegend();
  if (all || parts.has("table")) drawMethodTable();
  if (all || parts.has("details")) drawDetails();
  syncControls();
  const plots = ["frontier", "curves"].filter((part) => all || parts.has(part));
  for (const part of plots) stale.add(part);
  if (stale.size) drawStale();
}

// The frontier at once; then, between events, how sure it is, and the curves.
const stale = new Set();
function drawStale() {
  document.body.dataset.drawn = "";
  if (stale.has("frontier")) drawFrontierSection(false);
  drawn("frontier");
  later(() => {
    if (stale.has("frontier")) drawFrontierSection(true);
    stale.delete("frontier");
    later(() => {
      if (stale.has("curves")) drawCurvesSection();
      stale.delete("curves");
      drawn("all");
    });
  });
}

// For whoever waits or measures: what is drawn, and since when.
function drawn(what) {
  document.body.dataset.drawn = what;
  performance.mark(`drawn ${what}`);
}

function drawFrontierSection(surely) {
  const of = view(),
    { cost: axis, stat: name, log } = state;
  const { points, unknown } = frontierPoints(of, axis, name, shown);
  let note = "Filled marks are on the frontier: nothing shown costs less and scores more.";
  if (!points.length) note = "";
  else if (surely) {
    const { count, shares } = membership(points, axis, name);
    points.forEach((point, i) => (point.share = shares[i]));
    note =
      "The line is the frontier of what is shown. The fuller a mark, the surer it is on it: in" +
      ` what share of ${count} resamples of the runs (stratified bootstrap). Dashed marks have` +
      ` fewer than ${ENOUGH} seeds, and are not resampled.`;
    if (state.bars)
      note += ` Bars are ${100 * CONFIDENCE}% intervals (percentiles of ${RESAMPLES} resamples).`;
  }
  if (unknown.length)
    note += ` Not shown, since this cost or the score is unknown: ${unknown.join(", ")}.`;
  const host = $("frontier");
  if (points.length) {
    drawFrontier(host, {
      view: of,
      axis,
      name,
      log,
      bars: state.bars && surely,
      points,
      style,
      open: openMethod,
      onFamily: light,
    });
  } else empty(host, "Nothing to show: no method that is switched on has this cost here.");
  $("frontier-note").textContent = note;
}

function drawCurvesSection() {
  const of = view(),
    trained = seriesOf(of).filter((series) => series.trains && shown(series.method));
  const host = $("curves");
  if (!trained.length) empty(host, "No method that is switched on trains here.");
  else {
    drawCurves(host, {
      view: of,
      name: state.stat,
      log: state.stepslog,
      seeds: state.seeds,
      shown,
      style,
      open: openMethod,
      onFamily: light,
    });
  }
  const few = trained
    .filter((series) => series.at[0].least < ENOUGH)
    .map((series) => series.method.name);
  let note =
    `Bands are ${100 * CONFIDENCE}% intervals at each step (stratified bootstrap, percentiles of` +
    ` ${RESAMPLES} resamples).`;
  if (few.length) note += ` Fewer than ${ENOUGH} seeds, and so no band: ${few.join(", ")}.`;
  if (state.seeds && of.together) note += " Seeds have lines of their own on single tasks only.";
  $("curves-note").textContent = trained.length ? note : "";
}

const empty = (host, text) => put(host, el("p", { class: "empty" }, text));

let rows = null;
function drawMethodTable() {
  rows ??= tableRows();
  const count = drawTable(
    $("table"),
    rows,
    { sort: state.sort, down: state.down, filter: state.find },
    {
      onSort: (key) => {
        const text = typeof COLUMNS.find((c) => c.key === key).of(rows[0]) === "string";
        set({ sort: key, down: state.sort === key ? !state.down : !text });
        $("table").querySelector(`[data-key="${key}"]`).focus();
      },
      open: openMethod,
    },
  );
  $("table-count").textContent = `${count} of ${rows.length} rows`;
}

// ---- controls ----

function drawTheme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
  const dark = state.theme
    ? state.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  $("theme").textContent = dark ? "Light" : "Dark";
  $("theme").onclick = () => set({ theme: dark ? "light" : "dark" });
}

function syncControls() {
  for (const control of document.querySelectorAll("[data-state]")) {
    const value = state[control.dataset.state];
    if (control.type === "checkbox") control.checked = value;
    else if (control.value !== value) control.value = value;
  }
  const of = view(),
    names = of.tasks.map((task) => DATA.tasks[task]).join(", ");
  $("view-note").textContent = of.together
    ? `Normalised scores of methods that ran on all of ${names}; costs are means over tasks.`
    : "";
}

function listen() {
  for (const control of document.querySelectorAll("[data-state]")) {
    const key = control.dataset.state,
      event = control.type === "search" ? "input" : "change";
    control.addEventListener(event, () =>
      set({ [key]: control.type === "checkbox" ? control.checked : control.value }),
    );
  }
  $("all").onclick = () => set({ hide: [] });
  $("none").onclick = () => set({ hide: FAMILIES });
  $("unprivileged").onclick = () => {
    const knowing = seriesOf(view()).filter((series) => series.knows);
    set({ hide: [...new Set(knowing.map((series) => series.method.family))] });
  };
  $("only").oninput = () => {
    const words = $("only").value.toLowerCase();
    set({ hide: FAMILIES.filter((family) => !family.toLowerCase().includes(words)) });
  };
  $("details").addEventListener("close", () => state.method && set({ method: "" }));
  addEventListener("hashchange", () => {
    state = readState();
    draw(new Set(["all"]));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
  let width = $("frontier").clientWidth;
  new ResizeObserver(() => {
    if ($("frontier").clientWidth === width) return;
    width = $("frontier").clientWidth;
    draw(new Set(["frontier", "curves"]));
  }).observe($("frontier"));
}

// ---- what does not change ----

const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function drawHead() {
  const away = DATA.left_out.task.length;
  const counts = [
    `${plural(DATA.runs.group.length, "run")} of ${DATA.paths.join(" and ")}`,
    plural(FAMILIES.length, "method"),
    plural(DATA.tasks.length, "task"),
  ];
  $("title").textContent = DATA.title ?? "Plan or Learn";
  document.title = `${$("title").textContent}: report`;
  $("suite").hidden = !DATA.title;
  $("summary").textContent = counts.join(", ") + (away ? `; ${plural(away, "run")} left out` : "");
  for (const section of document.querySelectorAll("section[data-name]:not([hidden])")) {
    const go = { type: "button", class: "link", onclick: () => section.scrollIntoView() };
    $("nav").append(el("button", go, section.dataset.name));
  }
}

function fillChoices() {
  const option = (of) => {
    const few = of.tasks.length < 4 ? `${of.tasks.map((t) => DATA.tasks[t]).join(", ")}; ` : "";
    const methods = DATA.together.set.filter((set) => set === of.set).length;
    const text = of.together ? `${of.name} (${few}${plural(methods, "method")})` : of.name;
    return el("option", { value: of.key }, text);
  };
  for (const together of [false, true]) {
    const of = VIEWS.filter((each) => each.together === together);
    const label = together ? "Tasks together" : "Tasks";
    if (of.length) $("view").append(el("optgroup", { label }, ...of.map(option)));
  }
  $("cost").append(...AXES.map((axis) => el("option", { value: axis }, DATA.axes[axis])));
}

function drawFixed() {
  const { task, lines } = DATA.left_out;
  const fill = (id, there, make) => {
    $(`${id}-section`).hidden = !there;
    if (there) $(id).append(make());
  };
  fill(
    "videos",
    DATA.runs.videos.some((of) => of.length),
    videosTable,
  );
  fill("left-out", task.length || lines.length, leftOutTable);
  fill("protocol", true, protocolTable);
  $("versions").append(versionsTable());
  $("left-out-note").textContent =
    `${plural(task.length, "run")} left out` +
    (lines.length ? "; below, what was said while reading." : ".");
  $("left-out-lines").append(...lines.map((line) => el("li", {}, line)));
  const told = [...GROUPS.map((g) => g.iqm), ...GROUPS.map((g) => g.iqmNormalised)];
  const how = [...new Set(told.map((of) => of.method))].join("; ");
  $("table-note").textContent =
    `IQM: interquartile mean of the last evaluation over seeds. Intervals: ${how}. Costs: means` +
    " over seeds of all training and of acting for one episode, compilation apart. Failed: runs" +
    " that ended with an error.";
}

drawFixed();
drawHead();
fillChoices();
listen();
state = readState();
draw(new Set(["all"]));
