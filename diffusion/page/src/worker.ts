/** The engine of the page in a worker, so that typing never stalls. */

import { Blender } from "./engine/blend";
import { draw } from "./engine/draw";
import { PageError } from "./engine/errors";
import { fetchFiles, unpackFiles } from "./engine/files";
import { Model, isNeeded } from "./engine/model";
import { RUNTIME, prepare, setRuntime } from "./engine/networks";
import type { Answer, Order } from "./messages";

/** Thrown in an order that another one has replaced. */
class Replaced extends Error {}

type Body = Answer extends infer One ? (One extends Answer ? Omit<One, "id"> : never) : never;
type Say = (body: Body) => void;

let latest = 0; // the order that is carried out
let before: Promise<void> = Promise.resolve(); // those that came before it
let model: Model | null = null;
let blender: Blender | null = null;
const { port1: here, port2: there } = new MessageChannel();

self.onmessage = ({ data: order }: MessageEvent<Order>) => {
  latest = order.id;
  before = before.then(() => answer(order));
};

/** Carries out one order, unless another has come since. */
async function answer(order: Order): Promise<void> {
  const say: Say = (body) => self.postMessage({ ...body, id: order.id });
  const pause = async () => {
    await nextTask();
    if (latest !== order.id) throw new Replaced();
  };
  try {
    await pause();
    await carryOut(order, say, pause);
  } catch (error) {
    if (error instanceof Replaced) return;
    const code = error instanceof PageError ? error.code : "other";
    say({ kind: "error", code, text: error instanceof Error ? error.message : String(error) });
  }
}

async function carryOut(order: Order, say: Say, pause: () => Promise<void>): Promise<void> {
  if (order.kind === "load") return load(order.files, say);
  if (order.kind === "cancel") return;
  if (!model) throw new PageError("other", "no model is loaded");
  const drawn =
    order.kind === "draw"
      ? draw(model, order.ask, pause)
      : blender!.blend(order.from, order.to, order.at, pause);
  for await (const one of drawn) say(one);
  say({ kind: "done" });
}

/** Loads the model beside the page, or that in `files`. */
async function load(files: Record<string, string> | undefined, say: Say): Promise<void> {
  const base = files ? undefined : new URL(".", self.location.href).href;
  const threads = prepare(base);
  const found = files
    ? unpackFiles(files)
    : await fetchFiles(new URL("onnx/", base).href, isNeeded, (loaded, total) =>
        say({ kind: "progress", loaded, total }),
      );
  if (files) setRuntime(await found.read(RUNTIME));
  model = await Model.load(found);
  blender = new Blender(model);
  const { radicals, usualParts } = model.pairings.parts;
  const backend = `wasm, ${threads} ${threads > 1 ? "threads" : "thread"}`;
  say({ kind: "ready", radicals, parts: usualParts, backend });
}

/** Lets messages in that have come meanwhile. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    here.onmessage = () => resolve();
    there.postMessage(null);
  });
}
