// The workers behind one question: shares out the blocks of members and puts the parts together.
import type { Data, Output } from "./data";
import { LANES } from "./engine";
import type { Job, Part } from "./worker";

/** Outputs by member: (saved time, column) of each, NaN until they are known. */
export class Answer {
  readonly values: Float64Array;
  /** Holds `columns` columns of the plan from `first` on. */
  constructor(
    readonly data: Data, readonly members: number, readonly columns: number, private readonly first = 0,
  ) {
    this.values = new Float64Array(members * columns * data.model.saves.length).fill(NaN);
  }
  get saves(): number { return this.data.model.saves.length; }
  private at(member: number, save: number, column: number): number {
    return this.values[(member * this.saves + save) * this.columns + column];
  }
  output(name: string): Output { return this.data.model.outputs.find((o) => o.name === name)!; }
  /** Value of one column of an output in a year, of a flow its total. */
  value(output: Output, element: number, member: number, year: number): number {
    const column = output.first + element - this.first;
    const now = this.at(member, year, column);
    return output.total ? this.at(member, year + 1, column) - now : now;
  }
  /** Total of the target at a place, for each of some members; place 0 is the whole. */
  target(place: number, year: number, members: readonly number[]): number[] {
    const output = this.output(this.data.targetName);
    return members.map((m) => sumOf(this, output, place, m, year));
  }
  put(part: Part, blocks: readonly number[], offset: number): void {
    const each = this.saves * this.columns;
    blocks.forEach((block, b) => {
      for (let lane = 0; lane < LANES; lane++) {
        const member = block * LANES + lane;
        if (member >= this.members) continue;
        const from = offset + b * each * LANES + lane;
        for (let i = 0; i < each; i++) this.values[member * each + i] = part.out[from + i * LANES];
      }
    });
  }
}

export function sumOf(answer: Answer, output: Output, place: number, member: number, year: number): number {
  const scalar = output.count === 1;
  if (place > 0 || scalar) return answer.value(output, scalar ? 0 : place - 1, member, year);
  let sum = 0;
  for (let e = 0; e < output.count; e++) sum += answer.value(output, e, member, year);
  return sum;
}

export interface Asked {
  scenario: string; levers: Record<string, number>;
}

export class Pool {
  private readonly workers: Worker[] = [];
  private readonly listeners = new Map<number, (part: Part) => void>();
  private count = 0;
  readonly columns: number;

  constructor(private readonly data: Data, code: string, onProblem: (text: string) => void) {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const wanted = Math.max(1, Math.min(4, navigator.hardwareConcurrency || 2));
    for (let i = 0; i < wanted; i++) {
      const worker = new Worker(url);
      worker.onmessage = (event: MessageEvent<Part & { problem?: string }>) => {
        if (event.data.problem) onProblem(event.data.problem);
        else this.listeners.get(event.data.id)?.(event.data);
      };
      worker.onerror = (event) => onProblem(event.message);
      worker.postMessage({ data });
      this.workers.push(worker);
    }
    this.columns = data.model.outputs.reduce((n, o) => n + o.count, 0);
  }

  /** Ask for all draws: `told` hears phase 0 (coarse), 1 (all of the posterior), 2 (the prior too). */
  ask(asked: Asked, told: (answer: Answer, phase: number) => void): void {
    const { coarse, draws } = this.data;
    const all = this.data.model.blocks;
    const answer = new Answer(this.data, all * LANES, this.columns);
    const phases = [[0, coarse / LANES], [coarse / LANES, draws / LANES], [draws / LANES, all]];
    const left = phases.map(() => this.workers.length);
    this.send("answer", asked, phases, undefined, (part) => {
      answer.put(part, part.blocks, 0);
      if (--left[part.phase] === 0) told(answer, part.phase);
    });
  }

  /** Run every set of drivers; `told` hears one answer a set, of the posterior's draws. */
  drivers(asked: Asked, told: (sets: Answer[]) => void): void {
    const { draws, drivers } = this.data;
    const { first, count } = this.data.model.outputs.find((o) => o.name === this.data.targetName)!;
    const sets = Array.from({ length: 2 ** drivers.length }, () => new Answer(this.data, draws, count, first));
    let left = this.workers.length;
    const each = this.data.model.saves.length * count * LANES;
    this.send("drivers", asked, [[0, draws / LANES]], drivers.map(() => 1), (part) => {
      sets.forEach((set, s) => set.put(part, part.blocks, s * part.blocks.length * each));
      if (--left === 0) told(sets);
    });
  }

  private send(
    kind: Job["kind"], asked: Asked, phases: number[][], switches: number[] | undefined, hear: (part: Part) => void,
  ): void {
    const id = ++this.count;
    for (const known of this.listeners.keys()) if (known < id - 8) this.listeners.delete(known);
    this.listeners.set(id, hear);
    this.workers.forEach((worker, w) => {
      const own = phases.map(([from, to]) =>
        Array.from({ length: to - from }, (_, i) => from + i).filter((b) => b % this.workers.length === w));
      worker.postMessage({ job: { id, kind, ...asked, switches, phases: own } satisfies Job });
    });
  }
}
