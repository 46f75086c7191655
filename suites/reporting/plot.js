// Plots: scales, axes, marks and the tooltip, as SVG.

// An element: attributes by name, `on...` functions as listeners; SVG's by their known names.
const SVG = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "defs", "clipPath"]);
function el(tag, attributes = {}, ...children) {
  const made = SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// ---- marks: what an agent knows is in the shape, so that no colour is needed to see it ----

const polygon = (corners, turn = 0) => {
  const at = (i) => (2 * Math.PI * i) / corners - Math.PI / 2 + turn;
  const points = Array.from({ length: corners }, (_, i) => [Math.cos(at(i)), Math.sin(at(i))]);
  return (r) =>
    `M${points.map(([x, y]) => `${(x * r).toFixed(2)} ${(y * r).toFixed(2)}`).join("L")}Z`;
};
const SHAPES = {
  "": (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  simulator: (r) => polygon(3)(1.3 * r),
  reward: (r) => polygon(5, Math.PI)(1.25 * r),
  RAM: (r) => polygon(4, Math.PI / 4)(1.25 * r),
  "simulator, RAM": (r) => polygon(3, Math.PI)(1.3 * r),
  clairvoyant: (r) => polygon(6)(1.15 * r),
  "simulator, clairvoyant": (r) => polygon(4)(1.35 * r),
  "clairvoyant, RAM": (r) => polygon(8)(1.15 * r),
  "simulator, clairvoyant, RAM": (r) => polygon(5)(1.25 * r),
};
const SHAPE_NAMES = {
  "": "circle",
  simulator: "triangle",
  reward: "pentagon upside down",
  RAM: "square",
  "simulator, RAM": "triangle upside down",
  clairvoyant: "hexagon",
  "simulator, clairvoyant": "diamond",
  "clairvoyant, RAM": "octagon",
  "simulator, clairvoyant, RAM": "pentagon",
};
// What the runs of these groups know that an agent in the real task would not.
const knows = (groups) => {
  const known = new Set(groups.flatMap((group) => group.privileges));
  return ["simulator", "reward", "clairvoyant", "RAM"].filter((name) => known.has(name)).join(", ");
};
const mark = (known, r, x, y) => ({
  d: (SHAPES[known] ?? SHAPES[""])(r),
  transform: `translate(${x} ${y})`,
});

// ---- scales and ticks ----

// On a logarithmic axis what costs nothing stands left of all others, under a tick of its own.
function scale(values, from, to, log) {
  const known = values.filter((x) => Number.isFinite(x) && (!log || x > 0));
  const zero = log && values.some((x) => x === 0);
  const start = zero ? from + Math.sign(to - from) * 44 : from;
  let low = Math.min(...known),
    high = Math.max(...known);
  if (!known.length) [low, high] = [1, 10];
  const f = log ? Math.log10 : (x) => x;
  let [a, b] = [f(low), f(high)];
  const room = (b - a || Math.abs(log ? 1 : a) || 1) * 0.04;
  [a, b] = [a - room, b + room];
  const at = (x) =>
    log && x <= 0
      ? from + Math.sign(to - from) * 14
      : start + ((f(x) - a) / (b - a)) * (to - start);
  return { at, log, zero, start, from, to, low: a, high: b };
}

function ticks(of, room) {
  const { low, high, log } = of;
  const most = Math.max(2, Math.floor(Math.abs(of.to - of.start) / room));
  if (!log) return { major: even(low, high, most), minor: [] };
  const every = Math.max(1, Math.ceil((high - low) / most));
  const major = [],
    minor = [];
  for (let e = Math.floor(low); e <= Math.ceil(high); e++) {
    if (((e % every) + every) % every === 0) major.push(10 ** e);
    else minor.push(10 ** e);
    for (let m = 2; m < 10 && every === 1; m++) minor.push(m * 10 ** e);
  }
  const inside = (x) => Math.log10(x) >= low && Math.log10(x) <= high;
  const shown = major.filter(inside),
    others = minor.filter(inside);
  if (shown.length > 1) return { major: shown, minor: others };
  if (high - low < 0.6) return { major: even(10 ** low, 10 ** high, Math.min(most, 6)), minor: [] };
  return {
    major: [...major, ...minor].filter((x) => /^[125]/.test(x.toExponential()) && inside(x)),
    minor: others,
  };
}

// Multiples of 1, 2 or 5 times a power of ten, at most so many and one.
function even(low, high, most) {
  const rough = (high - low) / most,
    unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough * 0.999);
  const made = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++)
    made.push(Number((i * step).toPrecision(12)));
  return made;
}

// An empty plot in `host`: axes, grid, titles; x and y to pixels; a group that is clipped to it.
function frame(host, { xs, ys, log, xTitle, yTitle, label }) {
  const width = Math.max(280, host.clientWidth),
    height = width < 560 ? 340 : 460;
  const box = { left: 52, right: width - 14, top: 14, bottom: height - 46 };
  const svg = el("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    tabindex: 0,
    "aria-label": `${label}. Arrow keys go from point to point.`,
  });
  const x = scale(xs, box.left, box.right, log),
    y = scale(ys, box.bottom, box.top, false);
  const grid = el("g", { class: "grid" }),
    words = el("g", { class: "axis" });
  const across = ticks(x, width < 560 ? (log ? 48 : 62) : 80),
    up = ticks(y, 44);
  for (const value of up.major) {
    const at = y.at(value);
    grid.append(el("line", { x1: box.left, x2: box.right, y1: at, y2: at }));
    words.append(
      el("text", { x: box.left - 7, y: at + 4, "text-anchor": "end" }, short(value, 3, 1e4)),
    );
  }
  for (const value of across.minor) {
    const at = x.at(value);
    grid.append(el("line", { class: "minor", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 }));
  }
  for (const value of across.major) {
    const at = x.at(value);
    grid.append(el("line", { x1: at, x2: at, y1: box.top, y2: box.bottom + 6 }));
    words.append(el("text", { x: at, y: box.bottom + 19, "text-anchor": "middle" }, short(value)));
  }
  if (x.zero) {
    const at = x.at(0),
      wall = x.start - 8;
    grid.append(el("line", { class: "wall", x1: wall, x2: wall, y1: box.top, y2: box.bottom }));
    words.append(el("text", { x: at, y: box.bottom + 19, "text-anchor": "middle" }, "0"));
  }
  grid.append(
    el("line", { class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
  );
  const middle = (box.left + box.right) / 2;
  words.append(
    el("text", { class: "title", x: middle, y: height - 8, "text-anchor": "middle" }, xTitle),
  );
  const turned = `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`;
  words.append(el("text", { class: "title", transform: turned, "text-anchor": "middle" }, yTitle));
  const clip = `clip-${host.id}`;
  const inner = el("g", { "clip-path": `url(#${clip})` });
  const hole = {
    x: box.left - 6,
    y: box.top - 8,
    width: box.right - box.left + 14,
    height: box.bottom - box.top + 16,
  };
  svg.append(el("defs", {}, el("clipPath", { id: clip }, el("rect", hole))), grid, words, inner);
  return { svg, x, y, box, inner, width, height };
}

// What a figure shows, instead of what it showed.
function put(host, drawing) {
  for (const old of host.querySelectorAll(":scope > svg, :scope > .empty")) old.remove();
  host.querySelector(".tip").hidden = true;
  host.prepend(drawing);
}

const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;

// Words beside points, where they cover neither points nor each other; others are left out.
function placeLabels(group, wanted, taken, box) {
  const boxes = [...taken];
  const hits = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  for (const { x, y, text, style } of wanted) {
    const w = 7.3 * text.length + 4,
      h = 15;
    const places = [
      [x + 10, y - 16],
      [x - w - 10, y - 16],
      [x + 10, y + 3],
      [x - w - 10, y + 3],
      [x - w / 2, y - 25],
      [x - w / 2, y + 12],
    ];
    const free = places
      .map(([left, top]) => ({ x: left, y: top, w, h }))
      .find(
        (b) =>
          b.x >= box.left &&
          b.x + w <= box.right &&
          b.y >= box.top - 4 &&
          b.y + h <= box.bottom &&
          !boxes.some((other) => hits(b, other)),
      );
    if (!free) continue;
    boxes.push(free);
    group.append(el("text", { class: "label", x: free.x + 2, y: free.y + 12, style }, text));
  }
}

// ---- the tooltip ----

// Shows what is told of the stop next to the pointer; arrow keys go from stop to stop, Enter opens.
// A stop: {x, y, told: () => element, open: () => void, family}.
function explain(host, svg, stops, onFamily) {
  const tip = host.querySelector(".tip"),
    ring = el("circle", { class: "ring", r: 10 });
  let current = -1;
  const order = stops
    .map((_, i) => i)
    .sort((a, b) => stops[a].x - stops[b].x || stops[a].y - stops[b].y);
  svg.append(ring);
  tip.hidden = true;
  const show = (i) => {
    if (i === current) return;
    current = i;
    tip.hidden = ring.style.display = i < 0 ? "none" : "";
    tip.hidden = i < 0;
    onFamily(i < 0 ? null : stops[i].family);
    if (i < 0) return;
    const { x, y, told } = stops[i];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    tip.replaceChildren(told());
    const wide = host.clientWidth,
      w = tip.offsetWidth,
      h = tip.offsetHeight;
    const left = x + 18 + w <= wide ? x + 18 : x - 18 - w >= 0 ? x - 18 - w : (wide - w) / 2;
    const beside = x + 18 + w <= wide || x - 18 - w >= 0;
    tip.style.left = `${Math.max(0, Math.min(left, wide - w))}px`;
    tip.style.top = `${beside ? Math.max(0, y - h / 2) : y + 18}px`;
  };
  ring.style.display = "none";
  const nearest = (event) => {
    const at = svg.getBoundingClientRect(),
      px = event.clientX - at.left,
      py = event.clientY - at.top;
    let best = -1,
      least = 30 ** 2;
    stops.forEach(({ x, y }, i) => {
      const far = (x - px) ** 2 + (y - py) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    return best;
  };
  svg.addEventListener("pointermove", (event) => show(nearest(event)));
  svg.addEventListener("pointerdown", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(-1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener(
    "click",
    (event) => event.detail > 1 && current >= 0 && stops[current].open(),
  );
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step && order.length) {
      const now = order.indexOf(current);
      show(
        order[
          now < 0 ? (step > 0 ? 0 : order.length - 1) : (now + step + order.length) % order.length
        ],
      );
    } else if (event.key === "Enter" && current >= 0) stops[current].open();
    else if (event.key === "Escape") show(-1);
    else return;
    event.preventDefault();
  });
}
