/** Builds the page: node build.mjs --onnx FOLDER --out SITE */

import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const { values } = parseArgs({
  options: { onnx: { type: "string" }, out: { type: "string" } },
});
if (!values.onnx || !values.out) {
  console.error("name the exported model and the folder to write: --onnx FOLDER --out SITE");
  process.exit(2);
}
const here = import.meta.dirname;
await mkdir(values.out, { recursive: true });
await build({
  entryPoints: [join(here, "src/worker.ts")],
  outdir: values.out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  logLevel: "warning",
});
for (const name of ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  await cp(join(here, "node_modules/onnxruntime-web/dist", name), join(values.out, name));
}
await cp(values.onnx, join(values.out, "onnx"), { recursive: true });
