// The frontier: score against cost, and how surely a point is on it.

// Points of all methods that are shown: {series, k, strata, cost, score, on, share}.
function frontierPoints(view, axis, name, shown) {
  const points = [],
    unknown = new Set();
  for (const series of seriesOf(view)) {
    if (!shown(series.method)) continue;
    series.at.forEach((of, k) => {
      const cost = meanCost(of, axis),
        value = statistic(of, name);
      if (Number.isFinite(cost) && Number.isFinite(value)) {
        points.push({ series, k, strata: of, cost, score: { value }, share: NaN });
      } else unknown.add(series.method.name);
    });
  }
  const cost = Float32Array.from(points, (point) => point.cost);
  const score = Float32Array.from(points, (point) => point.score.value);
  const on = pareto(cost, score, sortedBy(cost, score), new Uint8Array(points.length));
  points.forEach((point, i) => (point.on = on[i] === 1));
  return { points, unknown: [...unknown] };
}

// Draws them. `bars`: intervals of the points that count.
function drawFrontier(host, { view, axis, name, log, bars, points, style, open, onFamily }) {
  const xs = points.map((point) => point.cost);
  const main = points.filter((p) => p.on || p.k === p.series.steps.length - 1);
  if (bars) main.forEach((point) => (point.bar = estimated(point.strata, name)));
  const ys = points.flatMap((p) =>
    bars && p.bar?.low != null ? [p.bar.low, p.bar.high, p.score.value] : [p.score.value],
  );
  const { svg, x, y, box, inner } = frame(host, {
    xs,
    ys,
    log,
    xTitle: DATA.axes[axis],
    yTitle: scoreTitle(view, name),
    label: `Score against ${DATA.axes[axis]}: ${points.length} points`,
  });
  const place = (point) => [x.at(point.cost), y.at(point.score.value)];
  drawStaircase(
    inner,
    points.filter((point) => point.on),
    place,
    box,
  );
  const lines = new Map(); // a learner's checkpoints, a planner's budgets
  for (const point of points) {
    const key = point.series.trains
      ? point.series.method.name
      : `family ${point.series.method.family}`;
    if (!lines.has(key)) lines.set(key, []);
    lines.get(key).push(point);
  }
  const detailed = points.length <= 400;
  for (const of of lines.values()) {
    of.sort((a, b) => a.k - b.k || a.cost - b.cost);
    const look = style(of[0].series.method),
      g = el("g", { class: "series", "data-family": look.index });
    g.append(el("path", { class: "line", d: path(of.map(place)), style: look.line }));
    for (const point of of) {
      const [px, py] = place(point),
        important = main.includes(point);
      if (!important && !detailed) continue;
      const known = point.series.knows,
        few = point.strata.least < ENOUGH;
      if (important && point.bar?.low != null) {
        const ends = [
          [px, y.at(point.bar.low)],
          [px, y.at(point.bar.high)],
        ];
        g.append(el("path", { class: "bar", d: path(ends), style: look.line }));
      }
      const fill = Number.isNaN(point.share) ? (point.on ? (few ? 0.35 : 1) : 0) : point.share;
      g.append(el("path", { class: "under", ...mark(known, important ? 6 : 3, px, py) }));
      g.append(
        el("path", {
          class: `mark${point.on ? " on" : ""}${few ? " few" : ""}`,
          style: `${look.mark};fill-opacity:${fill.toFixed(2)}`,
          ...mark(known, important ? 6 : 3, px, py),
        }),
      );
    }
    inner.append(g);
  }
  labelFrontier(
    inner,
    points.filter((point) => point.on),
    place,
    main,
    style,
    box,
  );
  put(host, svg);
  explain(
    host,
    svg,
    points.map((point) => {
      const [px, py] = place(point),
        { method } = point.series;
      return {
        x: px,
        y: py,
        family: method.family,
        open: () => open(method),
        told: () => tellPoint(view, point.series, point.k, name, point),
      };
    }),
    onFamily,
  );
}

// What can be had for a cost: the best score stays until something better can be paid.
function drawStaircase(group, on, place, box) {
  const corners = on.map(place).sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  if (!corners.length) return;
  const steps = [[corners[0][0], box.bottom + 10], corners[0]];
  for (const [px, py] of corners.slice(1)) steps.push([px, steps.at(-1)[1]], [px, py]);
  steps.push([box.right + 10, steps.at(-1)[1]]);
  const floor = [[box.right + 10, box.bottom + 10]];
  group.append(el("path", { class: "attained", d: `${path([...steps, ...floor])}Z` }));
  group.append(el("path", { class: "staircase", d: path(steps) }));
}

// Each family once, at the point that is most surely on the frontier.
function labelFrontier(group, on, place, main, style, box) {
  const best = new Map();
  for (const point of on) {
    const { family } = point.series.method,
      before = best.get(family);
    if (!before || (point.share || 0) > (before.share || 0)) best.set(family, point);
  }
  const wanted = [...best].map(([family, point]) => {
    const [px, py] = place(point);
    const sure = Number.isNaN(point.share) ? "" : ` ${percent(point.share)}`;
    return { x: px, y: py, text: family + sure, style: style(point.series.method).label };
  });
  const taken = main.map((point) => {
    const [px, py] = place(point);
    return { x: px - 6, y: py - 6, w: 12, h: 12 };
  });
  placeLabels(group, wanted, taken, box);
}
