// Tables: final scores and costs, runs that don't count, videos, the protocol.

// Rows of the table of methods: of each task, and of tasks together.
function tableRows() {
  const rows = GROUPS.map((group) => {
    const of = strata([group], [group.steps.length - 1]);
    const costs = Object.fromEntries(AXES.map((axis) => [axis, meanCost(of, axis)]));
    return {
      method: group.method,
      task: DATA.tasks[group.task],
      n: group.seeds.length,
      iqm: group.iqm,
      normalised: group.iqmNormalised,
      costs,
      failed: group.failed,
      knows: knows([group]),
    };
  });
  const { set, method, groups, iqm_normalised } = DATA.together;
  set.forEach((number, i) => {
    const of = groups[i].map((g) => GROUPS[g]),
      ends = of.map((group) => group.steps.length - 1);
    const all = strata(of, ends);
    rows.push({
      method: METHODS[method[i]],
      task: VIEWS[DATA.tasks.length + number].name,
      n: of.reduce((sum, group) => sum + group.seeds.length, 0),
      iqm: { value: null, low: null, high: null, method: "" },
      normalised: interval(iqm_normalised, i),
      costs: Object.fromEntries(AXES.map((axis) => [axis, meanCost(all, axis)])),
      failed: of.reduce((sum, group) => sum + group.failed, 0),
      knows: knows(of),
    });
  });
  return rows;
}

const COST_HEADS = {
  env_steps: "real steps",
  sim_steps: "sim steps",
  model_steps: "model steps",
  cpu_seconds: "CPU s",
  flops: "FLOPs",
  joules: "joules",
  act_ms: "ms / decision",
};
// A column: its key, its head, what it sorts by, and what it shows.
const COLUMNS = [
  { key: "method", head: "method", of: (row) => row.method.name },
  { key: "knows", head: "knows", of: (row) => row.knows },
  { key: "task", head: "task", of: (row) => row.task },
  { key: "n", head: "seeds", of: (row) => row.n, show: (row) => String(row.n) },
  { key: "iqm", head: "IQM", of: (row) => row.iqm.value, show: (row) => scoreText(row.iqm.value) },
  {
    key: "low",
    head: "95% interval",
    of: (row) => row.iqm.low,
    show: (row) => span(row.iqm, false),
  },
  {
    key: "normalised",
    head: "normalised",
    of: (row) => row.normalised.value,
    show: (row) => scoreText(row.normalised.value, true),
  },
  {
    key: "normalised_low",
    head: "95% interval",
    of: (row) => row.normalised.low,
    show: (row) => span(row.normalised, true),
  },
  ...AXES.map((axis) => ({
    key: axis,
    head: COST_HEADS[axis] ?? axis,
    title: DATA.axes[axis],
    of: (row) => row.costs[axis],
    show: (row) => short(row.costs[axis]),
  })),
  { key: "failed", head: "failed", of: (row) => row.failed, show: (row) => String(row.failed) },
];

function span({ value, low, high }, normalised) {
  if (value === null) return "–";
  return low === null
    ? "too few seeds"
    : `${scoreText(low, normalised)} – ${scoreText(high, normalised)}`;
}

function sorted(rows, key, down) {
  const { of } = COLUMNS.find((column) => column.key === key);
  const none = (x) => x === null || x === undefined || Number.isNaN(x);
  return [...rows].sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (none(x) || none(y)) return none(x) - none(y); // what is unknown comes last
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return down ? -order : order;
  });
}

function matches(row, text) {
  const own = `${row.method.name} ${row.task} ${row.knows}`.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => own.includes(word));
}

function drawTable(host, rows, { sort, down, filter }, { onSort, open }) {
  const head = el(
    "tr",
    {},
    ...COLUMNS.map(({ key, head, title, show }) => {
      const chosen = key === sort,
        arrow = chosen ? (down ? " ▾" : " ▴") : "";
      const button = el(
        "button",
        { type: "button", "data-key": key, title, onclick: () => onSort(key) },
        head + arrow,
      );
      return el(
        "th",
        {
          scope: "col",
          class: show ? "number" : null,
          "aria-sort": chosen ? (down ? "descending" : "ascending") : null,
        },
        button,
      );
    }),
  );
  const shown = sorted(
    rows.filter((row) => matches(row, filter)),
    sort,
    down,
  );
  const body = el(
    "tbody",
    {},
    ...shown.map((row) =>
      el(
        "tr",
        {},
        ...COLUMNS.map(({ key, of, show }) => {
          if (key === "method") {
            const button = el(
              "button",
              { type: "button", class: "link", onclick: () => open(row.method) },
              row.method.name,
            );
            return el("th", { scope: "row" }, button);
          }
          return show ? el("td", { class: "number" }, show(row)) : el("td", {}, of(row) || "–");
        }),
      ),
    ),
  );
  host.replaceChildren(el("table", {}, el("thead", {}, head), body));
  return shown.length;
}

// A plain table; cells are text or elements.
function plainTable(heads, rows) {
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el(
      "tbody",
      {},
      ...rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell ?? "–")))),
    ),
  );
}

const linked = (address, text) => el("a", { href: address }, text);
const folder = (address) => linked(`${address}/`, decodeURIComponent(address));

function leftOutTable() {
  const of = DATA.left_out;
  const said = { running: "not done: it is running, or was stopped" };
  return plainTable(
    ["task", "agent", "seed", "status", "reason", "evaluations", "folder"],
    of.task.map((task, i) => [
      task,
      of.agent[i],
      String(of.seed[i]),
      of.status[i],
      of.reason[i] ?? said[of.status[i]],
      String(of.evaluations[i]),
      folder(of.path[i]),
    ]),
  );
}

// Each run with the seed and videos; of one method, or of all that have videos.
function runRows(wanted) {
  const of = DATA.runs;
  return of.group.flatMap((g, i) =>
    wanted(GROUPS[g], of.videos[i])
      ? [
          {
            group: GROUPS[g],
            seed: of.seed[i],
            path: of.path[i],
            videos: of.videos[i],
          },
        ]
      : [],
  );
}

const videoLinks = (addresses) =>
  el(
    "span",
    {},
    ...addresses.flatMap((address) => [
      linked(address, decodeURIComponent(address.split("/").at(-1))),
      " ",
    ]),
  );

function videosTable() {
  return plainTable(
    ["task", "method", "seed", "video"],
    runRows((_, videos) => videos.length).map((run) => [
      DATA.tasks[run.group.task],
      run.group.method.name,
      String(run.seed),
      videoLinks(run.videos),
    ]),
  );
}

const counted = (values) => {
  const all = Object.entries(values);
  return all.length === 1
    ? all[0][0]
    : all.map(([value, n]) => `${value} (${n} run${n === 1 ? "" : "s"})`).join(", ");
};

function protocolTable() {
  const { tasks } = DATA.protocol,
    keys = [...new Set(Object.values(tasks).flatMap(Object.keys))];
  return plainTable(
    ["task", ...keys],
    Object.entries(tasks).map(([task, facts]) => [
      task,
      ...keys.map((key) => (facts[key] ? counted(facts[key]) : null)),
    ]),
  );
}

function versionsTable() {
  const { versions, machines } = DATA.protocol;
  return plainTable(
    ["what", "version"],
    [
      ["processor", counted(machines)],
      ...Object.entries(versions).map(([name, of]) => [name, counted(of)]),
    ],
  );
}
