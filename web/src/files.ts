// What a reader takes away: a table as CSV, a scenario as TOML.
import type { Data, Lever, Scenario } from "./data";

export function csv(rows: readonly (readonly (string | number)[])[]): string {
  const cell = (value: string | number) => {
    const text = String(value);
    // A text that a spreadsheet would take for a formula is told to be a text.
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return "\ufeff" + rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A scenario file that `beltcast` reads. */
export function scenarioToml(scenario: Scenario, moved: Record<string, number>, levers: readonly Lever[]): string {
  const text = (value: string) => JSON.stringify(value).replaceAll("\x7f", "\\u007f");
  const changed = levers.filter((l) => l.key in moved);
  const name = changed.length ? `my-${scenario.name}` : scenario.name;
  const key = /^[A-Za-z0-9_-]+$/.test(name) ? name : text(name);
  const constants: Record<string, number> = { ...scenario.constants };
  for (const lever of changed) {
    for (const label of Object.keys(constants)) if (label.startsWith(`${lever.name}[`)) delete constants[label];
    constants[lever.name] = moved[lever.key];
  }
  const lines = [`[${key}]`, `title = ${text(scenario.label[0] + (changed.length ? ", levers moved" : ""))}`];
  if (scenario.text[0]) lines.push(`text = ${text(scenario.text[0])}`);
  if (Object.keys(constants).length) lines.push("", `[${key}.constants]`);
  for (const [label, value] of Object.entries(constants)) lines.push(`${text(label)} = ${float(value)}`);
  for (const [label, [times, values]] of Object.entries(scenario.points)) {
    lines.push("", `[${key}.inputs.${text(label)}]`);
    times.forEach((t, i) => lines.push(`"${t}" = ${float(values[i])}`));
  }
  return lines.join("\n") + "\n";
}

const float = (value: number) => (Number.isInteger(value) ? value.toFixed(1) : String(value));

export function download(name: string, type: string, content: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function fileName(data: Data, ...parts: string[]): string {
  return [data.name, ...parts].join("-").toLowerCase().replace(/[^\p{L}\p{N}.]+/gu, "-");
}
