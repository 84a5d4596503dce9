// Builds the page's script: `npm ci && npm run build`.  Writes src/beltcast/app/assets/.
// `node build.mjs FOLDER --traced` writes one that logs the file of each function it enters.
import { build } from "esbuild";
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here("../src/beltcast/app/assets/");
const { plugins, banner } = process.argv.includes("--traced") ? await import("./trace.mjs") : { plugins: [] };
const common = { bundle: true, minify: true, write: false, target: "es2022", legalComments: "none", charset: "utf8", banner };

const worker = await build({ ...common, entryPoints: [here("src/worker.ts")], format: "iife", plugins });
const inlined = {
  name: "worker-code",
  setup(own) {
    own.onResolve({ filter: /^worker-code$/ }, () => ({ path: "worker-code", namespace: "inlined" }));
    own.onLoad({ filter: /.*/, namespace: "inlined" }, () => ({ contents: worker.outputFiles[0].text, loader: "text" }));
  },
};
const page = await build({ ...common, entryPoints: [here("src/main.ts")], format: "iife", plugins: [inlined, ...plugins] });
const css = await build({ ...common, entryPoints: [here("src/page.css")], bundle: true });
const licence = await readFile(here("node_modules/uplot/LICENSE"), "utf8");
await mkdir(folder, { recursive: true });
// A closing tag inside the script would end the element that it stands in.
await writeFile(`${folder}/page.js`, page.outputFiles[0].text.replaceAll("</script", "<\\/script"));
await writeFile(`${folder}/page.css`, css.outputFiles[0].text);
await writeFile(`${folder}/LICENSES.txt`, `page.js contains uPlot 1.6.32 (https://github.com/leeoniya/uPlot):\n\n${licence}`);
