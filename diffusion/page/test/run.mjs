/** Asks the engine under node: node test/run.mjs < questions.json > answers.json */

import { text } from "node:stream/consumers";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = import.meta.dirname;
const bundle = join(here, "../node_modules/.cache/engine.mjs");
await build({
  entryPoints: [join(here, "engine.ts")],
  outfile: bundle,
  bundle: true,
  platform: "node",
  format: "esm",
  external: ["onnxruntime-web"],
  alias: { "onnxruntime-web/wasm": "onnxruntime-web" }, // which is WebAssembly under node
  logLevel: "warning",
});
const { answer } = await import(pathToFileURL(bundle));
process.stdout.write(JSON.stringify(await answer(JSON.parse(await text(process.stdin)))));
