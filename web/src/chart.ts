// Charts over years: fans of quantiles with observations, and stacks. uPlot draws axes and bands.
import uPlot from "uplot";

export const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#999999"];
const BLUE = "0,114,178", ORANGE = "213,94,0", GREY = "#666";
const INK = "#333", GRID = "#e6e6e6";
const FONT = '13px system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';

export interface Band { low: number[]; high: number[] }
export interface Fan {
  x: number[];
  bands: Band[]; // widest first
  median: number[];
  other?: { median: number[]; band: Band };
  prior?: Band;
  dots?: { x: number[]; y: number[]; mark: ("full" | "part" | "loose" | "bound")[] };
  log: boolean;
  tick: (value: number) => string;
  label: string;
  height: number;
}

function axes(tick: (value: number) => string): uPlot.Axis[] {
  const common = { stroke: INK, font: FONT, ticks: { stroke: GRID, size: 5 } };
  return [
    { ...common, grid: { show: false }, space: 56, incrs: [1, 2, 5, 10, 20, 50], values: (_u, at) => at.map((v) => String(v)) },
    {
      ...common, grid: { stroke: GRID, width: 1 }, space: 34,
      values: (_u, at) => at.map((v) => (v === null ? "" : tick(v))),
      size: (u, values) => {
        if (!values) return 40;
        u.ctx.font = FONT;
        return 12 + Math.max(...values.map((v) => u.ctx.measureText(v ?? "").width / uPlot.pxRatio * 1));
      },
    },
  ];
}

/** Places of the ticks of a logarithmic axis: 1, 2, 5 of each decade, or only 1 where there are many. */
function logSplits(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  const steps = decades > 4 ? [1] : decades > 2 ? [1, 3] : decades > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const found: number[] = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++)
    for (const m of steps) {
      const value = m * 10 ** k;
      if (value >= low && value <= high) found.push(+value.toPrecision(6));
    }
  return found;
}

/** A chart that is drawn anew when its data or its width change. */
export class Chart {
  private plot: uPlot | null = null;
  private make: ((width: number) => uPlot) | null = null;
  constructor(readonly element: HTMLElement) {
    let before = 0;
    new ResizeObserver(() => {
      const width = Math.floor(element.clientWidth);
      if (width && width !== before) { before = width; this.draw(); }
    }).observe(element);
  }
  show(make: (width: number) => uPlot): void { this.make = make; this.draw(); }
  draw(): void {
    const width = Math.floor(this.element.clientWidth);
    if (!this.make || !width) return;
    const old = this.plot;
    this.plot = this.make(width);
    old?.destroy();
    this.element.replaceChildren(this.plot.root);
  }
}

export function fan(chart: Chart, data: Fan, hover: (index: number | null) => void): void {
  const columns: (number | null)[][] = [data.x];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const add = (values: number[], stroke: string, width: number, dash?: number[]) => {
    columns.push(values.map((v) => (Number.isFinite(v) && (!data.log || v > 0) ? v : null)));
    series.push({ stroke, width, dash, points: { show: false } });
    return series.length - 1;
  };
  const between = (band: Band, fill: string) =>
    bands.push({ series: [add(band.high, "transparent", 0), add(band.low, "transparent", 0)], fill });
  if (data.other) between(data.other.band, `rgba(${ORANGE},0.15)`);
  data.bands.forEach((band, i) => between(band, `rgba(${BLUE},${[0.15, 0.2, 0.28][i + 3 - data.bands.length] ?? 0.2})`));
  if (data.prior) { add(data.prior.high, GREY, 1.5, [2, 3]); add(data.prior.low, GREY, 1.5, [2, 3]); }
  if (data.other) add(data.other.median, `rgb(${ORANGE})`, 2, [6, 4]);
  add(data.median, `rgb(${BLUE})`, 2.5);
  const values = columns.slice(1).flat().filter((v): v is number => v !== null);
  const dots = data.dots;
  dots?.y.forEach((y) => { if (y > 0) values.push(y); });
  let low = Math.min(...values), high = Math.max(...values);
  if (!(low < high)) { const room = Math.abs(low) * 0.1 || 1; low -= room; high += room; }
  // What dies out has no lower end on a logarithmic axis: five decades show all that counts.
  if (data.log && low < high / 1e5) low = high / 1e5;
  const range: [number, number] = data.log
    ? [low / 1.15, high * 1.15]
    : [low > 0 && low < 0.5 * high ? 0 : low - 0.05 * (high - low), high + 0.05 * (high - low)];
  const [xAxis, yAxis] = axes(data.tick);
  chart.show((width) => new uPlot({
    width, height: data.height, pxAlign: false,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: [data.x[0] - 0.5, data.x[data.x.length - 1] + 0.5] },
      y: data.log ? { distr: 3, log: 10, range } : { range },
    },
    axes: [xAxis, data.log ? { ...yAxis, splits: () => logSplits(...range), filter: (_u, s) => s } : yAxis],
    series, bands,
    hooks: {
      setCursor: [(u) => hover(u.cursor.idx ?? null)],
      draw: [(u) => { if (dots) marks(u, dots); }],
    },
  }, columns as uPlot.AlignedData));
}

function marks(u: uPlot, dots: NonNullable<Fan["dots"]>): void {
  const { ctx } = u;
  const r = 4 * uPlot.pxRatio;
  ctx.save();
  ctx.lineWidth = 1.3 * uPlot.pxRatio;
  for (let i = 0; i < dots.x.length; i++) {
    const x = u.valToPos(dots.x[i], "x", true), y = u.valToPos(dots.y[i], "y", true);
    if (!Number.isFinite(x + y)) continue;
    const mark = dots.mark[i];
    ctx.strokeStyle = mark === "loose" ? "#777" : "#111";
    ctx.fillStyle = mark === "full" ? "#111" : mark === "loose" ? "#bbb" : "#fff";
    ctx.beginPath();
    if (mark === "part") { ctx.moveTo(x, y - r * 1.3); ctx.lineTo(x + r, y); ctx.lineTo(x, y + r * 1.3); ctx.lineTo(x - r, y); }
    else if (mark === "bound") { ctx.moveTo(x, y - r); ctx.lineTo(x + r, y + r); ctx.lineTo(x - r, y + r); }
    else ctx.arc(x, y, r, 0, 2 * Math.PI);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

export interface Stack {
  x: number[];
  layers: number[][]; // (layer, x), positive ones stacked up, negative ones down
  colours: string[];
  total?: number[];
  error?: Band; // of the total
  bars: boolean;
  range?: [number, number];
  tick: (value: number) => string;
  height: number;
}

export function stack(chart: Chart, data: Stack, hover: (index: number | null) => void): void {
  const up = data.x.map(() => 0), down = data.x.map(() => 0);
  const ends = data.layers.map((layer) => layer.map((v, i) => {
    const side = v >= 0 ? up : down;
    const from = side[i];
    side[i] += Number.isFinite(v) ? v : 0;
    return [from, side[i]];
  }));
  const highest = Math.max(...up, ...(data.error?.high ?? []), ...(data.total ?? []));
  const range = data.range ?? [Math.min(0, ...down) * 1.05, highest * 1.05 || 1];
  const [xAxis, yAxis] = axes(data.tick);
  chart.show((width) => new uPlot({
    width, height: data.height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false, range: [data.x[0] - 0.5, data.x[data.x.length - 1] + 0.5] }, y: { range: [range[0], range[1]] } },
    axes: [xAxis, yAxis],
    series: [{}, { stroke: "transparent", points: { show: false } }],
    hooks: {
      setCursor: [(u) => hover(u.cursor.idx ?? null)],
      draw: [(u) => {
        const { ctx } = u;
        ctx.save();
        const half = (u.valToPos(1, "x", true) - u.valToPos(0, "x", true)) * 0.4;
        ends.forEach((layer, l) => {
          ctx.fillStyle = data.colours[l];
          if (data.bars)
            layer.forEach(([from, to], i) => {
              const x = u.valToPos(data.x[i], "x", true);
              const a = u.valToPos(from, "y", true), b = u.valToPos(to, "y", true);
              ctx.fillRect(x - half, Math.min(a, b), 2 * half, Math.abs(a - b));
            });
          else {
            ctx.beginPath();
            layer.forEach(([, to], i) => ctx.lineTo(u.valToPos(data.x[i], "x", true), u.valToPos(to, "y", true)));
            for (let i = layer.length - 1; i >= 0; i--)
              ctx.lineTo(u.valToPos(data.x[i], "x", true), u.valToPos(layer[i][0], "y", true));
            ctx.fill();
          }
        });
        ctx.strokeStyle = "#111";
        ctx.lineWidth = 1.5 * uPlot.pxRatio;
        data.total?.forEach((v, i) => {
          const x = u.valToPos(data.x[i], "x", true), y = u.valToPos(v, "y", true);
          ctx.beginPath();
          ctx.moveTo(x - half, y);
          ctx.lineTo(x + half, y);
          if (data.error) {
            ctx.moveTo(x, u.valToPos(data.error.low[i], "y", true));
            ctx.lineTo(x, u.valToPos(data.error.high[i], "y", true));
          }
          ctx.stroke();
        });
        ctx.restore();
      }],
    },
  }, [data.x, data.layers[0]] as uPlot.AlignedData));
}
