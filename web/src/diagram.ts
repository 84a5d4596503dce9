// The stock-flow diagram: zoom and pan, and for each variable its equation, unit, causes and uses.
import type { Data } from "./data";
import { h } from "./dom";
import type { Words } from "./text";

export function diagram(data: Data, words: Words): HTMLElement {
  const { svg, detailed, groups, variables } = data.diagram;
  const frame = h("div", { class: "diagram", tabindex: 0, role: "group", "aria-label": words.say("diagram") });
  const about = h("div", { class: "about", "aria-live": "polite" }, h("p", {}, words.say("diagram_hint")));
  let view = { x: 0, y: 0, w: 1, h: 1 }, whole = view;
  let drawing: SVGSVGElement;

  const apply = () => drawing.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  const zoom = (factor: number, cx = view.x + view.w / 2, cy = view.y + view.h / 2) => {
    const w = Math.min(whole.w * 1.5, Math.max(whole.w / 12, view.w * factor));
    const f = w / view.w;
    view = { x: cx - (cx - view.x) * f, y: cy - (cy - view.y) * f, w, h: view.h * f };
    apply();
  };
  const point = (event: { clientX: number; clientY: number }) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM()!.inverse());
    return [at.x, at.y] as const;
  };
  const tell = (name: string) => {
    const v = variables[name];
    if (!v) return;
    const links = (names: string[]) => {
      const line = h("p", { class: "links" });
      names.forEach((other, i) => {
        if (i) line.append(words.say(", "));
        line.append(h("button", { type: "button", class: "link", click: () => tell(other) },
          variables[other] ? words.of(variables[other].label) : other));
      });
      return line;
    };
    const label = words.of(v.label);
    about.replaceChildren(
      h("h3", {}, label + (label === name ? "" : ` (${name})`)),
      h("p", {}, `${words.say(`kind_${v.kind}`)}${v.unit ? ` · ${v.unit}` : ""}`),
      ...(v.equation ? [h("pre", {}, v.equation)] : []),
      ...(v.doc ? [h("p", {}, v.doc)] : []),
      ...(v.causes.length ? [h("h4", {}, words.say("causes")), links(v.causes)] : []),
      ...(v.uses.length ? [h("h4", {}, words.say("uses")), links(v.uses)] : []),
    );
    drawing.querySelectorAll(".chosen").forEach((e) => e.classList.remove("chosen"));
    drawing.querySelectorAll(`[data-name="${CSS.escape(name)}"]`).forEach((e) => e.classList.add("chosen"));
    for (const arrow of drawing.querySelectorAll<SVGElement>("[data-from]")) {
      const touches = arrow.dataset.from === name || arrow.dataset.to === name;
      arrow.classList.toggle("near", touches);
      arrow.classList.toggle("far", !touches);
    }
  };
  const load = (text: string) => {
    frame.innerHTML = text;
    drawing = frame.querySelector("svg")!;
    const [, , w, height] = drawing.getAttribute("viewBox")!.split(" ").map(Number);
    // At first as much as can be read: a name of 12 units is then at least 9 pixels high.
    whole = { x: 0, y: 0, w, h: height };
    const room = { w: frame.clientWidth || 900, h: frame.clientHeight || 600 };
    const shown = Math.min(w, room.w / 0.75);
    view = { x: 0, y: 0, w: shown, h: shown < w ? Math.min(height, (shown * room.h) / room.w) : height };
    drawing.removeAttribute("width");
    drawing.removeAttribute("height");
    for (const node of drawing.querySelectorAll<SVGElement>("[data-name]")) {
      const name = node.dataset.name!;
      if (!variables[name]) continue;
      node.setAttribute("tabindex", "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", words.of(variables[name].label));
      node.addEventListener("click", () => tell(name));
      node.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); tell(name); }
      });
    }
  };

  const fingers = new Map<number, { clientX: number; clientY: number }>();
  frame.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); });
  addEventListener("pointerup", (event) => fingers.delete(event.pointerId));
  addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const others = [...fingers.values()].filter((f) => f !== before);
    if (others.length) { // two fingers: their distance zooms
      const apart = (e: { clientX: number; clientY: number }) =>
        Math.hypot(e.clientX - others[0].clientX, e.clientY - others[0].clientY);
      if (apart(event) > 10) zoom(apart(before) / apart(event), ...point(others[0]));
    } else {
      const [x0, y0] = point(before), [x1, y1] = point(event);
      view = { ...view, x: view.x - (x1 - x0), y: view.y - (y1 - y0) };
      apply();
    }
    fingers.set(event.pointerId, event);
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a page that scrolls must go on scrolling
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, ...point(event));
  }, { passive: false });
  frame.addEventListener("keydown", (event) => {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1],
    };
    if (event.key === "+" || event.key === "=") zoom(1 / 1.3);
    else if (event.key === "-") zoom(1.3);
    else if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      view = { ...view, x: view.x + dx * view.w, y: view.y + dy * view.h };
      apply();
    } else return;
    event.preventDefault();
  });

  load(words.of(svg));
  // Its size is known only once it stands on the page.
  requestAnimationFrame(() => { load(words.of(svg)); apply(); });
  // What is open: the stocks and flows alone, the variables of one group, or all.
  const drawings = [svg, ...groups.map((g) => g.svg), detailed];
  const names = ["stocks_alone", ...groups.map((g) => words.of(g.label)), "all_variables"];
  const open = h("select", { id: "group", change: (e) => {
    load(words.of(drawings[+(e.target as HTMLSelectElement).value]));
    apply();
  } }, ...names.map((name, i) => h("option", { value: i }, words.say(name))));
  return h("div", {},
    h("div", { class: "buttons" },
      h("button", { type: "button", "aria-label": words.say("zoom_in"), click: () => zoom(1 / 1.4) }, "+"),
      h("button", { type: "button", "aria-label": words.say("zoom_out"), click: () => zoom(1.4) }, "−"),
      h("button", { type: "button", click: () => { view = whole; apply(); } }, words.say("whole_diagram")),
      detailed[0] ? h("label", { class: "field" }, h("span", {}, words.say("open_group")), open) : null),
    frame, about);
}
