/** The characters on the page, each with what it is made of. */

import { EM, UNITS, pathData, type Outline } from "../formats/outlines";
import type { Glyph, Radical } from "../messages";
import { button, chinese, make, unseen } from "./dom";
import { language, number, say, type Text } from "./say";

const SIDE = 128;
const FRAME = UNITS / EM; // of a glyph's picture, with the em box in its middle
const SVG = "http://www.w3.org/2000/svg";
const TURN = 260; // milliseconds from one state to the next, while a glyph comes out of noise

/** What a card knows of radicals and parts besides their forms. */
export interface Names {
  radicals: Map<number, Radical>;
  readings: Map<string, string[]>;
}

/** What a person can do with a card. */
export interface Actions {
  watch: (index: number) => void;
  png: (glyph: Glyph) => void;
  svg: (glyph: Glyph) => void;
}

/** One place for a character. */
export class Card {
  readonly item = make("li", { class: "card empty" });
  glyph: Glyph | null = null;
  private readonly canvas = make("canvas", { width: String(SIDE), height: String(SIDE) });
  private readonly figure = make("figure", {
    role: "img", "aria-label": say("A character, on its way"),
  });
  private readonly shape = document.createElementNS(SVG, "path");
  private readonly made = make("p", { class: "made" });
  private readonly facts = make("dl");
  private readonly tools = make("p", { class: "tools", hidden: "" });
  private film = 0; // which one is playing

  constructor(index: number, actions: Actions) {
    const place = { number: number(index + 1) };
    const tool = (text: Text | "PNG" | "SVG", of: Text, press: () => void) => {
      const shown = text === "PNG" || text === "SVG" ? text : say(text);
      const made = button(shown, press);
      made.append(unseen(` ${say(of, place)}`));
      return made;
    };
    this.tools.append(
      tool("Watch", "come out of noise, character {number}", () => actions.watch(index)),
      tool("PNG", "character {number}", () => this.glyph && actions.png(this.glyph)),
      tool("SVG", "character {number}", () => this.glyph && actions.svg(this.glyph)),
    );
    const sharp = document.createElementNS(SVG, "svg");
    const edge = (UNITS - FRAME) / 2;
    sharp.setAttribute("viewBox", `${edge} ${edge} ${FRAME} ${FRAME}`);
    sharp.setAttribute("aria-hidden", "true");
    sharp.append(this.shape);
    this.figure.append(this.canvas, sharp);
    this.item.append(this.figure, this.made, this.facts, this.tools);
  }

  /** Marks what is shown as no longer asked for, until the next glyph comes. */
  fade(): void {
    this.item.classList.add("old");
  }

  /** What is shown is still right. */
  settle(): void {
    this.item.classList.remove("old");
  }

  /** Shows a glyph and what it is made of. */
  show(glyph: Glyph, prompt: string, names: Names): void {
    this.film++;
    this.glyph = glyph;
    this.shape.removeAttribute("d");
    this.picture(glyph.image);
    this.item.className = "card";
    this.tools.hidden = false;
    this.figure.setAttribute("aria-label", said(glyph, prompt));
    this.made.replaceChildren(...components(glyph, names));
    this.facts.replaceChildren(...facts(glyph));
  }

  /** Shows the outline of a glyph in the place of its pixels, if it is still there. */
  sharpen(glyph: Glyph, outline: Outline): void {
    if (glyph !== this.glyph) return;
    this.shape.setAttribute("d", pathData(outline));
    if (!this.item.classList.contains("coming")) this.item.classList.add("sharp");
  }

  /** Plays states, from noise on, and then the glyph. */
  async play(states: Uint8Array[]): Promise<void> {
    const mine = ++this.film;
    const frames = [...states, this.glyph!.image];
    this.item.classList.remove("old", "sharp");
    this.item.classList.add("coming");
    const start = performance.now();
    const last = frames.length - 1;
    const mixed = new Uint8Array(SIDE * SIDE);
    for (let at = 0; at < last; ) {
      const time = await new Promise<number>(requestAnimationFrame);
      if (mine !== this.film) return;
      at = Math.min(last, Math.max(0, time - start) / TURN);
      const from = frames[Math.floor(at)];
      const to = frames[Math.min(last, Math.floor(at) + 1)];
      const share = at % 1;
      for (let i = 0; i < mixed.length; i++) mixed[i] = from[i] + share * (to[i] - from[i]);
      this.picture(mixed);
    }
    this.item.classList.remove("coming");
    if (this.shape.hasAttribute("d")) this.item.classList.add("sharp");
  }

  private picture(image: Uint8Array): void {
    const pixels = new ImageData(SIDE, SIDE);
    image.forEach((grey, i) => (pixels.data[4 * i + 3] = 255 - grey)); // ink on nothing
    this.canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  }
}

/** What a glyph is, in a sentence. */
export function said(glyph: Glyph, prompt: string): string {
  const whole = say("A character for “{prompt}”", { prompt });
  return glyph.part ? `${whole}: ${made(glyph)}` : whole;
}

/** What a glyph is made of: "金 and 里, left-right". */
export function made(glyph: Glyph): string {
  const { form, part } = glyph;
  return say("{form} and {part}, {layout}", { form, part, layout: say(glyph.layout as Text) });
}

function components(glyph: Glyph, names: Names): HTMLElement[] {
  const radical = glyph.radical === null ? undefined : names.radicals.get(glyph.radical);
  const one = (character: string, below: HTMLElement) =>
    make("span", { class: "one" }, chinese(character), below);
  const shown: HTMLElement[] = [];
  if (radical) {
    const name = language === "zh" ? `${radical.forms[0]}部` : radical.names[0];
    shown.push(one(glyph.form || radical.forms[0], make("span", {}, name)));
  }
  if (glyph.part) {
    const reading = names.readings.get(glyph.part)?.[0] ?? "";
    shown.push(make("span", { class: "plus", "aria-hidden": "true" }, "+"));
    shown.push(one(glyph.part, make("span", { lang: "zh-Latn" }, reading)));
  }
  return shown;
}

function facts(glyph: Glyph): HTMLElement[] {
  const row = (name: Text, ...values: (Node | string)[]) =>
    make("div", {}, make("dt", {}, say(name)), make("dd", {}, ...values));
  const rows: HTMLElement[] = [];
  if (glyph.layout) rows.push(row("Layout", say(glyph.layout as Text)));
  if (glyph.existing.length) rows.push(row("Is already", chinese(glyph.existing.join(" "))));
  const { character, likeness, exists } = glyph.match;
  const alike = make("small", {}, make("span", {}, `${say("likeness")} `), number(likeness, 2));
  rows.push(row(exists ? "Exists as" : "Nearest", chinese(character), " ", alike));
  rows.push(row("Seed", String(glyph.seed)));
  return rows;
}
