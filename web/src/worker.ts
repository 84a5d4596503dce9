// The worker: runs its blocks of members, the coarse ones first, and drops what was asked before.
import type { Data } from "./data";
import { bytes } from "./data";
import { Engine, LANES, type Question } from "./engine";

export interface Job extends Question {
  id: number;
  kind: "answer" | "drivers";
  phases: number[][]; // blocks of each phase
}
export interface Part {
  id: number; kind: "answer" | "drivers"; phase: number; blocks: number[]; out: Float64Array;
}

const pause = (() => {
  const { port1, port2 } = new MessageChannel();
  let next: (() => void) | null = null;
  port1.onmessage = () => next?.();
  return () => new Promise<void>((done) => { next = done; port2.postMessage(0); });
})();

const latest: Record<string, number> = {};
let engine: Promise<Engine>;
let queue: Promise<void> = Promise.resolve();

self.onmessage = (event: MessageEvent<{ data?: Data; job?: Job }>) => {
  const { data, job } = event.data;
  if (data) engine = WebAssembly.compile(bytes(data.model.wasm)).then((m) => new Engine(data, m));
  if (job) {
    latest[job.kind] = job.id;
    queue = queue.then(() => work(job)).catch((problem) => { self.postMessage({ problem: String(problem) }); });
  }
};

async function work(job: Job): Promise<void> {
  const own = await engine;
  // Drivers share out the target alone.
  const target = own.model.outputs.find((o) => o.name === own.data.targetName)!;
  const { first, count } = job.kind === "drivers" ? target : { first: 0, count: own.columns };
  const each = own.model.saves.length * count * LANES;
  const sets = job.kind === "drivers" ? driverSets(job) : [undefined];
  for (let phase = 0; phase < job.phases.length; phase++) {
    const blocks = job.phases[phase];
    const out = new Float64Array(sets.length * blocks.length * each);
    let since = performance.now();
    for (let s = 0; s < sets.length; s++)
      for (let b = 0; b < blocks.length; b++) {
        if (latest[job.kind] !== job.id || (job.kind === "drivers" && latest.answer > job.id)) return;
        const question = { scenario: job.scenario, levers: job.levers, switches: sets[s] };
        const found = own.answer(question, blocks[b]);
        for (let save = 0; save < own.model.saves.length; save++) {
          const from = (save * own.columns + first) * LANES;
          out.set(found.subarray(from, from + count * LANES), (s * blocks.length + b) * each + save * count * LANES);
        }
        if (performance.now() - since > 12) {
          await pause();
          since = performance.now();
        }
      }
    self.postMessage({ id: job.id, kind: job.kind, phase, blocks, out } satisfies Part, { transfer: [out.buffer] });
  }
}

function driverSets(job: Job): number[][] {
  const k = job.switches!.length;
  return Array.from({ length: 2 ** k }, (_, s) => Array.from({ length: k }, (_, i) => (s >> i) & 1));
}
