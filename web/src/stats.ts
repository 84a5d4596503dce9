// Quantiles, Shapley values and chances over members.

/** Quantile by linear interpolation, as NumPy's default; sorts a copy, leaves out what is not finite. */
export function quantile(values: ArrayLike<number>, p: number): number {
  return quantiles(values, [p])[0];
}

export function quantiles(values: ArrayLike<number>, ps: readonly number[]): number[] {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  const n = sorted.length;
  if (!n) return ps.map(() => NaN);
  return ps.map((p) => {
    const place = p * (n - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, n - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  });
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0, n = 0;
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i])) { sum += values[i]; n++; }
  return n ? sum / n : NaN;
}

/** Share of members above a bound; a tie counts one half, and is NaN where all tie. */
export function chance(values: ArrayLike<number>, bound: number): number {
  let above = 0, tied = 0, n = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    n++;
    if (Math.abs(values[i] - bound) <= 5.7e-14 * Math.abs(bound)) tied++;
    else if (values[i] > bound) above++;
  }
  return n > tied ? (above + 0.5 * tied) / n : NaN;
}

/** Monte Carlo standard error of a share of draws, with two successes and two failures added. */
export function chanceError(share: number, draws: number): number {
  const p = (share * draws + 2) / (draws + 4);
  return Math.sqrt((p * (1 - p)) / (draws + 4));
}

/** Weights that turn the worth of all 2^k sets into Shapley values, (k, 2^k); bit i of a set is driver i. */
export function shapleyWeights(k: number): number[][] {
  const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1));
  const size = (s: number): number => (s ? (s & 1) + size(s >> 1) : 0);
  return Array.from({ length: k }, (_, i) => {
    const weights = new Array<number>(2 ** k).fill(0);
    for (let s = 0; s < 2 ** k; s++)
      if (s & (1 << i)) {
        const w = (factorial(size(s) - 1) * factorial(k - size(s))) / factorial(k);
        weights[s] += w;
        weights[s ^ (1 << i)] -= w;
      }
    return weights;
  });
}
