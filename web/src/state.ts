// What the page shows, as one value and as the fragment of its address.
import type { Data } from "./data";
import type { Language } from "./text";

export interface State {
  place: string; scenario: string; compare: string; horizon: number;
  levers: Record<string, number>; language: Language; log: boolean;
}

export function opening(data: Data, language: Language): State {
  return {
    place: data.places[0].name, scenario: data.scenarios[0].name, compare: "",
    horizon: data.years[data.years.length - 1], levers: {}, language, log: true,
  };
}

/** Language of a reader whose browser prefers these. */
export function preferred(languages: readonly string[]): Language {
  return languages[0]?.toLowerCase().startsWith("zh") ? 1 : 0;
}

/** Names only what differs from the opening; the language only where it is not the browser's. */
export function write(state: State, data: Data, browser: Language): string {
  const first = opening(data, browser);
  const query = new URLSearchParams();
  for (const key of ["place", "scenario", "compare", "horizon"] as const)
    if (state[key] !== first[key]) query.set(key, String(state[key]));
  if (state.language !== browser) query.set("language", state.language ? "zh" : "en");
  if (!state.log) query.set("axis", "linear");
  for (const [key, value] of Object.entries(state.levers)) query.set(key, String(+value.toPrecision(6)));
  return query.toString();
}

/** Read a fragment; what the page does not have is left out and returned. */
export function read(fragment: string, data: Data, browser: Language): { state: State; refused: string[] } {
  const state = opening(data, browser);
  const refused: string[] = [];
  const places = data.places.map((p) => p.name);
  const scenarios = data.scenarios.map((s) => s.name);
  for (const [key, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const lever = data.levers.find((l) => l.key === key);
    if (key === "place" && places.includes(value)) state.place = value;
    else if (key === "scenario" && scenarios.includes(value)) state.scenario = value;
    else if (key === "compare" && scenarios.includes(value)) state.compare = value;
    else if (key === "horizon" && data.years.includes(+value)) state.horizon = +value;
    else if (key === "language" && (value === "en" || value === "zh")) state.language = value === "zh" ? 1 : 0;
    else if (key === "axis" && value === "linear") state.log = false;
    else if (lever && value !== "" && +value >= lever.low && +value <= lever.high) state.levers[key] = +value;
    else refused.push(`${key}=${value}`.slice(0, 60));
  }
  return { state, refused };
}
