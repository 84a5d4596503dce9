// Runs the model: blocks of two members in the memory of its WebAssembly.
//
// The state of the first scenario at step `resume` is kept. A run in which only late scenarios and
// levers differ goes on from there; any other run starts anew.
import { bytes, unpack, type Data, type ModelFacts, type Scenario } from "./data";

export const LANES = 2;

export interface Question {
  scenario: string;
  levers: Record<string, number>; // by key
  switches?: number[]; // one for each driver
}

export interface Kept { rows: Uint8Array; out: Float64Array }

export class Engine {
  readonly model: ModelFacts;
  readonly columns: number; // of the plan's outputs
  private readonly memory: WebAssembly.Memory;
  private readonly run: Record<"begin" | "renew" | "advance", (...given: number[]) => void>;
  private readonly draws: Float64Array;
  private readonly inputs: Float64Array;
  private readonly members: number;
  private readonly savedBefore: number;
  private readonly kept = new Map<string, Kept>(); // by place of the start and block
  private readonly sizes = new Map<string, { at: number[]; values: Float64Array }[]>();
  private given = "";

  constructor(readonly data: Data, module: WebAssembly.Module) {
    const model = (this.model = data.model);
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(model.total / 65536) + 1 });
    const host: WebAssembly.ModuleImports = { __linear_memory: this.memory };
    for (const wanted of WebAssembly.Module.imports(module))
      if (wanted.kind === "function")
        host[wanted.name] = (Math as unknown as Record<string, (x: number) => number>)[wanted.name];
    const instance = new WebAssembly.Instance(module, { env: host });
    this.run = instance.exports as unknown as Engine["run"];
    new Uint8Array(this.memory.buffer).set(bytes(model.image), model.base);
    this.draws = unpack(model.draws);
    this.members = model.draws.shape[1];
    this.inputs = this.doubles(model.at.inputs, model.steps * model.inputs).slice();
    this.columns = model.outputs.reduce((n, o) => n + o.count, 0);
    this.savedBefore = model.saves.filter((k) => k < model.resume).length;
  }

  private doubles(address: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, address, count);
  }

  /** Outputs of one block: (saved time, column, lane). */
  answer(question: Question, block: number): Float64Array {
    const scenario = this.data.scenarios.find((s) => s.name === question.scenario)!;
    const moved = this.data.levers.filter((l) => l.key in question.levers);
    const late = moved.every((l) => l.late) && !question.switches && this.model.resume > 0;
    this.setInputs(scenario);
    if (!late) {
      this.setValues(question, scenario, block);
      this.call("begin", block);
      this.call("advance", block, 0, this.model.steps, 0);
      return this.result(block);
    }
    const start = scenario.late ? this.data.scenarios[0] : scenario;
    const key = `${start.name} ${block}`;
    let kept = this.kept.get(key);
    if (!kept) {
      this.setInputs(start);
      this.setValues({ scenario: start.name, levers: {} }, start, block);
      this.call("begin", block);
      this.call("advance", block, 0, this.model.resume, 0);
      kept = { rows: this.rows(block).slice(), out: this.result(block) };
      // Scenarios that differ from the start keep a state each; only the last of them is needed.
      if (!scenario.late)
        for (const other of this.kept.keys())
          if (other.endsWith(` ${block}`) && !other.startsWith(`${this.data.scenarios[0].name} `))
            this.kept.delete(other);
      this.kept.set(key, kept);
      this.setInputs(scenario);
    } else this.rows(block).set(kept.rows);
    this.setValues(question, scenario, block);
    this.call("renew", block);
    this.call("advance", block, this.model.resume, this.model.steps, this.savedBefore);
    const out = this.result(block);
    out.set(kept.out.subarray(0, this.savedBefore * this.columns * LANES));
    return out;
  }

  private call(name: "begin" | "renew" | "advance", block: number, ...more: number[]): void {
    const { at, historyBytes, rowBytes } = this.model;
    const history = new Uint32Array(this.memory.buffer, at.arrays + 4 * 17, 1);
    history[0] = at.history + block * historyBytes;
    this.run[name](at.numbers, at.arrays, at.rows + block * rowBytes, block, ...more);
  }

  private rows(block: number): Uint8Array {
    const { at, rowBytes } = this.model;
    return new Uint8Array(this.memory.buffer, at.rows + block * rowBytes, rowBytes);
  }

  private result(block: number): Float64Array {
    const { at, blocks, saves } = this.model;
    const padded = blocks * LANES;
    const all = this.doubles(at.out, saves.length * this.columns * padded);
    const out = new Float64Array(saves.length * this.columns * LANES);
    for (let i = 0; i < saves.length * this.columns; i++)
      for (let lane = 0; lane < LANES; lane++)
        out[i * LANES + lane] = all[i * padded + block * LANES + lane];
    return out;
  }

  private setInputs(scenario: Scenario): void {
    if (this.given === scenario.name) return;
    const { at, inputs, steps } = this.model;
    const here = this.doubles(at.inputs, steps * inputs);
    here.set(this.inputs);
    for (const series of scenario.inputs) {
      const values = unpack(series.values);
      for (let k = 0; k < steps; k++) here[k * inputs + series.at] = values[k];
    }
    this.given = scenario.name;
  }

  private setValues(question: Question, scenario: Scenario, block: number): void {
    const { at, blocks, columns, defaults } = this.model;
    const padded = blocks * LANES;
    const values = this.doubles(at.values, columns.length * padded);
    const put = (p: number, value: (member: number) => number) => {
      for (let lane = 0; lane < LANES; lane++) {
        const member = block * LANES + lane;
        values[p * padded + member] = value(Math.min(member, this.members - 1));
      }
    };
    for (let p = 0; p < columns.length; p++) {
      const column = columns[p] * this.members;
      put(p, columns[p] < 0 ? () => defaults[p] : (m) => this.draws[column + m]);
    }
    scenario.at.forEach((p, i) => put(p, () => scenario.values[i]));
    for (const size of this.drawnSizes(scenario))
      for (const p of size.at) put(p, (m) => size.values[m]);
    for (const lever of this.data.levers)
      if (lever.key in question.levers)
        for (const p of lever.at) put(p, () => question.levers[lever.key]);
    question.switches?.forEach((on, i) => {
      for (const p of this.data.drivers[i].at) put(p, () => on);
    });
  }

  private drawnSizes(scenario: Scenario): { at: number[]; values: Float64Array }[] {
    let found = this.sizes.get(scenario.name);
    if (!found) {
      found = scenario.sizes.map((s) => ({ at: s.at, values: unpack(s.values) }));
      this.sizes.set(scenario.name, found);
    }
    return found;
  }
}
