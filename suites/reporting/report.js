// The page: its state, which is in the address too, its controls, and what is drawn when.

const $ = (id) => document.getElementById(id);
const FAMILIES = [...new Set(METHODS.map((method) => method.family))]
  .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
const COLOURS = 8, DASHES = ["", "8 4", "2 3"];

// ---- state ----

const DEFAULTS = {
  view: firstView(), stat: "iqm", cost: firstCost(), log: true, bars: true, stepslog: false,
  seeds: false, hide: [], find: "", sort: "normalised", down: true, theme: "", method: "",
};
const FREE = { find: true, hide: true, method: true, view: true, cost: true }; // any text
const CHOICES = { stat: ["iqm", "mean"], theme: ["", "dark", "light"], sort: COLUMNS.map((c) => c.key) };
let state = { ...DEFAULTS };

function firstView() {
  const [all] = VIEWS.filter((view) => view.together && view.tasks.length === DATA.tasks.length);
  if (all) return all.key;
  const most = VIEWS.filter((view) => !view.together);
  return most.sort((a, b) => seriesOf(b).length - seriesOf(a).length)[0].key;
}

function firstCost() {
  return ["cpu_seconds", ...AXES].find((axis) => DATA.groups.costs[axis].some((of) => of !== null));
}

function readState() {
  const said = new URLSearchParams(location.hash.slice(1)), made = { ...DEFAULTS };
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

const PARTS = { find: ["table"], sort: ["table"], down: ["table"], theme: ["theme"], method: ["details"],
  stepslog: ["curves"], seeds: ["curves"], log: ["frontier"], bars: ["frontier"], cost: ["frontier"] };

function set(changes) {
  state = { ...state, ...changes };
  writeState();
  draw(new Set(Object.keys(changes).flatMap((key) => PARTS[key] ?? ["legend", "frontier", "curves"])));
}

// ---- looks ----

function style(method) {
  const index = FAMILIES.indexOf(method.family), colour = `var(--c${index % COLOURS})`;
  const dash = DASHES[Math.floor(index / COLOURS) % DASHES.length];
  return {
    index,
    line: `stroke:${colour}${dash && `;stroke-dasharray:${dash}`}`,
    mark: `stroke:${colour};fill:${colour}`,
    band: `fill:${colour}`,
    label: `fill:${colour}`,
  };
}

const shown = (method) => !state.hide.includes(method.family);
const view = () => VIEWS.find((of) => of.key === state.view);
const scoreTitle = (of, name) =>
  `${of.together ? "normalised score" : "score"}, ${name === "iqm" ? "IQM" : "mean"} over ${of.together ? "tasks and " : ""}seeds`;

// ---- what is told of a point ----

function tellPoint(of, series, k, name, point) {
  const { method, groups, steps, at } = series, here = at[k];
  const told = estimated(here, name), terms = [];
  const add = (term, text) => terms.push(el("dt", {}, term), el("dd", {}, text));
  const seeds = new Set(groups.map((group) => group.seeds.length));
  add(name === "iqm" ? "IQM" : "mean", estimateText(told, of.together));
  if (!of.together) {
    const normalised = groups[0].normalised();
    if (!Number.isNaN(normalised[0])) {
      const all = { ...here, values: here.values.map((_, j) => normalised[here.at[0] * here.values.length + j]) };
      add("normalised", scoreText(statistic(all, name), true));
    }
  }
  if (point) {
    const sure = Number.isNaN(point.share) ? "too few seeds to say how surely" : `${percent(point.share)} of resamples`;
    add("on the frontier", `${point.on ? "yes" : "no"}, ${sure}`);
  }
  for (const axis of AXES) {
    const all = meanCost(here, axis);
    if (!Number.isFinite(all)) continue;
    const episode = groups.map((group) => group.episode(axis)?.[here.at[groups.indexOf(group)]]);
    const one = episode.every((x) => x !== undefined) ? episode.reduce((a, b) => a + b, 0) / episode.length : null;
    const part = one !== null && series.trains && all > 0 ? ` (${short(one)} an episode)` : "";
    add(COST_HEADS[axis], short(all) + part);
  }
  if (series.knows) add("knows", series.knows);
  for (const key of method.telling) add(key.replace(/^(planner|learner|world_model)\./, ""), settingsOf(method)[key] ?? "–");
  const few = here.least < ENOUGH ? ", too few for an interval" : "";
  const trained = series.trains ? `, after ${short(steps[k])} steps` : "";
  const text = `${[...seeds].sort().join(" or ")} seeds${of.together ? " a task" : ""}${few}${trained}`;
  $("said").textContent = `${method.name}: ${estimateText(told, of.together)}, ${text}`;
  return el("div", {}, el("strong", {}, method.name), el("p", {}, text), el("dl", {}, ...terms),
    el("p", { class: "hint" }, "Enter or a double click: all settings"));
}

const settingsOf = (method) => ({ ...DATA.common, ...method.settings });

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
  const of = view(), { cost: axis, stat: name, log } = state;
  const { points, unknown } = frontierPoints(of, axis, name, shown);
  let note = "Filled marks are on the frontier: nothing shown costs less and scores more.";
  if (surely) {
    const { count, shares } = membership(points, axis, name);
    points.forEach((point, i) => (point.share = shares[i]));
    note = `The line is the frontier of what is shown. The fuller a mark, the surer it is on it: in what share of
      ${count} resamples of the runs (stratified bootstrap). Dashed marks have fewer than ${ENOUGH} seeds, and are not resampled.`;
    if (state.bars) note += ` Bars are ${100 * CONFIDENCE}% intervals (percentiles of ${RESAMPLES} resamples).`;
  }
  if (unknown.length) note += ` Not shown, since this cost or the score is unknown: ${unknown.join(", ")}.`;
  const host = $("frontier");
  if (points.length) {
    drawFrontier(host, {
      view: of, axis, name, log, bars: state.bars && surely, points, style, open: openMethod, onFamily: light,
    });
  } else empty(host, "Nothing to show: no method that is switched on has this cost here.");
  $("frontier-note").textContent = note;
}

function drawCurvesSection() {
  const of = view(), trained = seriesOf(of).filter((series) => series.trains && shown(series.method));
  const host = $("curves");
  if (!trained.length) empty(host, "No method that is switched on trains here.");
  else {
    drawCurves(host, {
      view: of, name: state.stat, log: state.stepslog, seeds: state.seeds, shown, style, open: openMethod, onFamily: light,
    });
  }
  const few = trained.filter((series) => series.at[0].least < ENOUGH).map((series) => series.method.name);
  let note = `Bands are ${100 * CONFIDENCE}% intervals at each step (stratified bootstrap, percentiles of ${RESAMPLES} resamples).`;
  if (few.length) note += ` Fewer than ${ENOUGH} seeds, and so no band: ${few.join(", ")}.`;
  if (state.seeds && of.together) note += " Seeds have lines of their own on single tasks only.";
  $("curves-note").textContent = trained.length ? note : "";
}

function empty(host, text) {
  host.querySelector("svg")?.remove();
  host.querySelector(".tip").hidden = true;
  host.querySelector(".empty")?.remove();
  host.prepend(el("p", { class: "empty" }, text));
}

// All but this family step back.
function light(family) {
  const index = FAMILIES.indexOf(family);
  for (const figure of document.querySelectorAll(".figure svg")) {
    figure.classList.toggle("focus", family !== null);
    for (const g of figure.querySelectorAll("g.series")) g.classList.toggle("lit", g.dataset.family === String(index));
  }
}

function drawLegend() {
  const here = seriesOf(view()), focus = document.activeElement?.dataset?.entry;
  const entries = FAMILIES.flatMap((family) => {
    const of = here.filter((series) => series.method.family === family);
    if (!of.length) return [];
    const [{ method, knows: known }] = of, look = style(method), on = shown(method);
    const toggle = () => set({ hide: on ? [...state.hide, family] : state.hide.filter((name) => name !== family) });
    const swatch = el("svg", { viewBox: "0 0 40 18", width: 40, height: 18, "aria-hidden": "true" },
      el("path", { class: "line", d: "M2 9L38 9", style: look.line }),
      el("path", { class: "mark on", style: look.mark, ...mark(known, 5.5, 20, 9) }));
    const many = of.length > 1 ? ` × ${of.length}` : "";
    const words = [family + many, ...(known ? [" ", el("small", {}, `knows ${known}`)] : [])];
    return [el("button", {
      type: "button", class: "entry", "aria-pressed": String(on), "data-entry": family, onclick: toggle,
      onpointerenter: () => on && light(family), onpointerleave: () => light(null),
      onfocus: () => on && light(family), onblur: () => light(null),
    }, swatch, el("span", {}, ...words))];
  });
  $("legend").replaceChildren(...entries);
  if (focus) entries.find((entry) => entry.dataset.entry === focus)?.focus();
  const kinds = [...new Set(here.map((series) => series.knows))].sort();
  $("shapes").replaceChildren(...kinds.map((known) => el("p", {},
    el("svg", { viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true" },
      el("path", { class: "shape", ...mark(known, 5.5, 9, 9) })),
    `${SHAPE_NAMES[known] ?? "circle"}: ${known ? `knows ${known}` : "no privileged information"}`)));
}

let rows = null;
function drawMethodTable() {
  rows ??= tableRows();
  const count = drawTable($("table"), rows, { sort: state.sort, down: state.down, filter: state.find }, {
    onSort: (key) => {
      const text = typeof COLUMNS.find((c) => c.key === key).of(rows[0]) === "string";
      set({ sort: key, down: state.sort === key ? !state.down : !text });
      $("table").querySelector(`[data-key="${key}"]`).focus();
    },
    open: openMethod,
  });
  $("table-count").textContent = `${count} of ${rows.length} rows`;
}

// ---- a method's details ----

const PRIVILEGES = {
  simulator: "plans in the true simulator, whose reward it knows", RAM: "reads the memory of the game",
  clairvoyant: "knows how chance will fall",
};
const openMethod = (method) => set({ method: method.name });

function drawDetails() {
  const dialog = $("details"), method = METHODS.find((of) => of.name === state.method);
  if (!method) return void (dialog.open && dialog.close());
  const all = settingsOf(method), [planner, model, learner] = method.parts;
  const settings = (keys) => plainTable(["setting", "value"], keys.map((key) => [key, all[key] ?? "–"]));
  const groups = GROUPS.filter((group) => group.method === method);
  const runs = runRows((group) => group.method === method), filmed = runs.some((run) => run.videos.length);
  const known = [...new Set(groups.flatMap((group) => group.privileges))].map((name) => el("li", {}, `${name}: ${PRIVILEGES[name] ?? ""}`));
  dialog.replaceChildren(
    el("button", { type: "button", class: "close", "aria-label": "close", onclick: () => dialog.close() }, "×"),
    el("h2", { id: "details-title" }, method.name),
    el("p", {}, `planner: ${planner}, plans in: ${model}, learner: ${learner}`),
    known.length ? el("ul", {}, ...known) : el("p", {}, "It has no privileged information."),
    el("h3", {}, "What tells it from others"),
    method.telling.length ? settings(method.telling) : el("p", {}, "Its parts alone."),
    el("details", {}, el("summary", {}, "All settings"), settings(Object.keys(all).sort())),
    el("details", {}, el("summary", {}, "Its runs"),
      plainTable(["task", "seed", "folder", ...(filmed ? ["videos"] : [])], runs.map((run) => [
        DATA.tasks[run.group.task], String(run.seed), folder(run.path), ...(filmed ? [videoLinks(run.videos)] : []),
      ]))),
  );
  if (!dialog.open) dialog.showModal();
}

// ---- controls ----

function drawTheme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  $("theme").textContent = dark ? "Light" : "Dark";
  $("theme").onclick = () => set({ theme: dark ? "light" : "dark" });
}

function syncControls() {
  for (const control of document.querySelectorAll("[data-state]")) {
    const value = state[control.dataset.state];
    if (control.type === "checkbox") control.checked = value;
    else if (control.value !== value) control.value = value;
  }
  const of = view();
  $("view-note").textContent = of.together
    ? `Normalised scores of methods that ran on all of ${of.tasks.map((task) => DATA.tasks[task]).join(", ")}; costs are means over tasks.`
    : "";
}

function begin() {
  const methods = new Set(METHODS.map((method) => method.family)).size, plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  $("title").textContent = DATA.title ?? "Plan or Learn";
  document.title = `${$("title").textContent}: report`;
  $("suite").hidden = !DATA.title;
  $("summary").textContent = [
    `${plural(DATA.runs.group.length, "run")} of ${DATA.paths.join(" and ")}`, plural(methods, "method"), plural(DATA.tasks.length, "task"),
  ].join(", ") + (DATA.left_out.task.length ? `; ${plural(DATA.left_out.task.length, "run")} left out` : "");
  const option = ({ key, name, tasks, together }) => el("option", { value: key },
    together ? `${name} (${tasks.length < 4 ? `${tasks.map((t) => DATA.tasks[t]).join(", ")}; ` : ""}${DATA.together.set.filter((s) => `together-${s}` === key).length} methods)` : name);
  const groups = { Tasks: VIEWS.filter((of) => !of.together), "Tasks together": VIEWS.filter((of) => of.together) };
  for (const [label, of] of Object.entries(groups)) {
    if (of.length) $("view").append(el("optgroup", { label }, ...of.map(option)));
  }
  $("cost").append(...AXES.map((axis) => el("option", { value: axis }, DATA.axes[axis])));
  for (const control of document.querySelectorAll("[data-state]")) {
    const event = control.type === "search" ? "input" : "change";
    control.addEventListener(event, () =>
      set({ [control.dataset.state]: control.type === "checkbox" ? control.checked : control.value }));
  }
  $("all").onclick = () => set({ hide: [] });
  $("none").onclick = () => set({ hide: FAMILIES });
  $("only").oninput = () => {
    const words = $("only").value.toLowerCase();
    set({ hide: FAMILIES.filter((family) => !family.toLowerCase().includes(words)) });
  };
  $("unprivileged").onclick = () => set({
    hide: FAMILIES.filter((family) => seriesOf(view()).some((of) => of.method.family === family && of.knows)),
  });
  $("details").addEventListener("close", () => state.method && set({ method: "" }));
  fixed("videos", DATA.runs.videos.some((of) => of.length), videosTable);
  fixed("left-out", DATA.left_out.task.length || DATA.left_out.lines.length, leftOutTable);
  $("left-out-note").textContent = `${plural(DATA.left_out.task.length, "run")} left out${DATA.left_out.lines.length ? "; below the table, what was said while reading" : ""}.`;
  $("left-out-lines").append(...DATA.left_out.lines.map((line) => el("li", {}, line)));
  fixed("protocol", true, protocolTable);
  $("versions").append(versionsTable());
  const methodsUsed = [...new Set([...GROUPS.map((g) => g.iqm.method), ...GROUPS.map((g) => g.iqmNormalised.method)])];
  $("table-note").textContent = `IQM: interquartile mean of the last evaluation over seeds. Intervals: ${methodsUsed.filter(Boolean).join("; ")}.
    Costs: means over seeds of all training and of acting for one episode, compilation apart. Failed: runs that ended with an error.`;
  for (const section of document.querySelectorAll("section[data-name]:not([hidden])")) {
    $("nav").append(el("button", { type: "button", class: "link", onclick: () => section.scrollIntoView() }, section.dataset.name));
  }
  addEventListener("hashchange", () => { state = readState(); draw(new Set(["all"])); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
  let width = $("frontier").clientWidth;
  new ResizeObserver(() => {
    if ($("frontier").clientWidth === width) return;
    width = $("frontier").clientWidth;
    draw(new Set(["frontier", "curves"]));
  }).observe($("frontier"));
  state = readState();
  draw(new Set(["all"]));
}

function fixed(id, there, make) {
  $(`${id}-section`).hidden = !there;
  if (there) $(id).append(make());
}

begin();
