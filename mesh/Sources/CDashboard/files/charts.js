// Charts of our own: bars over time, and a graph of stages, as SVG with a description in words.
import { h, s } from "./dom.js";
import { brief } from "./formats.js";

/** Stacked bars: `bins` are { title, values }, `series` are [class, name]; `label` has the words below some of them. */
export function bars(title, bins, series, { height = 120, label }) {
  const [width, left, bottom, top] = [innerWidth < 1180 ? 320 : 520, 40, 18, 8];
  const sums = bins.map((bin) => bin.values.reduce((sum, value) => sum + value, 0));
  const most = nice(Math.max(...sums, 1));
  const scale = (height - bottom - top) / most;
  const step = (width - left - 4) / bins.length;
  const marks = bins.flatMap((bin, index) => {
    let y = height - bottom;
    return bin.values.map((value, which) => {
      const tall = value > 0 ? Math.max(value * scale, 1.5) : 0;
      y -= tall;
      return tall === 0 ? null : s("rect", {
        class: series[which][0],
        x: (left + index * step + step * 0.14).toFixed(1),
        y: y.toFixed(1),
        width: (step * 0.72).toFixed(1),
        height: tall.toFixed(1),
        rx: 1.5,
      }, s("title", {}, `${bin.title}: ${brief(value)} ${series[which][1]}`));
    });
  });
  const totals = series.map(([, name], which) =>
    `${brief(bins.reduce((sum, bin) => sum + bin.values[which], 0))} ${name}`);
  return h("div", {},
    s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`,
      role: "img", "aria-label": `${title}: ${totals.join(", ")}` },
      [0, most / 2, most].filter((value) => most > 1 || value !== 0.5).map((value) => [
        s("line", { class: "axis", x1: left, x2: width, y1: line(value), y2: line(value) }),
        s("text", { x: left - 6, y: line(value) + 3.5, "text-anchor": "end" }, brief(value)),
      ]),
      marks,
      bins.map((bin, index) => {
        const text = label(bin, index);
        return text ? s("text", {
          x: left + (index + 0.5) * step,
          y: height - 4,
          "text-anchor": index === 0 ? "start" : index === bins.length - 1 ? "end" : "middle",
        }, text) : null;
      })),
    h("p", { class: "legend" }, series.map(([kind], which) => h("span", {}, h("i", { class: kind }), totals[
      which]))));

  function line(value) {
    return Math.round(height - bottom - value * scale);
  }
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * power).find((step) => step >= value);
}

/** The parts of what /v1/activity counted, as bins of bars: `names` are the counts that are drawn. */
export function parted({ from, step_ms, parts }, title, names) {
  return parts.map((part, index) => {
    const at = from + index * step_ms;
    return { at, title: title(at), values: names.map((name) => part[name]) };
  });
}

/** Stages in columns by what each needs, with an arrow for each need. */
export function graph(stages, needs, describe) {
  const depth = new Map();
  const depthOf = (id, seen = new Set()) => {
    if (depth.has(id)) return depth.get(id);
    if (seen.has(id)) return 0;
    seen.add(id);
    const found = Math.max(-1, ...(needs.get(id) ?? []).map((each) => depthOf(each, seen))) + 1;
    depth.set(id, found);
    return found;
  };
  stages.forEach((stage) => depthOf(stage.id));
  const columns = [];
  for (const stage of stages)(columns[depth.get(stage.id)] ??= []).push(stage);
  const [wide, tall, gapX, gapY] = [172, 54, 46, 16];
  const rows = Math.max(...columns.map((column) => column.length));
  const height = rows * (tall + gapY) - gapY + 4;
  const places = new Map();
  columns.forEach((column, x) => column.forEach((stage, y) => places.set(stage.id, {
    x: x * (wide + gapX) + 2,
    y: y * (tall + gapY) + (height - column.length * (tall + gapY) + gapY) / 2,
  })));
  const width = columns.length * (wide + gapX) - gapX + 4;
  const edges = stages.flatMap((stage) => (needs.get(stage.id) ?? []).map((from) => {
    const [a, b] = [places.get(from), places.get(stage.id)];
    if (!a || !b) return null;
    const [x1, y1, x2, y2] = [a.x + wide, a.y + tall / 2, b.x, b.y + tall / 2];
    const half = (x1 + x2) / 2;
    return s("path", { class: "edge", d: `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}` });
  }));
  const label = stages.map((stage) => {
    const before = needs.get(stage.id) ?? [];
    return `${stage.id}${before.length ? ` after ${before.join(" and ")}` : ""}`;
  }).join("; ");
  return h("div", { class: "scroll", tabindex: width > 600 ? 0 : undefined,
    role: "group", "aria-label": "Graph of stages" },
    s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Stages: ${label}` },
      edges, stages.map((stage) => {
        const { x, y } = places.get(stage.id);
        const { kind, line } = describe(stage);
        return s("g", {},
          s("rect", { class: `stage ${kind}`, x, y, width: wide, height: tall, rx: 8 }),
          s("text", { class: "strong", x: x + 12, y: y + 22 }, stage.id.length > 20 ?
            `${stage.id.slice(0, 19)}…` : stage.id),
          s("text", { x: x + 12, y: y + 40 }, line));
      })));
}