// For tests/benchmarks/walks.py: every function logs the name of its file when it is entered.
import ts from "typescript";
import { basename } from "node:path";
import { readFile } from "node:fs/promises";

/** The text of a file with a call of `entered` at the start of each function. */
function withNotes(file, text) {
  const note = `entered("${file}")`;
  const pieces = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body) {
      const { body } = node;
      if (ts.isBlock(body)) pieces.push([body.getStart() + 1, ` ${note};`]);
      else pieces.push([body.getStart(), `(${note}, `], [body.end, ")"]);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true));
  // From the end, so that the places before stay right; of two at one place the later found is the inner one.
  const late = pieces.map((piece, i) => [...piece, i]).sort((a, b) => b[0] - a[0] || b[2] - a[2]);
  return late.reduce((own, [at, piece]) => own.slice(0, at) + piece + own.slice(at), text);
}

/** A file that is entered again and again is logged once. */
export const banner = { js: `
const since = {};
const entered = (file) => {
  if (performance.now() - (since[file] ?? -Infinity) > 200) console.debug("entered " + file);
  since[file] = performance.now();
};` };

export const plugins = [{
  name: "traced",
  setup(own) {
    own.onLoad({ filter: /src\/.*\.ts$/ }, async ({ path }) =>
      ({ contents: withNotes(basename(path), await readFile(path, "utf8")), loader: "ts" }));
  },
}];
