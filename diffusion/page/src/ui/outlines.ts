/** The worker that traces glyphs and makes fonts, as the page sees it. */

import type { Entry } from "../formats/font";
import type { Outline } from "../formats/outlines";
import type { Glyph } from "../messages";
import type { Result, Task } from "../outliner";
import { startWorker } from "./start";

type Body = Task extends infer One ? (One extends Task ? Omit<One, "id"> : never) : never;

let worker: Worker | null = null;
let last = 0;
const waiting = new Map<number, (result: Result) => void>();
const traced = new WeakMap<Uint8Array, Promise<Outline>>();

/** The outline of a glyph. */
export function outline({ image }: Glyph): Promise<Outline> {
  const known = traced.get(image);
  if (known) return known;
  const found = send({ kind: "trace", image }).then((result) => {
    if ("outline" in result) return result.outline;
    throw new Error("error" in result ? result.error : "no outline");
  });
  traced.set(image, found);
  return found;
}

/** The bytes of an .otf. */
export async function font(entries: Entry[]): Promise<Uint8Array<ArrayBuffer>> {
  const result = await send({ kind: "font", entries });
  if ("font" in result) return result.font;
  throw new Error("error" in result ? result.error : "no font");
}

function send(task: Body): Promise<Result> {
  if (!worker) {
    worker = startWorker("outliner.js");
    worker.addEventListener("message", ({ data }: MessageEvent<Result>) => {
      waiting.get(data.id)?.(data);
      waiting.delete(data.id);
    });
  }
  const id = ++last;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker!.postMessage({ ...task, id });
  });
}
