/**
 * Builds the page: node build.mjs --onnx FOLDER --out SITE, a folder for any web server; or
 * node build.mjs --onnx FOLDER --out PAGE.html --single-file, one file that opens from disk.
 */

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const RUNTIME = ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const WORKERS = ["worker.js", "outliner.js"];
const { values } = parseArgs({
  options: {
    onnx: { type: "string" },
    out: { type: "string" },
    "single-file": { type: "boolean", default: false },
  },
});
if (!values.onnx || !values.out) {
  console.error("name the exported model and where to write: --onnx FOLDER --out SITE");
  process.exit(2);
}
const here = import.meta.dirname;
const runtime = (name) => join(here, "node_modules/onnxruntime-web/dist", name);
// The model, without its runner for Python.
const model = (await readdir(values.onnx)).filter((name) => ![".py", ".md"].includes(extname(name)));
const html = await readFile(join(here, "index.html"), "utf8");
await (values["single-file"] ? writePage() : writeFolder());

/** The text of a script or style sheet, with all that it imports. */
async function bundled(source, options = {}) {
  const { outputFiles } = await build({
    entryPoints: [join(here, source)],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
    ...options,
  });
  return outputFiles[0].text;
}

async function writeFolder() {
  const conditions = ["onnxruntime-web-use-extern-wasm"];
  const files = {
    "index.html": html,
    "style.css": await bundled("style.css"),
    "main.js": await bundled("src/ui/main.ts"),
  };
  for (const name of WORKERS) files[name] = await bundled(source(name), { conditions });
  for (const name of RUNTIME) files[name] = await readFile(runtime(name));
  const hashes = Object.entries(files).map(([name, text]) => [name, hash(text, "hex").slice(0, 16)]);
  const define = { FILES: JSON.stringify(Object.fromEntries(hashes)) };
  files["service.js"] = await bundled("src/service.ts", { define });
  await mkdir(join(values.out, "onnx"), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(values.out, name), text);
  for (const name of model) await cp(join(values.onnx, name), join(values.out, "onnx", name));
}

async function writePage() {
  const script = await bundled("src/ui/main.ts");
  const style = await bundled("style.css");
  const block = (kind, name, bytes) =>
    `<script type="text/plain" data-${kind}="${name}">${Buffer.from(bytes).toString("base64")}</script>`;
  // A page from disk has no workers that are modules.
  const options = { format: "iife", define: { "import.meta.url": "self.location.href" } };
  const blocks = [];
  for (const name of WORKERS) blocks.push(block("code", name, await bundled(source(name), options)));
  for (const name of model) blocks.push(block("file", name, await readFile(join(values.onnx, name))));
  blocks.push(block("file", RUNTIME[1], await readFile(runtime(RUNTIME[1]))));
  const policy = [
    "default-src 'none'",
    `script-src 'sha256-${hash(script, "base64")}' 'wasm-unsafe-eval' blob:`,
    `style-src 'sha256-${hash(style, "base64")}'`,
    "img-src data: blob:",
    "worker-src blob:",
    "connect-src blob: data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const parts = [
    [/(?<=Content-Security-Policy" content=")[^"]*/, policy],
    ['<link rel="stylesheet" href="style.css">', `<style>${style}</style>`],
    ['<script type="module" src="main.js"></script>', `<script type="module">${script}</script>`],
    ["</body>", `${blocks.join("\n")}\n</body>`],
  ];
  const page = parts.reduce((text, [from, to]) => text.replace(from, () => to), html);
  await writeFile(values.out, page);
}

function source(name) {
  return `src/${name.replace(/\.js$/, ".ts")}`;
}

function hash(content, encoding) {
  return createHash("sha256").update(content).digest(encoding);
}
