// Numbers: the data of the page, statistics of runs, and how numbers are written.

const DATA = JSON.parse(document.getElementById("data").textContent);
const AXES = Object.keys(DATA.axes);
const { enough: ENOUGH, resamples: RESAMPLES, confidence: CONFIDENCE } = DATA.bootstrap;

// ---- groups: the runs of a method on a task ----

// What Python packed: each number [G * n], or one per row, or one, or null if all are unknown.
function unpacked(packed, rows, seeds) {
  const made = new Float64Array(rows * seeds);
  if (packed === null || typeof packed === "number") return made.fill(packed ?? NaN);
  const alike = packed.length === rows && seeds > 1 ? seeds : 1;
  for (let i = 0; i < made.length; i++) made[i] = packed[Math.floor(i / alike)] ?? NaN;
  return made;
}

const METHODS = DATA.methods.name.map((name, i) => ({
  name,
  family: DATA.methods.family[i],
  parts: DATA.methods.parts[i],
  settings: DATA.methods.settings[i],
  telling: DATA.methods.telling[i],
}));

const GROUPS = DATA.groups.task.map((task, i) => {
  const of = DATA.groups,
    steps = of.steps[i],
    seeds = of.seeds[i];
  const lazy = {}; // unpacked when they are first drawn
  const column = (name, packed, n = seeds.length) =>
    (lazy[name] ??= unpacked(packed, steps.length, n));
  return {
    index: i,
    task,
    steps,
    seeds,
    method: METHODS[of.method[i]],
    failed: of.failed[i],
    privileges: of.privileges[i],
    score: () => column("score", of.score[i]),
    normalised: () => column("normalised", of.normalised[i]),
    cost: (axis) => column(`cost ${axis}`, of.costs[axis][i]),
    episode: (axis) =>
      of.episode[axis] ? column(`episode ${axis}`, of.episode[axis][i], 1) : null,
    iqm: interval(of.iqm, i),
    iqmNormalised: interval(of.iqm_normalised, i),
  };
});

function interval(columns, i) {
  const { value, low, high, method } = columns;
  return { value: value[i], low: low[i], high: high[i], method: method[i] };
}

// ---- strata: groups at so much training, one per task ----

// What a resample draws from. `at[k]` is the row of group k. `values` are scores of all runs in one
// row, normalised where there are several tasks; `weight` makes tasks weigh alike.
function strata(groups, at) {
  const one = groups.length === 1,
    least = Math.min(...groups.map((group) => group.seeds.length));
  const total = groups.reduce((sum, group) => sum + group.seeds.length, 0);
  const values = new Float64Array(total),
    weight = new Float64Array(total);
  let i = 0;
  groups.forEach((group, k) => {
    const n = group.seeds.length,
      scores = one ? group.score() : group.normalised();
    for (let j = 0; j < n; j++, i++) {
      values[i] = scores[at[k] * n + j];
      weight[i] = 1 / (groups.length * n);
    }
  });
  const order = Uint16Array.from(values, (_, i) => i).sort(
    (a, b) => values[a] - values[b] || a - b,
  );
  return { groups, at, values, weight, order, least };
}

// Interquartile mean, or mean, of the runs; or of a resample where run i counts counts[row + i].
function statistic({ values, weight, order }, name, counts = null, row = 0) {
  const n = order.length,
    cut = name === "mean" ? 0 : Math.floor(n / 4) / n,
    end = 1 - cut;
  let sum = 0,
    below = 0,
    before = cut;
  for (let k = 0; k < n && before < end; k++) {
    const i = order[k];
    below += counts === null ? weight[i] : weight[i] * counts[row + i];
    if (below <= before) continue;
    const here = below < end ? below : end;
    sum += (here - before) * values[i];
    before = here;
  }
  return sum / (before - cut);
}

// The mean of a cost; of a resample as above.
function meanCost({ groups, at, weight }, axis, counts = null, row = 0) {
  let sum = 0,
    i = 0;
  for (let k = 0; k < groups.length; k++) {
    const n = groups[k].seeds.length,
      costs = groups[k].cost(axis),
      first = at[k] * n;
    for (let j = 0; j < n; j++, i++) {
      sum += weight[i] * (counts === null ? 1 : counts[row + i]) * costs[first + j];
    }
  }
  return sum;
}

// ---- the bootstrap ----

const DRAWS = {}; // by the number of seeds: how often each is drawn in each resample
function drawsOf(n) {
  DRAWS[n] ??= Uint8Array.from(atob(DATA.bootstrap.draws[n]), (letter) => letter.charCodeAt(0));
  return DRAWS[n];
}

// How often each run counts in each resample [R, N]: the same for all rows of these groups, since
// they are of the same runs. Draws of a number of seeds are shared by all groups that have as many:
// each group begins elsewhere in them, so that groups are drawn independently.
const COUNTS = new Map();
function countsOf(groups) {
  if (COUNTS.has(groups)) return COUNTS.get(groups);
  const total = groups.reduce((sum, group) => sum + group.seeds.length, 0);
  const made = new Uint8Array(RESAMPLES * total);
  for (let r = 0, i = 0; r < RESAMPLES; r++) {
    for (const group of groups) {
      const n = group.seeds.length,
        row = ((r + group.index - groups[0].index) % RESAMPLES) * n;
      made.set(drawsOf(n).subarray(row, row + n), i);
      i += n;
    }
  }
  COUNTS.set(groups, made);
  return made;
}

// A statistic and its percentile interval; with too few seeds only the former.
function estimate(of, name) {
  const value = statistic(of, name);
  if (of.least < ENOUGH || !Number.isFinite(value)) return { value, low: null, high: null };
  const counts = countsOf(of.groups),
    n = of.values.length,
    draws = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) draws[r] = statistic(of, name, counts, r * n);
  draws.sort();
  const tail = (1 - CONFIDENCE) / 2,
    last = RESAMPLES - 1;
  return { value, low: draws[Math.floor(tail * last)], high: draws[Math.ceil((1 - tail) * last)] };
}

// ---- the frontier ----

// Marks which of K points none beats: costs no more, scores no less, and differs. `order` is
// sorted here; what it was before helps where little has changed.
function pareto(cost, score, order, on) {
  const before = (a, b) => cost[a] < cost[b] || (cost[a] === cost[b] && score[a] > score[b]);
  for (let i = 1; i < order.length; i++) {
    // insertion: resamples are nearly in order
    const point = order[i];
    let j = i - 1;
    while (j >= 0 && before(point, order[j])) order[j + 1] = order[j--];
    order[j + 1] = point;
  }
  let best = -Infinity,
    price = NaN;
  on.fill(0);
  for (const point of order) {
    if (score[point] > best) {
      best = score[point];
      price = cost[point];
    }
    if (score[point] === best && cost[point] === price) on[point] = 1;
  }
  return on;
}

function sortedBy(cost, score) {
  const order = Array.from(cost, (_, i) => i);
  return order.sort((a, b) => cost[a] - cost[b] || score[b] - score[a]);
}

// In what share of the resamples each point is on the frontier of those with enough seeds; NaN for
// others. Many points get fewer resamples; returns how many with the shares.
function membership(points, axis, name) {
  const some = points.filter((point) => point.strata.least >= ENOUGH);
  const count = Math.round(Math.min(RESAMPLES, Math.max(200, 300_000 / (some.length + 1))));
  const cost = new Float32Array(some.length),
    score = new Float32Array(some.length);
  const on = new Uint8Array(some.length),
    share = new Float64Array(some.length);
  const order = sortedBy(
    some.map((p) => p.cost),
    some.map((p) => p.score.value),
  );
  for (let r = 0; r < count; r++) {
    some.forEach(({ strata: of }, k) => {
      const shift = of.groups[0].index; // so that methods are drawn independently
      const row = ((r + shift) % RESAMPLES) * of.values.length;
      cost[k] = meanCost(of, axis, countsOf(of.groups), row);
      score[k] = statistic(of, name, countsOf(of.groups), row);
    });
    pareto(cost, score, order, on);
    for (let k = 0; k < on.length; k++) share[k] += on[k] / count;
  }
  const shares = new Map(some.map((point, k) => [point, share[k]]));
  return { count, shares: points.map((point) => shares.get(point) ?? NaN) };
}

// ---- what a view shows: a task, or a set of tasks together ----

const VIEWS = [
  ...DATA.tasks.map((name, i) => ({ key: name, name, tasks: [i], together: false })),
  ...DATA.sets.map((tasks, i) => ({
    key: `together-${i}`,
    name: `${tasks.length} tasks together`,
    tasks,
    together: true,
    set: i,
  })),
];

// The methods of a view, each with strata at all steps of training that its runs share.
function seriesOf(view) {
  view.series ??= METHODS.map((method) => {
    const groups = view.tasks.map((task) =>
      GROUPS.find((g) => g.task === task && g.method === method),
    );
    if (groups.some((group) => !group)) return null;
    const rows = groups.map((group) => new Map(group.steps.map((step, row) => [step, row])));
    const steps = groups[0].steps.filter((step) => rows.every((of) => of.has(step)));
    const at = steps.map((step) =>
      strata(
        groups,
        rows.map((of) => of.get(step)),
      ),
    );
    return { method, groups, steps, at, trains: steps.at(-1) > 0, knows: knows(groups) };
  }).filter((series) => series?.steps.length);
  return view.series;
}

// `estimate`, remembered.
function estimated(of, name) {
  of.told ??= {};
  return (of.told[name] ??= estimate(of, name));
}

// ---- how numbers are written ----

const PREFIXES = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

// Three digits, and k, M, G, T, P for what is large: 1.25M.
function short(x, digits = 3, large = 1e3) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1e18) return x.toExponential(1);
  const [unit, letter] = PREFIXES.find(([unit]) => size >= unit * (1 - 0.5 * 10 ** -digits)) ?? [
    1,
    "",
  ];
  if (size >= 1e3 && size < large) return String(Math.round(x));
  if (size > 0 && size < 1e-3) return x.toExponential(1);
  return `${Number((x / unit).toPrecision(digits))}${letter}`;
}

// A score: 776.4 or 0.7764; large ones in whole numbers.
function scoreText(x, normalised) {
  if (x === null || Number.isNaN(x)) return "–";
  if (normalised) return x.toFixed(3);
  return Math.abs(x) >= 1e4 ? Math.round(x).toLocaleString("en") : x.toFixed(1);
}

function estimateText(of, normalised) {
  const value = scoreText(of.value, normalised);
  if (of.low === null) return value;
  return `${value} [${scoreText(of.low, normalised)}, ${scoreText(of.high, normalised)}]`;
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.095 ? 1 : 0)}%`;
