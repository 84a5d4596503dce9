// The page: controls, and what they change.  One frozen state; everything shown follows from it.
import workerCode from "worker-code";
import { Chart, COLOURS, fan, stack } from "./chart";
import { inflate, type Data } from "./data";
import { diagram } from "./diagram";
import { folded, h, legend, table } from "./dom";
import { csv, download, fileName, scenarioToml } from "./files";
import { Pool, type Answer, type Asked } from "./pool";
import { Results, type Comparison } from "./results";
import { preferred, read, write, type State } from "./state";
import { number, Words, type Language } from "./text";

const PAUSE = 400; // ms without a change, after which the drivers are shared out

class Page {
  private state: State;
  private words: Words;
  private readonly results: Results;
  private readonly pool: Pool;
  private readonly browser: Language;
  private readonly answers = new Map<string, { answer: Answer; phase: number }>();
  private contributed: { key: string; sets: Answer[] } | null = null;
  private refused: string[];
  private later = 0;
  private busy = "";
  private parts!: Record<string, HTMLElement>;
  private charts!: { main: Chart; drivers: Chart; companions: Chart[]; shares: Chart[] };
  private sliders!: Map<string, { input: HTMLInputElement; output: HTMLOutputElement }>;

  constructor(private readonly data: Data, private readonly root: HTMLElement) {
    this.browser = preferred(navigator.languages?.length ? navigator.languages : [navigator.language]);
    const given = read(location.hash, data, this.browser);
    this.state = given.state;
    this.refused = given.refused;
    this.words = new Words(data, this.state.language);
    this.results = new Results(data);
    this.pool = new Pool(data, workerCode, (text) => this.notice(text));
    addEventListener("hashchange", () => {
      if (location.hash.slice(1) === write(this.state, this.data, this.browser)) return;
      const next = read(location.hash, this.data, this.browser);
      this.refused = next.refused;
      this.set(next.state, true);
    });
    addEventListener("beforeprint", () => root.querySelectorAll("details:not(.diagram-fold)").forEach((d) => d.setAttribute("open", "")));
    this.build();
    this.ask();
  }

  // --- state ---

  private set(state: State, anew = false): void {
    const before = this.state;
    this.state = state;
    const fragment = write(state, this.data, this.browser);
    history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname + location.search);
    if (anew || state.language !== before.language) {
      this.words = new Words(this.data, state.language);
      this.build();
      this.ask();
    } else if (state.place !== before.place || state.scenario !== before.scenario) {
      this.build();
      this.ask();
    } else {
      this.show();
      if (JSON.stringify(state.levers) !== JSON.stringify(before.levers) || state.compare !== before.compare) this.ask();
    }
  }
  private get place(): number { return this.data.places.findIndex((p) => p.name === this.state.place); }
  private number(scenario: string): number { return this.data.scenarios.findIndex((s) => s.name === scenario); }
  private get moved(): boolean { return Object.keys(this.state.levers).length > 0; }
  private key(asked: Asked): string { return JSON.stringify([asked.scenario, Object.entries(asked.levers).sort()]); }
  private get now(): Asked { return { scenario: this.state.scenario, levers: this.state.levers }; }
  private get rest(): Asked { return { scenario: this.state.scenario, levers: {} }; }
  /** What the answer is compared with: the chosen scenario, or the first, or the scenario at rest. */
  private get other(): string {
    if (this.state.compare) return this.state.compare;
    const first = this.data.scenarios[0].name;
    return this.moved ? this.state.scenario : this.state.scenario === first ? "" : first;
  }

  // --- answers of the model ---

  private ask(): void {
    clearTimeout(this.later);
    const wanted: Asked[] = [this.rest];
    if (this.other && this.other !== this.state.scenario) wanted.push({ scenario: this.other, levers: {} });
    if (this.moved) wanted.push(this.now);
    const next = wanted.find((asked) => (this.answers.get(this.key(asked))?.phase ?? -1) < 2);
    if (!next) return this.soon();
    const key = this.key(next);
    const since = performance.now();
    this.busy = key;
    this.pool.ask(next, (answer, phase) => {
      this.answers.set(key, { answer, phase });
      this.forget(wanted.map((asked) => this.key(asked)));
      if (this.busy !== key) return;
      // The prior's draws only serve a chance; what a reader waits for goes first.
      this.show(phase === 1);
      if (phase === 1) document.documentElement.dataset.took = `${performance.now() - since}`;
      if (phase === 2) { this.busy = ""; this.ask(); }
    });
  }
  private forget(wanted: string[]): void {
    for (const key of this.answers.keys())
      if (this.answers.size > 6 && !wanted.includes(key)) this.answers.delete(key);
  }
  private soon(): void {
    if (!this.data.drivers.length) return;
    const key = this.key(this.now);
    if (this.contributed?.key === key) return;
    clearTimeout(this.later);
    this.later = window.setTimeout(() => {
      this.pool.drivers(this.now, (sets) => {
        this.contributed = { key, sets };
        this.showDrivers();
      });
    }, PAUSE);
  }
  private answer(asked: Asked, least: number): Answer | undefined {
    const found = this.answers.get(this.key(asked));
    return found && found.phase >= least ? found.answer : undefined;
  }

  // --- what stands on the page ---

  private build(): void {
    const { data, words, state } = this;
    const say = (key: string, parts = {}) => words.say(key, parts);
    document.documentElement.lang = state.language ? "zh-CN" : "en";
    document.title = words.of(data.title);
    const focused = document.activeElement?.id;
    const select = (id: "place" | "scenario" | "compare", label: string, options: [string, string][]) =>
      h("label", { class: "field" }, h("span", {}, label), (() => {
        const box = h("select", { id, change: (e) => {
          const value = (e.target as HTMLSelectElement).value;
          this.set({ ...this.state, [id]: value, ...(id === "scenario" ? { levers: {} } : {}) });
        } }, ...options.map(([value, text]) => h("option", { value }, text)));
        box.value = state[id];
        return box;
      })());
    this.sliders = new Map();
    const p = (this.parts = {
      notice: h("p", { role: "status", class: "notice" }),
      headline: h("div", { class: "headline", "aria-live": "polite" }),
      chart: h("div", { class: "chart", role: "img", "aria-label": say("fan") }),
      readout: h("p", { class: "readout", "aria-live": "polite" }),
      legend: h("div"), numbers: h("div"), companions: h("div"), shares: h("div"),
      drivers: h("section", { class: "card" }), scenarioText: h("p", { class: "soft" }),
    });
    const place = data.places[this.place];
    const openYears = data.years.filter((y) => y >= data.now);
    const language = h("div", { class: "languages", role: "group", "aria-label": "Language / 语言" },
      ...(["English", "中文"] as const).map((text, i) => h("button", {
        type: "button", id: `language-${i}`, lang: i ? "zh-CN" : "en", "aria-pressed": String(state.language === i),
        click: () => this.set({ ...this.state, language: i as Language }),
      }, text)));
    const horizon = h("input", {
      type: "range", id: "horizon", min: openYears[0], max: openYears[openYears.length - 1], step: 1, value: state.horizon,
      input: (e) => this.set({ ...this.state, horizon: +(e.target as HTMLInputElement).value }),
    });
    const log = h("input", { type: "checkbox", id: "log", change: (e) =>
      this.set({ ...this.state, log: (e.target as HTMLInputElement).checked }) });
    log.checked = state.log;
    const scenarios = data.scenarios.map((s): [string, string] => [s.name, words.of(s.label)]);
    const groups = new Map<string, HTMLElement[]>();
    for (const lever of data.levers) {
      const name = words.of(lever.driver);
      groups.set(name, [...(groups.get(name) ?? []), this.slider(lever.key)]);
    }
    const controls = h("section", { class: "controls", "aria-label": say("controls") },
      h("div", { class: "choices" },
        data.places.length > 1 ? select("place", say("place"), data.places.map((q) => [q.name, words.of(q.label)])) : null,
        data.scenarios.length > 1 ? select("scenario", say("scenario"), scenarios) : null,
        data.scenarios.length > 1 ? select("compare", say("compare"), [["", say("compare_none")], ...scenarios]) : null,
        openYears.length > 1 ? h("label", { class: "field" },
          h("span", {}, say("horizon"), " ", h("output", { id: "horizon-now" }, String(state.horizon))), horizon) : null,
      ),
      p.scenarioText,
      ...(data.levers.length ? [
        h("h2", {}, say("levers", { year: this.leverYear() })),
        ...[...groups].map(([, sliders]) => h("div", { class: "levers" }, ...sliders)),
        h("button", { type: "button", id: "reset", click: () => this.set({ ...this.state, levers: {} }) }, say("reset")),
      ] : []),
    );
    const facts = h("div", { class: "facts" });
    facts.innerHTML = data.sections[state.language][place.name] ?? "";
    const companionParts = data.companions.map(() => h("section", { class: "small" }));
    const shareParts = data.shares.map(() => h("section", { class: "small" }));
    this.root.replaceChildren(
      h("header", {}, h("h1", {}, words.of(data.title)), language),
      p.notice,
      h("div", { class: "bench" },
        h("section", { class: "stage", "aria-label": say("fan") },
          h("h2", { class: "place" }, words.of(place.label)), p.headline, p.chart),
        controls),
      h("div", { class: "rest" },
        p.readout, p.legend,
        h("label", { class: "check" }, log, say("log_axis")),
        h("p", { class: "soft" }, say("scope")),
        p.numbers,
        ...(data.companions.length + data.shares.length
          ? [h("div", { class: "smalls" }, ...shareParts, ...companionParts)] : []),
        data.drivers.length ? p.drivers : null,
        (() => {
          const fold = folded(say("diagram"));
          fold.classList.add("diagram-fold", "card");
          fold.addEventListener("toggle", () => {
            if ((fold as HTMLDetailsElement).open && fold.childElementCount === 1) fold.append(diagram(data, words));
          });
          return fold;
        })(),
        facts,
        h("section", { class: "card take" }, h("h2", {}, say("download")),
          h("div", { class: "buttons" },
            h("button", { type: "button", id: "csv", click: () => this.csv() }, say("csv")),
            h("button", { type: "button", id: "toml", click: () => this.toml() }, say("toml")),
            h("button", { type: "button", click: () => print() }, say("print"))),
          h("p", { class: "soft" }, say("link"))),
        h("footer", {}, h("p", { class: "soft" }, say("foot", { draws: data.draws, observations: data.observations }))),
      ),
    );
    this.charts = {
      main: new Chart(p.chart), drivers: null as unknown as Chart,
      companions: companionParts.map((e) => new Chart(h("div", { class: "chart" }))),
      shares: shareParts.map((e) => new Chart(h("div", { class: "chart" }))),
    };
    companionParts.forEach((e, i) => e.replaceChildren(h("h3"), this.charts.companions[i].element, h("div")));
    shareParts.forEach((e, i) => e.replaceChildren(h("h3"), this.charts.shares[i].element, h("div"), h("div")));
    this.parts.driverChart = h("div", { class: "chart", role: "img", "aria-label": say("drivers") });
    this.charts.drivers = new Chart(this.parts.driverChart);
    p.drivers.replaceChildren(h("h2", {}, say("drivers")), h("p", { class: "soft" }, say("computing")));
    if (this.refused.length) this.notice(say("refused", { what: this.refused.join(", ") }));
    this.refused = [];
    if (focused) document.getElementById(focused)?.focus();
    this.show();
  }

  private leverYear(): number {
    const { saves, resume } = this.data.model;
    const i = saves.indexOf(resume);
    return this.data.years[Math.max(0, Math.min(i, this.data.years.length - 1))];
  }

  private slider(key: string): HTMLElement {
    const { words, data } = this;
    const lever = data.levers.find((l) => l.key === key)!;
    const input = h("input", {
      type: "range", id: `lever-${key}`, min: lever.low, max: lever.high, step: lever.step, value: this.position(key),
      "aria-describedby": words.of(lever.one) ? `one-${key}` : undefined,
      input: () => {
        const { [key]: _, ...others } = this.state.levers;
        const value = +input.value;
        const same = Math.abs(value - this.position(key, {})) < 1e-9;
        this.set({ ...this.state, levers: same ? others : { ...others, [key]: value } });
      },
    });
    const output = h("output", { for: `lever-${key}` }, number(+input.value, 2));
    this.sliders.set(key, { input, output });
    return h("div", { class: "lever" },
      h("label", { for: `lever-${key}` }, words.of(lever.label)), output, input,
      words.of(lever.one) ? h("p", { class: "soft", id: `one-${key}` }, `1 = ${words.of(lever.one)}`) : null);
  }
  private position(key: string, levers: Record<string, number> = this.state.levers): number {
    if (key in levers) return levers[key];
    const lever = this.data.levers.find((l) => l.key === key)!;
    const scenario = this.data.scenarios[this.number(this.state.scenario)];
    const value = scenario.constants[lever.name] ?? lever.idle;
    return Math.min(lever.high, Math.max(lever.low, value));
  }
  private notice(text: string): void { this.parts.notice.textContent = text; }

  // --- what is shown ---

  private bands(phase?: number): { q: number[][]; phase: number } {
    const base = this.results.base(this.place, this.number(this.state.scenario));
    if (!this.moved) return { q: base, phase: 2 };
    const after = this.answers.get(this.key(this.now)), before = this.answers.get(this.key(this.rest));
    if (!after || !before) return { q: base, phase: -1 };
    const least = Math.min(after.phase, before.phase, phase ?? 2);
    return { q: this.results.moved(this.place, this.number(this.state.scenario), after.answer, before.answer, least), phase: least };
  }

  private show(all = true): void {
    const { data, words, state } = this;
    const unit = data.unit;
    const { q, phase } = this.bands();
    const ready = phase >= 0;
    const last = data.years.indexOf(state.horizon) + 1;
    const years = data.years.slice(0, last);
    const at = (p: number) => data.quantiles.indexOf(p);
    const column = (p: number, from = q) => from.slice(0, last).map((row) => row[at(p)]);
    const y = last - 1;
    for (const [key, { input, output }] of this.sliders) {
      input.value = String(this.position(key));
      output.textContent = number(+input.value, 2);
    }
    const reset = document.getElementById("reset") as HTMLButtonElement | null;
    if (reset) reset.disabled = !this.moved;
    document.getElementById("horizon-now")?.replaceChildren(String(state.horizon));
    this.parts.scenarioText.textContent = words.of(data.scenarios[this.number(state.scenario)].text);
    if (!ready && this.moved) return; // the answer is on its way; what stands stays

    const prior = this.results.priorBand(this.place);
    const other = this.other;
    const otherQ = other ? this.results.base(this.place, this.number(other)) : null;
    const comparison = other ? this.comparison(y) : null;
    const place = data.places[this.place];
    this.parts.headline.replaceChildren(
      h("p", { class: "big" },
        h("span", { class: "year" }, words.say("in_year", { year: state.horizon })),
        h("strong", { id: "headline" }, words.amount(q[y][at(0.5)], unit)),
        h("span", { class: "band" }, words.say("band_of", { band: words.band(q[y][at(0.1)], q[y][at(0.9)], unit) }))),
      ...(comparison ? [h("p", { id: "comparison" }, this.compareText(comparison, other))] : []),
    );
    const dots = this.dots(state.horizon);
    const name = words.of(data.scenarios[this.number(state.scenario)].label) +
      (this.moved ? `, ${words.say("moved")}` : "");
    fan(this.charts.main, {
      x: years.map((v) => v + 0.5),
      bands: [[0.05, 0.95], [0.1, 0.9], [0.25, 0.75]].map(([a, b]) => ({ low: column(a), high: column(b) })),
      median: column(0.5),
      other: otherQ
        ? { median: column(0.5, otherQ), band: { low: column(0.1, otherQ), high: column(0.9, otherQ) } }
        : undefined,
      prior: { low: prior.low.slice(0, last), high: prior.high.slice(0, last) },
      dots, log: state.log, tick: (v) => words.tick(v, unit), label: words.of(unit.label),
      height: innerWidth < 760 ? Math.max(200, Math.min(250, innerHeight * 0.3)) : 400,
    }, (i) => this.readout(i, q, years));
    this.parts.chart.setAttribute("aria-label", `${words.of(place.label)}: ${this.parts.headline.textContent}`);
    this.showLegend(name, other, dots);
    this.parts.numbers.replaceChildren(folded(words.say("numbers"), table(
      `${words.of(place.label)}, ${words.of(data.target)}, ${name}`,
      [words.say("year"), "10 %", words.say("median"), "90 %", words.say("prior_median")],
      years.map((year, i) => [String(year), words.amount(q[i][at(0.1)], unit), words.amount(q[i][at(0.5)], unit),
        words.amount(q[i][at(0.9)], unit), words.amount(prior.middle[i], unit)]))));
    const foldedBefore = this.numbersOpen;
    const fold = this.parts.numbers.firstElementChild as HTMLDetailsElement;
    fold.open = foldedBefore;
    fold.addEventListener("toggle", () => { this.numbersOpen = fold.open; });
    if (all) { this.showSmall(last); this.showDrivers(); }
    document.documentElement.dataset.ready = String(phase);
  }
  private numbersOpen = false;

  private comparison(year: number): Comparison | null {
    const first = this.data.scenarios[0].name;
    if (!this.moved && this.other === first)
      return this.results.comparedAtRest(this.place, this.number(this.state.scenario), year);
    const one = this.answers.get(this.key(this.now));
    const two = this.answers.get(this.key({ scenario: this.other, levers: {} }));
    if (!one || !two) return null;
    return this.results.compared(this.place, year, one.answer, two.answer, Math.min(one.phase, two.phase));
  }
  private compareText(c: Comparison, other: string): string {
    const { words } = this;
    const against = this.moved && other === this.state.scenario && !this.state.compare
      ? words.say("unmoved") : words.of(this.data.scenarios[this.number(other)].label);
    const parts = { other: against, middle: words.change(c.middle), low: words.change(c.low), high: words.change(c.high),
      more: words.chance(c.more, c.draws), prior: words.chance(c.priorMore, c.priorDraws) };
    if (!Number.isFinite(c.more)) return words.say("compared_none", parts);
    return words.say(c.priorDraws ? "compared_prior" : "compared", parts);
  }

  private dots(horizon: number) {
    const points = this.data.places[this.place].points;
    const out = { x: [] as number[], y: [] as number[], mark: [] as ("full" | "part" | "loose" | "bound")[], at: [] as number[] };
    points.start.forEach((start, i) => {
      if (Math.floor(start + 1e-6) > horizon) return;
      const kind = points.kind[i];
      out.x.push(Math.floor(start + 1e-6) + 0.5);
      out.y.push(points.translated[i]);
      out.at.push(i);
      out.mark.push(["over", "lower", "upper"].includes(kind) ? "bound" : points.loose[i] ? "loose" : kind === "part-year" ? "part" : "full");
    });
    return out;
  }

  private showLegend(name: string, other: string, dots: { mark: string[] }): void {
    const { words, data } = this;
    const line = (colour: string, dash = "", band = false) =>
      `${band ? `<rect y="2" width="24" height="10" fill="${colour}" opacity="0.25"/>` : ""}` +
      `<path d="M0 7h24" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash}"/>`;
    const entries = [{ draw: line("#0072B2", "", true), text: words.say("drawn", { name, median: words.say("median"), band: words.say("band") }) }];
    if (other) entries.push({ draw: line("#D55E00", "5 3", true), text: words.say("drawn", {
      name: words.of(data.scenarios[this.number(other)].label), median: words.say("median"), band: words.say("band80") }) });
    entries.push({ draw: line("#666", "2 2"), text: words.say("prior") });
    const shapes: Record<string, [string, string]> = {
      full: ['<circle cx="12" cy="7" r="4" fill="#111" stroke="#111"/>', "published"],
      part: ['<path d="M12 2l4 5-4 5-4-5z" fill="#fff" stroke="#111"/>', "part"],
      loose: ['<circle cx="12" cy="7" r="4" fill="#bbb" stroke="#777"/>', "loose"],
      bound: ['<path d="M12 3l5 8H7z" fill="#fff" stroke="#111"/>', "bound"],
    };
    for (const [mark, [draw, key]] of Object.entries(shapes))
      if (dots.mark.includes(mark)) entries.push({ draw, text: words.say(key) });
    this.parts.legend.replaceChildren(legend(entries));
  }

  private readout(index: number | null, q: number[][], years: number[]): void {
    const { words, data } = this;
    if (index === null || index >= years.length) { this.parts.readout.textContent = words.say("readout_hint"); return; }
    const at = (p: number) => q[index][data.quantiles.indexOf(p)];
    const points = data.places[this.place].points;
    const lines = [h("strong", {}, `${words.say("in_year", { year: years[index] })} `),
      `${words.amount(at(0.5), data.unit)} (${words.band(at(0.1), at(0.9), data.unit)})`];
    points.start.forEach((start, i) => {
      if (Math.floor(start + 1e-6) !== years[index]) return;
      lines.push(h("span", { class: "point" }, words.say("point", {
        period: words.period(start, points.end[i]), published: words.amount(points.published[i], data.unit),
        here: words.amount(points.translated[i], data.unit), definition: words.of(points.definition[i]),
        source: points.source[i], line: points.line[i] })));
    });
    this.parts.readout.replaceChildren(...lines);
  }

  private showSmall(last: number): void {
    const { data, words, state } = this;
    const after = this.moved ? this.answer(this.now, 1) : undefined;
    const before = this.moved ? this.answer(this.rest, 1) : undefined;
    const scenario = this.number(state.scenario);
    data.companions.forEach((companion, c) => {
      const chart = this.charts.companions[c];
      const part = chart.element.parentElement!;
      const found = this.results.companion(c, this.place, scenario, after, before);
      part.hidden = !found;
      if (!found) return;
      const times = companion.times.slice(0, last);
      const shown = found.slice(0, last);
      part.querySelector("h3")!.textContent = words.of(companion.label) +
        (companion.elements.length || !data.places[1] ? "" : ` (${words.say("all_places")})`);
      fan(chart, {
        x: times, bands: [{ low: shown.map((v) => v[0]), high: shown.map((v) => v[2]) }],
        median: shown.map((v) => v[1]), log: false, tick: (v) => words.tick(v, companion.unit),
        label: "", height: 180,
      }, () => {});
      chart.element.setAttribute("role", "img");
      chart.element.setAttribute("aria-label", words.of(companion.label));
      this.keepFold(part.lastElementChild as HTMLElement, `c${c}`, () => table(words.of(companion.label),
        [words.say("year"), "10 %", words.say("median"), "90 %"],
        times.map((t, i) => [String(t), ...shown[i].map((v) => words.amount(v, companion.unit))])));
    });
    const answer = this.answer(this.now, 1);
    data.shares.forEach((shares, s) => {
      const chart = this.charts.shares[s];
      const part = chart.element.parentElement!;
      part.hidden = !answer;
      if (!answer) return;
      const found = this.results.shares(s, this.place, answer).map((v) => v.slice(0, last));
      const names = [...shares.parts, ...(shares.rest ? [shares.rest] : [])].map((pair) => words.of(pair));
      const years = data.years.slice(0, last);
      part.querySelector("h3")!.textContent = words.of(shares.title);
      stack(chart, { x: years, layers: found, colours: COLOURS, bars: false, range: [0, 1],
        tick: (v) => `${Math.round(100 * v)} %`, height: 180 }, () => {});
      chart.element.setAttribute("role", "img");
      chart.element.setAttribute("aria-label", words.of(shares.title));
      (part.children[2] as HTMLElement).replaceChildren(this.colours(names));
      this.keepFold(part.lastElementChild as HTMLElement, `s${s}`, () => table(words.of(shares.title),
        [words.say("year"), ...names], years.map((year, i) => [String(year), ...found.map((v) => words.percent(v[i], 1))])));
    });
  }
  private readonly open = new Set<string>();
  /** A folded table that stays open while its numbers change, and is written only when it is open. */
  private keepFold(slot: HTMLElement, key: string, make: () => HTMLElement): void {
    const fold = folded(this.words.say("numbers")) as HTMLDetailsElement;
    const fill = () => { if (fold.childElementCount === 1) fold.append(make()); };
    if (this.open.has(key)) { fold.open = true; fill(); }
    fold.addEventListener("toggle", () => {
      if (fold.open) { this.open.add(key); fill(); } else this.open.delete(key);
    });
    slot.replaceChildren(fold);
  }
  private colours(names: string[]): HTMLElement {
    return legend(names.map((text, i) => ({ draw: `<rect x="6" y="1" width="12" height="12" fill="${COLOURS[i]}"/>`, text })));
  }

  private showDrivers(): void {
    const { data, words, state } = this;
    if (!data.drivers.length || this.contributed?.key !== this.key(this.now)) return;
    const { q, phase } = this.bands();
    if (phase < 0) return;
    const last = data.years.indexOf(state.horizon) + 1;
    const headline = q.map((row) => row[data.quantiles.indexOf(0.5)]);
    const found = this.results.contributions(this.place, this.contributed.sets, headline);
    const cut = (rows: number[][]) => rows.map((r) => r.slice(0, last));
    const names = [words.say("without_drivers"), ...data.drivers.map((d) => words.of(d.label))];
    const colours = ["#bdbdbd", ...COLOURS];
    const years = data.years.slice(0, last);
    const at = (p: number) => q.slice(0, last).map((row) => row[data.quantiles.indexOf(p)]);
    stack(this.charts.drivers, { x: years, layers: cut(found.layers), colours, bars: true, total: at(0.5),
      tick: (v) => words.tick(v, data.unit), height: 280 }, () => {});
    const y = last - 1;
    const slot = h("div");
    this.keepFold(slot, "drivers", () => table(words.say("drivers"),
      [words.say("year"), ...names, words.say("sum")],
      years.map((year, i) => [String(year),
        ...found.layers.map((layer, l) => `${words.amount(layer[i], data.unit)} (${words.band(found.low[l][i], found.high[l][i], data.unit)})`),
        words.amount(headline[i], data.unit)])));
    this.parts.drivers.replaceChildren(
      h("h2", {}, words.say("drivers")),
      h("ul", { class: "shares" }, ...names.map((name, l) => h("li", {}, h("span", {}, name), " ",
        h("strong", {}, words.amount(found.layers[l][y], data.unit)), " ",
        words.say("band_of", { band: words.band(found.low[l][y], found.high[l][y], data.unit) })))),
      this.parts.driverChart,
      legend(names.map((text, i) => ({ draw: `<rect x="6" y="1" width="12" height="12" fill="${colours[i]}"/>`, text }))),
      h("p", { class: "soft" }, words.say("drivers_note", { year: state.horizon })),
      slot,
    );
    this.charts.drivers.draw();
    document.documentElement.dataset.drivers = this.contributed.key;
  }

  // --- what a reader takes away ---

  private csv(): void {
    const { data, words, state } = this;
    const { q } = this.bands();
    const prior = this.results.priorBand(this.place);
    const heads = ["place", "scenario", "levers", "year", "unit", ...data.quantiles.map((p) => `p${number(100 * p, 0).padStart(2, "0")}`),
      "prior_p10", "prior_p50", "prior_p90"];
    const levers = Object.entries(state.levers).map(([k, v]) => `${k}=${v}`).join(" ");
    const rows = data.years.map((year, y) => [state.place, state.scenario, levers, year, data.unit.name,
      ...q[y].map((v) => +v.toPrecision(7)), ...[prior.low, prior.middle, prior.high].map((b) => +b[y].toPrecision(7))]);
    download(fileName(data, state.place, "forecast.csv"), "text/csv", csv([heads, ...rows]));
    void words;
  }
  private toml(): void {
    const scenario = this.data.scenarios[this.number(this.state.scenario)];
    download("scenario.toml", "application/toml", scenarioToml(scenario, this.state.levers, this.data.levers));
  }
}

async function start(): Promise<void> {
  const root = document.getElementById("page")!;
  try {
    const data = JSON.parse(await inflate(document.getElementById("data")!.textContent!.trim())) as Data;
    const page = new Page(data, root);
    Object.assign(window, { beltcastPage: page });
  } catch (problem) {
    root.replaceChildren(h("p", { role: "alert" },
      `This page needs a current browser with WebAssembly (2023 or later). 此页面需要支持 WebAssembly 的新版浏览器。(${String(problem)})`));
  }
}
void start();
