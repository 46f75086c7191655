// Learning curves: score against training steps.

function drawCurves(host, { view, name, log, seeds, shown, style, open, onFamily }) {
  const all = seriesOf(view).filter((series) => series.trains && shown(series.method));
  const lines = all.map((series) => ({
    series,
    // On a logarithmic axis an evaluation before training stands at 0.
    told: series.at.map((of) => estimated(of, name)),
  }));
  const single = seeds && !view.together;
  const xs = all.flatMap((series) => series.steps);
  const ys = lines.flatMap(({ told }) =>
    told.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]),
  );
  if (single) for (const { groups } of all) ys.push(...groups[0].score());
  const { svg, x, y, inner } = frame(host, {
    xs,
    ys,
    log,
    xTitle: "real control steps of training",
    yTitle: scoreTitle(view, name),
    label: `Learning curves of ${all.length} methods`,
  });
  const stops = [];
  for (const { series, told } of lines) {
    const look = style(series.method),
      g = el("g", { class: "series", "data-family": look.index });
    const at = (values) => values.map((value, k) => [x.at(series.steps[k]), y.at(value)]);
    if (told[0].low !== null) {
      const edge = [...at(told.map((of) => of.high)), ...at(told.map((of) => of.low)).reverse()];
      g.append(el("path", { class: "band", d: `${path(edge)}Z`, style: look.band }));
    }
    if (single) drawSeeds(g, series, at, look);
    const middle = at(told.map((of) => of.value));
    g.append(el("path", { class: "line mean", d: path(middle), style: look.line }));
    const [px, py] = middle.at(-1);
    const known = series.knows;
    g.append(el("path", { class: "under", ...mark(known, 5, px, py) }));
    g.append(el("path", { class: "mark on", style: look.mark, ...mark(known, 5, px, py) }));
    inner.append(g);
    middle.forEach(([px, py], k) =>
      stops.push({
        x: px,
        y: py,
        family: series.method.family,
        open: () => open(series.method),
        told: () => tellPoint(view, series, k, name, null),
      }),
    );
  }
  put(host, svg);
  explain(host, svg, stops, onFamily);
}

function drawSeeds(group, series, at, look) {
  const scores = series.groups[0].score(),
    n = series.groups[0].seeds.length;
  for (let j = 0; j < n; j++) {
    const own = at(series.steps.map((_, k) => scores[k * n + j]));
    group.append(el("path", { class: "line seed", d: path(own), style: look.line }));
  }
}
