// What the page says about a place: base numbers from the file, changes from the kept draws.
import { unpack, type Data, type Packed } from "./data";
import type { Answer } from "./pool";
import { chance, mean, quantiles, shapleyWeights } from "./stats";

class Grid {
  readonly values: Float64Array;
  private readonly shape: number[];
  constructor(packed: Packed) { this.values = unpack(packed); this.shape = packed.shape; }
  at(...index: number[]): number {
    let place = 0;
    index.forEach((i, d) => { place = place * this.shape[d] + i; });
    return this.values[place];
  }
}

export interface Comparison {
  low: number; middle: number; high: number;
  more: number; priorMore: number; // shares of so many draws:
  draws: number; priorDraws: number;
}
export interface Contributions {
  years: number[];
  layers: number[][]; // without any driver, then each driver; they add up to the headline
  low: number[][]; high: number[][];
}

export class Results {
  private readonly published: Grid;
  private readonly prior: Grid;
  private readonly change: Grid;
  private readonly more: Grid;
  private readonly priorMore: Grid;
  private readonly factor: Grid;
  private readonly companions: Grid[];
  readonly ratio: Grid;

  constructor(readonly data: Data) {
    this.published = new Grid(data.base.published);
    this.prior = new Grid(data.base.prior);
    this.change = new Grid(data.base.change);
    this.more = new Grid(data.base.more);
    this.priorMore = new Grid(data.base.prior_more);
    this.ratio = new Grid(data.base.ratio);
    this.factor = new Grid(data.factor);
    this.companions = data.companions.map((c) => new Grid(c.bands));
  }

  members(phase: number): number[] {
    const n = phase ? this.data.draws : this.data.coarse;
    return Array.from({ length: n }, (_, i) => i);
  }
  private priorMembers(): number[] {
    return Array.from({ length: this.data.model.blocks * 2 - this.data.draws }, (_, i) => this.data.draws + i);
  }

  /** Quantiles of the file, (year, quantile). */
  base(place: number, scenario: number): number[][] {
    return this.data.years.map((_, y) => this.data.quantiles.map((_q, q) => this.published.at(place, scenario, y, q)));
  }
  priorBand(place: number): { low: number[]; high: number[]; middle: number[] } {
    const [low, middle, high] = [0.1, 0.5, 0.9].map((p) => {
      const q = this.data.quantiles.indexOf(p);
      return this.data.years.map((_, y) => this.prior.at(place, y, q));
    });
    return { low, middle, high };
  }

  /** Quantiles with levers moved: the file's, times what moving does to the quantiles of kept draws. */
  moved(place: number, scenario: number, after: Answer, before: Answer, phase: number): number[][] {
    const members = this.members(phase);
    const base = this.base(place, scenario);
    return base.map((own, y) => {
      const noise = members.map((m) => this.factor.at(m, place, y));
      const with_ = after.target(place, y, members).map((v, i) => v * noise[i]);
      const without = before.target(place, y, members).map((v, i) => v * noise[i]);
      const a = quantiles(with_, this.data.quantiles), b = quantiles(without, this.data.quantiles);
      return own.map((v, q) => (a[q] === b[q] ? v : v * (a[q] / b[q])));
    });
  }

  /** A scenario at rest against the first one, from the file. */
  comparedAtRest(place: number, scenario: number, year: number): Comparison {
    const [low, middle, high] = [0, 1, 2].map((q) => this.change.at(place, scenario, year, q));
    const [draws, priorDraws] = this.data.file_draws;
    return {
      low, middle, high, draws, priorDraws,
      more: this.more.at(place, scenario, year), priorMore: this.priorMore.at(place, scenario, year),
    };
  }
  /** Any two answers, draw by draw. */
  compared(place: number, year: number, one: Answer, other: Answer, phase: number): Comparison {
    const ratios = (members: number[]) => {
      const a = one.target(place, year, members), b = other.target(place, year, members);
      return a.map((v, i) => v / b[i]);
    };
    const own = ratios(this.members(phase));
    const [low, middle, high] = quantiles(own, [0.1, 0.5, 0.9]);
    const believed = phase === 2 ? ratios(this.priorMembers()) : [];
    const draws = own.length, priorDraws = believed.length;
    return { low, middle, high, draws, priorDraws, more: chance(own, 1), priorMore: chance(believed, 1) };
  }

  /** 10, 50, 90 % of a companion; (time, 3), or null where the place has none. */
  companion(c: number, place: number, scenario: number, after?: Answer, before?: Answer): number[][] | null {
    const own = this.data.companions[c];
    const element = own.elements.length ? own.elements.indexOf(this.data.places[place].name) : 0;
    if (element < 0) return null;
    const grid = this.companions[c];
    const at = (t: number, q: number) =>
      own.elements.length ? grid.at(element, scenario, t, q) : grid.at(scenario, t, q);
    const output = this.data.model.outputs.find((o) => o.name === own.name);
    return own.times.map((_, t) => {
      const base = [0, 1, 2].map((q) => at(t, q));
      if (!after || !before || !output) return base;
      const members = this.members(1);
      const values = (answer: Answer) => members.map((m) => answer.value(output, element, m, t));
      const a = quantiles(values(after), [0.1, 0.5, 0.9]), b = quantiles(values(before), [0.1, 0.5, 0.9]);
      return base.map((v, q) => v + (a[q] - b[q]));
    });
  }

  /** Mean shares of the kept draws, (part, year); those of the whole are weighted. */
  shares(key: number, place: number, answer: Answer): number[][] {
    const own = this.data.shares[key];
    const share = this.data.model.outputs.find((o) => o.name === own.variable)!;
    const weight = this.data.model.outputs.find((o) => o.name === own.weight)!;
    const parts = share.elements[1].length, belts = share.elements[0].length;
    const members = this.members(1);
    const found = Array.from({ length: parts }, (_, p) => this.data.years.map((_y, y) => mean(members.map((m) => {
      if (place > 0) return answer.value(share, (place - 1) * parts + p, m, y);
      let sum = 0, total = 0;
      for (let b = 0; b < belts; b++) {
        const w = answer.value(weight, b, m, y);
        sum += w * answer.value(share, b * parts + p, m, y);
        total += w;
      }
      return sum / total;
    }))));
    if (own.rest) found.push(this.data.years.map((_, y) => 1 - found.reduce((s, part) => s + part[y], 0)));
    return found;
  }

  /** Shares of the drivers in the headline; they add up to it in every year. */
  contributions(place: number, sets: Answer[], headline: number[]): Contributions {
    const k = this.data.drivers.length;
    const weights = shapleyWeights(k);
    const members = this.members(1);
    const full = sets.length - 1;
    const out: Contributions = { years: this.data.years, layers: [], low: [], high: [] };
    for (let layer = 0; layer <= k; layer++) {
      const middle: number[] = [], low: number[] = [], high: number[] = [];
      this.data.years.forEach((_, y) => {
        const worth = sets.map((set) => set.target(place, y, members));
        const parts = members.map((_m, i) => {
          const own = layer === 0
            ? worth[0][i]
            : weights[layer - 1].reduce((s, w, set) => s + w * worth[set][i], 0);
          return own / worth[full][i];
        });
        middle.push(mean(parts) * headline[y]);
        const [a, b] = quantiles(parts, [0.1, 0.9]);
        low.push(a * headline[y]);
        high.push(b * headline[y]);
      });
      out.layers.push(middle);
      out.low.push(low);
      out.high.push(high);
    }
    return out;
  }
}
