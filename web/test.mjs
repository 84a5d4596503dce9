// Runs test/*.test.ts with Node's own runner: `npm test`.
import { build } from "esbuild";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const names = (await readdir(here("test"))).filter((name) => name.endsWith(".test.ts"));
const folder = await mkdtemp(`${tmpdir()}/page-`);
await build({
  entryPoints: names.map((name) => here(`test/${name}`)), outdir: folder, outExtension: { ".js": ".mjs" },
  bundle: true, platform: "node", format: "esm",
});
const done = spawnSync(process.execPath, ["--test", folder], { stdio: "inherit" });
await rm(folder, { recursive: true });
process.exit(done.status ?? 1);
