// Elements with attributes and children, in one call.
type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** A table with a caption; the first column heads its rows. */
export function table(caption: string, heads: string[], rows: string[][]): HTMLElement {
  return h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...rows.map(([first, ...rest]) =>
        h("tr", {}, h("th", { scope: "row" }, first), ...rest.map((text) => h("td", {}, text)))))));
}

export function folded(summary: string, ...children: Child[]): HTMLElement {
  return h("details", {}, h("summary", {}, summary), ...children);
}

/** A coloured sample and its words; drawn with SVG attributes, which no policy forbids. */
export function legend(entries: { draw: string; text: string }[]): HTMLElement {
  const list = h("ul", { class: "legend" });
  for (const entry of entries) {
    const item = h("li");
    item.innerHTML = `<svg width="24" height="14" aria-hidden="true">${entry.draw}</svg>`;
    item.append(entry.text);
    list.append(item);
  }
  return list;
}
