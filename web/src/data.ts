// What `beltcast.app.page_data` packs into a page, and how arrays are unpacked.

export type Pair = [string, string]; // English, Chinese
export interface Packed { f4?: string; f8?: string; shape: number[] }
export type Step = [number, number, string, number]; // from, factor, word, decimals
export interface Unit { name: string; label: Pair; steps: [Step[], Step[]] }

export interface Points {
  start: number[]; end: number[]; kind: string[]; published: number[]; translated: number[];
  definition: Pair[]; loose: number[]; source: string[]; line: number[];
}
export interface Place { name: string; label: Pair; observations: number; points: Points }
export interface Scenario {
  name: string; label: Pair; text: Pair; code: string;
  constants: Record<string, number>; uncertain: boolean;
  at: number[]; values: number[]; sizes: { at: number[]; values: Packed }[];
  inputs: { at: number; values: Packed }[];
  points: Record<string, [number[], number[]]>;
  late: boolean;
}
export interface Lever {
  key: string; name: string; label: Pair; one: Pair; driver: Pair; unit: string;
  low: number; high: number; step: number; idle: number; at: number[]; late: boolean;
}
export interface Driver { label: Pair; at: number[] }
export interface Output { name: string; first: number; count: number; elements: string[][]; total: boolean }
export interface Companion {
  name: string; label: Pair; unit: Unit; times: number[]; elements: string[]; bands: Packed;
}
export interface Shares {
  key: string; title: Pair; variable: string; weight: string; parts: Pair[]; rest: Pair | null;
}
export interface ModelFacts {
  wasm: string; image: string; draws: Packed;
  base: number; at: Record<string, number>; blocks: number; rowBytes: number; historyBytes: number;
  total: number; columns: number[]; defaults: number[]; saves: number[]; steps: number;
  resume: number; inputs: number; outputs: Output[];
}
export interface Variable {
  kind: string; unit: string; doc: string; equation: string; label: Pair; causes: string[]; uses: string[];
}
export interface Data {
  title: Pair; name: string; target: Pair; targetName: string; unit: Unit; whole: string; years: number[]; now: number;
  quantiles: number[]; places: Place[]; scenarios: Scenario[]; levers: Lever[]; drivers: Driver[];
  compare: string; draws: number; coarse: number; observations: number;
  file_draws: [number, number]; // of the posterior and of the prior in the forecast
  base: Record<"published" | "prior" | "change" | "more" | "prior_more" | "ratio", Packed>;
  factor: Packed; companions: Companion[]; shares: Shares[]; model: ModelFacts;
  texts: Record<string, Pair>;
  sections: [Record<string, string>, Record<string, string>];
  diagram: { svg: Pair; detailed: Pair; groups: { label: Pair; svg: Pair }[]; variables: Record<string, Variable> };
}

export function bytes(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

export function unpack(packed: Packed): Float64Array {
  if (packed.f8 !== undefined) return new Float64Array(bytes(packed.f8).buffer);
  return Float64Array.from(new Float32Array(bytes(packed.f4!).buffer));
}

export async function inflate(base64: string): Promise<string> {
  const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}
