import assert from "node:assert/strict";
import { test } from "node:test";
import type { Data, Lever, Scenario, Unit } from "../src/data";
import { csv, scenarioToml } from "../src/files";
import { preferred, read, write } from "../src/state";
import { chance, chanceError, quantiles, shapleyWeights } from "../src/stats";
import { number, Words } from "../src/text";

test("quantiles are those of NumPy's default, and leave out what is not finite", () => {
  // numpy.quantile([1, 2, 3, 4], [0, 0.1, 0.5, 1]) = 1, 1.3, 2.5, 4
  assert.deepEqual(quantiles([4, 2, NaN, 1, 3], [0, 0.1, 0.5, 1]), [1, 1.3, 2.5, 4]);
  assert.equal(chance([1, 2, 3, NaN], 1.5), 2 / 3);
  assert.equal(chance([1, 1, 2, 3], 1), 0.75);
  assert.ok(Number.isNaN(chance([1, 1], 1)));
  // Agresti and Coull: (48 + 2) / (96 + 4) = 0.5, and the root of 0.5 * 0.5 / 100 is 0.05.
  assert.equal(chanceError(0.5, 96), 0.05);
});

test("Shapley weights of two drivers are those of the definition", () => {
  assert.deepEqual(shapleyWeights(2), [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]);
});

test("Shapley values add up to the joint gain", () => {
  const worth = [1, 4, 2, 9, 3, 7, 5, 20];
  const sum = shapleyWeights(3).reduce((s, w) => s + w.reduce((t, x, i) => t + x * worth[i], 0), 0);
  assert.ok(Math.abs(sum - 19) < 1e-12);
});

test("a number that rounds to zero has no sign", () => {
  assert.equal(number(-1.39e-17), "0");
  assert.equal(number(-0.001, 2), "0.00");
  assert.equal(number(5732.4), "5,732");
});

const unit: Unit = { name: "bnCNY", label: ["bn CNY", "十亿元"], steps: [
  [[0, 1, "bn CNY", -1]],
  [[1000, 0.001, "万亿元", 2], [100, 10, "亿元", 0], [0, 10, "亿元", 1]],
] };

test("amounts are written as officials write them", () => {
  const words = new Words({ texts: {} } as unknown as Data, 1);
  assert.equal(words.amount(5732.4, unit), "5.73 万亿元");
  assert.equal(words.amount(325.84, unit), "3,258 亿元");
  assert.equal(words.band(24.09, 270, unit), "240.9–2,700 亿元");
  assert.equal(words.period(2024, 2024.5), "2024年上半年");
});

const data = {
  places: [{ name: "All" }, { name: "Yiwu" }], scenarios: [{ name: "base" }, { name: "up" }],
  years: [2013, 2030, 2035], levers: [{ key: "tilt", low: 0.5, high: 2 }],
} as unknown as Data;

test("a fragment restores the state that it was written from, and names only what differs", () => {
  const { state } = read("#place=Yiwu&scenario=up&horizon=2030&tilt=1.5", data, 0);
  assert.equal(write(state, data, 0), "place=Yiwu&scenario=up&horizon=2030&tilt=1.5");
  assert.equal(write(read("", data, 1).state, data, 1), "");
  assert.deepEqual(read("#tilt=9&place=Mars", data, 0).refused, ["tilt=9", "place=Mars"]);
});

test("a Chinese browser gets Chinese", () => {
  assert.equal(preferred(["zh-CN", "en"]), 1);
  assert.equal(preferred(["en-US", "zh"]), 0);
});

test("a cell that a spreadsheet would compute is told to be a text", () => {
  assert.equal(csv([["=1+1", -2, 'a "b"']]), '\ufeff\'=1+1,-2,"a ""b"""\r\n');
});

test("a lever that is moved sets aside what the scenario says of its elements", () => {
  const scenario = { name: "base", label: ["Base", ""], text: ["", ""], constants: { "Tilt[A]": 2, Other: 3 }, points: {} };
  const lever = { key: "tilt", name: "Tilt" } as Lever;
  assert.equal(scenarioToml(scenario as unknown as Scenario, { tilt: 1.5 }, [lever]),
    '[my-base]\ntitle = "Base, levers moved"\n\n[my-base.constants]\n"Other" = 3.0\n"Tilt" = 1.5\n');
});
