/** The field in which a person draws a whole character, with the pointer or by keyboard. */

import { button, make } from "./dom";
import { say } from "./say";
import { SIDE, paint, type Stroke } from "./strokes";

const STEP = 4; // of the brush by a key
const NEAR = 2; // points nearer to the last one say nothing
const SHOWN = 512; // pixels of the field's canvas
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** A card to draw on. */
export class Pad {
  readonly card = make("li", { class: "card pad" });
  strokes: Stroke[] = [];
  private readonly canvas = make("canvas", {
    width: String(SHOWN), height: String(SHOWN), tabindex: "0", role: "application",
    "aria-label": say("Your drawing"), "aria-describedby": "how-to-draw",
  });
  private readonly said = make("span", { class: "unseen", role: "status" });
  private brush: [number, number] = [SIDE / 2, SIDE / 2];
  private open: Stroke | null = null;

  /**
   * @param changed what to do whenever a stroke came or went.
   * @param closed what to do when the person is done with the field.
   */
  constructor(private readonly changed: () => void, closed: () => void) {
    const { canvas } = this;
    this.card.append(
      make("figure", {}, canvas),
      make("p", { class: "hint" }, say("Draw a whole character; those beside it follow it.")),
      make("p", { class: "unseen", id: "how-to-draw" }, say("A field to draw in with the pointer. By keyboard: arrows move the brush, space puts it down and lifts it.")),
      this.said,
      make("p", { class: "tools" },
        button(say("Undo"), () => this.keep(this.strokes.slice(0, -1))),
        button(say("Clear"), () => this.keep([])),
        button(say("Close"), closed)),
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.place(event));
      event.preventDefault();
      canvas.focus();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.open || !canvas.hasPointerCapture(event.pointerId)) return;
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.go(this.place(one));
    });
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.show());
  }

  /** Shows the strokes, in the colour of ink of the page. */
  show(): void {
    const context = this.canvas.getContext("2d")!;
    const style = getComputedStyle(this.canvas);
    context.clearRect(0, 0, SHOWN, SHOWN);
    context.strokeStyle = style.color;
    paint(context, this.strokes, SHOWN);
    if (!this.canvas.matches(":focus-visible")) return;
    context.fillStyle = style.accentColor;
    context.beginPath();
    const [x, y] = this.brush.map((value) => ((value + 0.5) * SHOWN) / SIDE);
    context.arc(x, y, this.open ? 14 : 8, 0, 2 * Math.PI);
    context.fill();
  }

  private keep(strokes: Stroke[]): void {
    this.open = null;
    this.strokes = strokes;
    this.show();
    this.changed();
  }

  private place(event: PointerEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    const along = (at: number, start: number, size: number) =>
      Math.max(0, Math.min(SIDE - 1, Math.round(((at - start) / size) * SIDE - 0.5)));
    return [along(event.clientX, box.left, box.width), along(event.clientY, box.top, box.height)];
  }

  private begin(point: [number, number]): void {
    this.open = [point];
    this.brush = point;
    this.strokes = [...this.strokes, this.open];
    this.show();
  }

  private go(point: [number, number]): void {
    const [x, y] = this.open![this.open!.length - 1];
    if (Math.hypot(point[0] - x, point[1] - y) < NEAR) return;
    this.open!.push(point);
    this.brush = point;
    this.show();
  }

  private end(): void {
    if (this.open) this.keep(this.strokes);
  }

  private key(event: KeyboardEvent): void {
    const arrow = ARROWS[event.key];
    if (event.key === " ") {
      if (this.open) this.end();
      else this.begin(this.brush);
      this.said.textContent = say(this.open ? "Brush down" : "Brush up");
    } else if (arrow) {
      const clip = (value: number) => Math.max(0, Math.min(SIDE - 1, value));
      this.brush = [clip(this.brush[0] + STEP * arrow[0]), clip(this.brush[1] + STEP * arrow[1])];
      if (this.open) this.go(this.brush);
      this.show();
    } else return;
    event.preventDefault();
  }
}
