/** Outlines and fonts in a worker of their own: each glyph takes longer than a page may stand still. */

import { makeFont, type Entry } from "./formats/font";
import { trace, type Outline } from "./formats/outlines";

/** To the worker. */
export type Task = { id: number } & (
  | { kind: "trace"; image: Uint8Array }
  | { kind: "font"; entries: Entry[] }
);

/** From the worker: what the task asks for, or why there is none. */
export type Result = { id: number } & (
  | { outline: Outline }
  | { font: Uint8Array<ArrayBuffer> }
  | { error: string }
);

self.onmessage = ({ data: task }: MessageEvent<Task>) => {
  const answer = (result: Result) => self.postMessage(result);
  const { id } = task;
  try {
    if (task.kind === "trace") answer({ id, outline: trace(task.image) });
    else answer({ id, font: makeFont(task.entries) });
  } catch (error) {
    answer({ id, error: String(error) });
  }
};
