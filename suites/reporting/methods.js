// Methods: how they look, what is told of them, the legend, and all of their settings.

// ---- looks ----

function style(method) {
  const index = FAMILIES.indexOf(method.family),
    colour = `var(--c${index % COLOURS})`;
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
function scoreTitle(of, name) {
  const what = of.together ? "normalised score" : "score";
  const over = of.together ? "tasks and seeds" : "seeds";
  return `${what}, ${name === "iqm" ? "IQM" : "mean"} over ${over}`;
}

// ---- what is told of a point ----

function tellPoint(of, series, k, name, point) {
  const { method, groups, steps, at } = series,
    here = at[k];
  const told = estimated(here, name),
    terms = [];
  const add = (term, text) => terms.push(el("dt", {}, term), el("dd", {}, text));
  const seeds = new Set(groups.map((group) => group.seeds.length));
  add(name === "iqm" ? "IQM" : "mean", estimateText(told, of.together));
  if (!of.together) {
    const normalised = groups[0].normalised();
    if (!Number.isNaN(normalised[0])) {
      const all = {
        ...here,
        values: here.values.map((_, j) => normalised[here.at[0] * here.values.length + j]),
      };
      add("normalised", scoreText(statistic(all, name), true));
    }
  }
  if (point) {
    const sure = Number.isNaN(point.share)
      ? "too few seeds to say how surely"
      : `${percent(point.share)} of resamples`;
    add("on the frontier", `${point.on ? "yes" : "no"}, ${sure}`);
  }
  for (const axis of AXES) {
    const all = meanCost(here, axis);
    if (!Number.isFinite(all)) continue;
    const episode = groups.map((group) => group.episode(axis)?.[here.at[groups.indexOf(group)]]);
    const one = episode.every((x) => x !== undefined)
      ? episode.reduce((a, b) => a + b, 0) / episode.length
      : null;
    const part = one !== null && series.trains && all > 0 ? ` (${short(one)} an episode)` : "";
    add(COST_HEADS[axis], short(all) + part);
  }
  if (series.knows) add("knows", series.knows);
  for (const key of method.telling)
    add(key.replace(/^(planner|learner|world_model)\./, ""), settingsOf(method)[key] ?? "–");
  const few = here.least < ENOUGH ? ", too few for an interval" : "";
  const trained = series.trains ? `, after ${short(steps[k])} steps` : "";
  const each = of.together ? " a task" : "";
  const text = `${[...seeds].sort().join(" or ")} seeds${each}${few}${trained}`;
  $("said").textContent = `${method.name}: ${estimateText(told, of.together)}, ${text}`;
  return el(
    "div",
    {},
    el("strong", {}, method.name),
    el("p", {}, text),
    el("dl", {}, ...terms),
    el("p", { class: "hint" }, "Enter or a double click: all settings"),
  );
}

const settingsOf = (method) => ({ ...DATA.common, ...method.settings });

// ---- the legend ----

// All but this family step back.
function light(family) {
  const index = FAMILIES.indexOf(family);
  for (const figure of document.querySelectorAll(".figure svg")) {
    figure.classList.toggle("focus", family !== null);
    for (const g of figure.querySelectorAll("g.series"))
      g.classList.toggle("lit", g.dataset.family === String(index));
  }
}

function drawLegend() {
  const here = seriesOf(view()),
    focus = document.activeElement?.dataset?.entry;
  const entries = FAMILIES.flatMap((family) => {
    const of = here.filter((series) => series.method.family === family);
    if (!of.length) return [];
    const [{ method, knows: known }] = of,
      look = style(method),
      on = shown(method);
    const toggle = () =>
      set({ hide: on ? [...state.hide, family] : state.hide.filter((name) => name !== family) });
    const swatch = el(
      "svg",
      { viewBox: "0 0 40 18", width: 40, height: 18, "aria-hidden": "true" },
      el("path", { class: "line", d: "M2 9L38 9", style: look.line }),
      el("path", { class: "mark on", style: look.mark, ...mark(known, 5.5, 20, 9) }),
    );
    const many = of.length > 1 ? ` × ${of.length}` : "";
    const words = [family + many, ...(known ? [" ", el("small", {}, `knows ${known}`)] : [])];
    return [
      el(
        "button",
        {
          type: "button",
          class: "entry",
          "aria-pressed": String(on),
          "data-entry": family,
          onclick: toggle,
          onpointerenter: () => on && light(family),
          onpointerleave: () => light(null),
          onfocus: () => on && light(family),
          onblur: () => light(null),
        },
        swatch,
        el("span", {}, ...words),
      ),
    ];
  });
  $("legend").replaceChildren(...entries);
  if (focus) entries.find((entry) => entry.dataset.entry === focus)?.focus();
  const kinds = [...new Set(here.map((series) => series.knows))].sort();
  $("shapes").replaceChildren(
    ...kinds.map((known) =>
      el(
        "p",
        {},
        el(
          "svg",
          { viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true" },
          el("path", { class: "shape", ...mark(known, 5.5, 9, 9) }),
        ),
        `${SHAPE_NAMES[known]}: ${known ? `knows ${known}` : "no privileged information"}`,
      ),
    ),
  );
}

// ---- a method's details ----

const PRIVILEGES = {
  simulator: "plans in the true simulator, whose reward it knows",
  reward: "is told how the reward follows from what it observes",
  RAM: "reads the memory of the game",
  clairvoyant: "knows how chance will fall",
};
const openMethod = (method) => set({ method: method.name });

function drawDetails() {
  const dialog = $("details"),
    method = METHODS.find((of) => of.name === state.method);
  if (!method) return void (dialog.open && dialog.close());
  const all = settingsOf(method),
    [planner, model, learner] = method.parts;
  const settings = (keys) =>
    plainTable(
      ["setting", "value"],
      keys.map((key) => [key, all[key] ?? "–"]),
    );
  const groups = GROUPS.filter((group) => group.method === method);
  const runs = runRows((group) => group.method === method),
    filmed = runs.some((run) => run.videos.length);
  const known = [...new Set(groups.flatMap((group) => group.privileges))].map((name) =>
    el("li", {}, `${name}: ${PRIVILEGES[name] ?? ""}`),
  );
  dialog.replaceChildren(
    el(
      "button",
      { type: "button", class: "close", "aria-label": "close", onclick: () => dialog.close() },
      "×",
    ),
    el("h2", { id: "details-title" }, method.name),
    el("p", {}, `planner: ${planner}, plans in: ${model}, learner: ${learner}`),
    known.length ? el("ul", {}, ...known) : el("p", {}, "It has no privileged information."),
    el("h3", {}, "What tells it from others"),
    method.telling.length ? settings(method.telling) : el("p", {}, "Its parts alone."),
    el("details", {}, el("summary", {}, "All settings"), settings(Object.keys(all).sort())),
    el(
      "details",
      {},
      el("summary", {}, "Its runs"),
      plainTable(
        ["task", "seed", "folder", ...(filmed ? ["videos"] : [])],
        runs.map((run) => [
          DATA.tasks[run.group.task],
          String(run.seed),
          folder(run.path),
          ...(filmed ? [videoLinks(run.videos)] : []),
        ]),
      ),
    ),
  );
  if (!dialog.open) dialog.showModal();
}
