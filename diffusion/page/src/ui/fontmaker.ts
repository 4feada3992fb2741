/** A font of a list of words, each of which becomes its character as one types it. */

import { asked as askedOf, parsePrompt } from "../engine/text";
import type { Glyph } from "../messages";
import { COMMA } from "./chooser";
import { get } from "./dom";
import { type Engine, EngineError, type Listener, Superseded } from "./engine";
import { font, outline } from "./outlines";
import { say, wrong } from "./say";
import { asked, type State } from "./state";

const MOST = 500; // words at once
const FAMILY = "Tianshu";

/** The part of the page that makes fonts. */
export class FontMaker {
  private readonly form = get("font").querySelector("form")!;
  private readonly words = get<HTMLTextAreaElement>("words");
  private readonly bar = this.form.querySelector("progress")!;
  private readonly note = get("font-note");
  private idle: (() => void) | null = null;
  private face: FontFace | null = null;
  private readonly drawn = new Map<string, Glyph>(); // by what was asked for

  /**
   * @param engine that draws.
   * @param state whose radical, layout and seed hold for all words.
   * @param ready whether the model is there.
   */
  constructor(
    private readonly engine: Engine,
    private readonly state: () => State,
    private readonly ready: () => boolean,
  ) {
    this.words.placeholder = "gold\nsea monster\nrobot; sound luo";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.make();
    });
  }

  /** To be called whenever the engine has nothing else to do. */
  goOn(): void {
    this.idle?.();
    this.idle = null;
  }

  private async make(): Promise<void> {
    const lines = this.words.value.split("\n").map((line) => line.trim()).filter(Boolean);
    // "robot; sound luo" is typed as "robot"; the first line of a word counts.
    const words = new Map<string, string>();
    for (const line of lines) if (!words.has(typed(line))) words.set(typed(line), line);
    if (!words.size) return this.tell(say("Write at least one word for the font."));
    if (words.size > MOST)
      return this.tell(say("{count} words are too many at once: take at most {most}.", {
        count: words.size, most: MOST,
      }));
    const button = this.form.querySelector("button")!;
    button.disabled = true;
    this.bar.hidden = false;
    let now = "";
    try {
      const drawn: [string, Glyph][] = [];
      for (const [word, line] of words) {
        now = `${line}: `;
        this.bar.value = drawn.length / words.size;
        this.tell(say("{done} of {count} words", { done: drawn.length, count: words.size }));
        drawn.push([word, await this.draw(line)]);
      }
      now = "";
      await this.offer(drawn);
    } catch (error) {
      const code = error instanceof EngineError ? error.code : "other";
      this.tell(now + wrong(code, String((error as Error).message)));
    } finally {
      button.disabled = false;
      this.bar.hidden = true;
    }
  }

  private async draw(line: string): Promise<Glyph> {
    for (;;) {
      // What a person asks for above comes first.
      if (!this.ready() || this.engine.busy) await new Promise<void>((done) => (this.idle = done));
      const ask = asked({ ...this.state(), part: "", sound: "", strokes: [] }, 0, 1, line);
      const key = JSON.stringify(ask);
      const listener: Listener = { glyph: (one) => this.drawn.set(key, one) };
      try {
        if (!this.drawn.has(key)) await this.engine.draw(ask, listener);
        const glyph = this.drawn.get(key);
        if (glyph) return glyph;
      } catch (error) {
        if (!(error instanceof Superseded)) throw error;
      }
    }
  }

  private async offer(drawn: [string, Glyph][]): Promise<void> {
    const outlines = await Promise.all(drawn.map(([, glyph]) => outline(glyph)));
    const entries = drawn.map(([word], i) => ({ word, outline: outlines[i] }));
    const bytes = await font(entries);
    const face = new FontFace(FAMILY, bytes.buffer);
    document.fonts.add(await face.load());
    if (this.face) document.fonts.delete(this.face);
    this.face = face;
    const link = get("specimen").querySelector("a")!;
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([bytes], { type: "font/otf" }));
    link.download = `${FAMILY}.otf`;
    const words = drawn.map(([word]) => word);
    get<HTMLTextAreaElement>("typed").value = words.join(", ");
    get("specimen").hidden = false;
    this.tell(say("Your font is ready: {words}.", { words: words.join(COMMA) }));
  }

  private tell(text: string): void {
    this.note.textContent = text;
  }
}

/** What one types for a line: its words alone. */
function typed(line: string): string {
  return parsePrompt(askedOf(line)?.text ?? line).words;
}
