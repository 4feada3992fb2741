/** The worker, as the page sees it: one drawing at a time, a new one in the place of the last. */

import type { Answer, Ask, Code, Glyph, Order, Part, Passed, Radical } from "../messages";

/** What the worker could not do. */
export class EngineError extends Error {
  constructor(readonly code: Code, text: string) {
    super(text);
  }
}

/** Thrown at a drawing in whose place came another. */
export class Superseded extends Error {}

/** What to do with what comes on the way. */
export interface Listener {
  glyph?: (glyph: Glyph) => void;
  state?: (image: Uint8Array, time: number) => void;
  warning?: (code: Passed, text: string) => void;
  progress?: (loaded: number, total: number) => void;
  ready?: (radicals: Radical[], parts: Part[], backend: string) => void;
}

type Body = Order extends infer One ? (One extends Order ? Omit<One, "id"> : never) : never;

/** Sends orders to a worker. Only one is under way; the answers to others are dropped. */
export class Engine {
  private last = 0;
  private current: { listener: Listener; resolve: () => void; reject: (e: Error) => void } | null =
    null;

  constructor(private readonly worker: Worker) {
    worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.hear(data));
    worker.addEventListener("error", (event) => {
      this.finish(new EngineError("other", event.message || "the worker did not start"));
    });
  }

  /** Whether something is being drawn. */
  get busy(): boolean {
    return this.current !== null;
  }

  /** Fetches the model; of a page in a single file, its files are given. */
  load(listener: Listener, files?: Record<string, string>): Promise<void> {
    return this.send({ kind: "load", files }, listener);
  }

  /** Draws what is asked for. */
  draw(ask: Ask, listener: Listener): Promise<void> {
    return this.send({ kind: "draw", ask }, listener);
  }

  /** Draws between two, `at` from 0 to 1. */
  blend(from: Ask, to: Ask, at: number, listener: Listener): Promise<void> {
    return this.send({ kind: "blend", from, to, at }, listener);
  }

  /** Stops what is being drawn. */
  cancel(): void {
    if (!this.current) return;
    this.worker.postMessage({ id: this.last, kind: "cancel" } satisfies Order);
    this.finish(new Superseded());
  }

  private send(order: Body, listener: Listener): Promise<void> {
    this.finish(new Superseded());
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.current = { listener, resolve, reject };
      this.worker.postMessage({ ...order, id });
    });
  }

  private hear(answer: Answer): void {
    if (answer.id !== this.last || !this.current) return;
    const { listener } = this.current;
    switch (answer.kind) {
      case "glyph": return listener.glyph?.(answer.glyph);
      case "state": return listener.state?.(answer.image, answer.time);
      case "warning": return listener.warning?.(answer.code, answer.text);
      case "progress": return listener.progress?.(answer.loaded, answer.total);
      case "error": return this.finish(new EngineError(answer.code, answer.text));
      case "ready":
        listener.ready?.(answer.radicals, answer.parts, answer.backend);
        return this.finish();
      case "done": return this.finish();
    }
  }

  private finish(error?: Error): void {
    const { current } = this;
    this.current = null;
    if (error) current?.reject(error);
    else current?.resolve();
  }
}
