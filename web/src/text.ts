// Words and numbers in the language of the reader.
import type { Data, Pair, Unit } from "./data";
import { chanceError } from "./stats";

export type Language = 0 | 1; // English, Chinese

// Made once each: toLocaleString makes a new one for every number, ten milliseconds a move of a lever.
const formats: Intl.NumberFormat[] = [];
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
const format = (decimals: number) => (formats[decimals] ??= new Intl.NumberFormat("en-US", {
  minimumFractionDigits: decimals, maximumFractionDigits: decimals }));

export function number(value: number, decimals = -1): string {
  if (!Number.isFinite(value)) return "–";
  if (decimals < 0) {
    const size = Math.abs(value);
    if (size < 1e-9) return "0";
    decimals = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  }
  const text = format(decimals).format(value);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}

export class Words {
  constructor(private readonly data: Data, readonly language: Language) {}

  say(key: string, parts: Record<string, string | number> = {}): string {
    const pair = this.data.texts[key];
    const text = pair ? pair[this.language] || pair[0] : key;
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in parts ? String(parts[name]) : whole));
  }
  of(pair: Pair): string { return pair[this.language] || pair[0]; }

  private step(value: number, unit: Unit) {
    const steps = unit.steps[this.language];
    return steps.find((s) => Math.abs(value) >= s[0]) ?? steps[steps.length - 1];
  }
  /** An amount with its unit: 5,732 bn CNY, 5.73 万亿元. */
  amount(value: number, unit: Unit): string {
    const [, factor, word, decimals] = this.step(value, unit);
    return `${number(value * factor, decimals)} ${word}`.trim();
  }
  /** A band: the unit once where both ends have the same. */
  band(low: number, high: number, unit: Unit): string {
    const [a, b] = [this.step(low, unit), this.step(high, unit)];
    if (a[2] !== b[2]) return `${this.amount(low, unit)} – ${this.amount(high, unit)}`;
    return `${number(low * a[1], a[3])}–${number(high * b[1], b[3])} ${b[2]}`.trim();
  }
  /** Short form of an axis. */
  tick(value: number, unit: Unit): string {
    const [, factor, word] = this.step(value, unit);
    const scaled = value * factor;
    const text = short.format(scaled);
    return unit.steps[this.language].length > 1 && value ? `${text} ${word.replace(/元$/, "")}`.trim() : text;
  }
  percent(value: number, decimals = 0): string { return `${number(100 * value, decimals)} %`; }
  /** A chance with its Monte Carlo standard error, which has one significant digit. */
  chance(share: number, draws: number): string {
    if (!Number.isFinite(share)) return this.say("no change");
    const error = 100 * chanceError(share, draws);
    const decimals = Math.max(0, -Math.floor(Math.log10(error)));
    return `${number(100 * share, decimals)} ± ${number(error, decimals)} %`;
  }
  change(ratio: number): string {
    const v = 100 * (ratio - 1);
    return `${v < -0.05 ? "−" : v > 0.05 ? "+" : "±"}${number(Math.abs(v), 1)} %`;
  }
  /** A year, or the months of it that an observation covers. */
  period(start: number, end: number): string {
    const year = Math.floor(start + 1e-6);
    if (Math.abs(start) < 1000) // no date: the model counts from an origin of its own
      return end - start < 1e-6 ? String(+start.toPrecision(6)) : `${+start.toPrecision(6)}–${+end.toPrecision(6)}`;
    if (Math.abs(end - start - 1) < 1e-3 && Math.abs(start - year) < 1e-3)
      return this.language ? `${year}年` : String(year);
    const first = Math.round(12 * (start - year)) + 1;
    const last = Math.round(12 * (end - year));
    if (this.language) {
      if (first === 1 && last === 6) return `${year}年上半年`;
      if (first === 7 && last === 12) return `${year}年下半年`;
      return last <= first ? `${year}年${first}月` : `${year}年${first}–${last}月`;
    }
    if (first === 1 && last === 6) return `first half of ${year}`;
    if (first === 7 && last === 12) return `second half of ${year}`;
    const month = (m: number) =>
      ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][(m - 1) % 12];
    return last <= first ? `${month(first)} ${year}` : `${month(first)}–${month(last)} ${year}`;
  }
}
