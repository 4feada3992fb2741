/** The page: what a person asks for goes to the worker, and what comes back is shown. */

import type { Glyph } from "../messages";
import { Card, made, type Names } from "./cards";
import { Chooser, plain, wordless } from "./chooser";
import { get, make, settled } from "./dom";
import { savePng, saveSheet, saveSvg } from "./download";
import { Engine, EngineError, Superseded, type Listener } from "./engine";
import { FontMaker } from "./fontmaker";
import { outline } from "./outlines";
import { Pad } from "./pad";
import { language, number, passed, say, translate, wrong } from "./say";
import { keepOffline, modelInside, startWorker } from "./start";
import { FOUR, asked, fresh, parameters, read, remember, seedOf, type State } from "./state";

const PAUSE = 150; // milliseconds without a key, before words are drawn
const SCROLLED = 24; // characters that scrolling alone brings

translate();
let state: State = read(parameters());
let ready = false;
const names: Names = { radicals: new Map(), readings: new Map() };
const cards: Card[] = [];
const engine = new Engine(startWorker("worker.js"));

const prompt = get<HTMLInputElement>("prompt");
const to = get<HTMLInputElement>("to");
const at = get<HTMLInputElement>("at");
const sound = get<HTMLInputElement>("sound");
const guidance = get<HTMLInputElement>("guidance");
const seed = get<HTMLInputElement>("seed");
const list = get("cards");
const more = get<HTMLButtonElement>("more");
const note = get("note");

const radical = new Chooser("radical", "Find a radical: metal, 金 or 167", false, (value) =>
  change({ radical: value }),
);
const part = new Chooser("part", "Find a part: 里, lǐ, or ghost", true, (value) =>
  change({ part: value, sound: value ? "" : state.sound }),
);
const pad = new Pad(() => change({ strokes: pad.strokes }), () => showPad(false));
const fonts = new FontMaker(engine, () => state, () => ready);

// ---- what is asked for ----------------------------------------------------------------------

/** Takes over what changed, and draws anew; other characters begin with four. */
function change(changed: Partial<State>, wait = false): void {
  state = { ...state, count: FOUR, ...changed };
  remember(state, language);
  showState();
  resize(state.count);
  for (const card of cards) card.fade();
  if (wait) drawSoon();
  else void draw(0);
}

/** Shows in the controls what is asked for, but in none that somebody is typing in. */
function showState(): void {
  const put = (input: HTMLInputElement, value: string) => {
    if (document.activeElement !== input || input.type === "range") input.value = value;
  };
  put(prompt, state.prompt);
  put(to, state.to ?? "");
  put(at, String(state.at));
  put(sound, state.sound);
  put(seed, String(state.seed));
  put(guidance, String(state.guidance ?? 1));
  radical.value = state.radical;
  part.value = state.part;
  const layout = document.querySelector<HTMLInputElement>(`[name=layout][value="${state.layout}"]`);
  layout!.checked = true;
  const usual = state.guidance === null;
  guidance.nextElementSibling!.textContent = usual ? say("as usual") : number(state.guidance!, 1);
  guidance.classList.toggle("set", !usual);
  const two = state.to !== null;
  get("second").hidden = get("slide").hidden = !two;
  get("prompts").classList.toggle("two", two);
  const between = get("between");
  between.textContent = say(two ? "One word" : "Between two");
  between.setAttribute("aria-expanded", String(two));
  const drawn = state.strokes.length > 0;
  part.disabled = sound.disabled = drawn;
  const { prompt: words, seed: number_, count, to: other, at: share, ...set } = state;
  get("reset").hidden = !Object.values(set).some((one) => (Array.isArray(one) ? one.length : one));
}

function showPad(open: boolean): void {
  get("pen").setAttribute("aria-pressed", String(open));
  if (!open) {
    const inside = pad.card.contains(document.activeElement);
    pad.card.remove();
    if (inside) get("pen").focus();
    if (state.strokes.length) {
      pad.strokes = [];
      change({ strokes: [] });
    }
    return;
  }
  list.prepend(pad.card);
  pad.strokes = state.strokes;
  pad.show();
}

// ---- drawing --------------------------------------------------------------------------------

const drawSoon = settled(() => void draw(0), PAUSE);

/** Draws what is asked for from one character on, four at a time. */
async function draw(start: number): Promise<void> {
  if (!ready) return;
  const now = state;
  if (!now.prompt.trim() && !now.radical) {
    engine.cancel();
    return stop("empty", "");
  }
  list.setAttribute("aria-busy", "true");
  get("ask").classList.add("busy");
  const warnings: string[] = [];
  const glyphs: Glyph[] = [];
  const listener: Listener = {
    glyph: (glyph) => {
      glyphs.push(glyph);
      cards[glyph.index]?.show(glyph, now.prompt || glyph.caption, names);
    },
    warning: (code, text) => {
      const said = passed(code, text);
      if (!warnings.includes(said)) warnings.push(said);
      tell(warnings.join(" "));
    },
  };
  try {
    for (let i = start; i < now.count; i += FOUR) {
      const ask = asked(now, i, FOUR);
      if (now.to?.trim()) await engine.blend(ask, asked(now, i, FOUR, now.to), now.at, listener);
      else await engine.draw(ask, listener);
      if (!warnings.length) tell("");
    }
  } catch (error) {
    if (error instanceof Superseded) return;
    const known = error instanceof EngineError;
    return stop(known ? error.code : "other", String((error as Error).message));
  }
  idle();
  const whole = { count: glyphs.length, prompt: now.prompt || (glyphs[0]?.caption ?? "") };
  const parts = glyphs.filter((glyph) => glyph.part).map(made).join("; ");
  get("said").textContent = `${say("{count} characters for “{prompt}”", whole)}: ${parts}`;
}

/** Says what went wrong. What was drawn before stays. */
function stop(code: Parameters<typeof wrong>[0], text: string): void {
  tell(wrong(code, text));
  for (const card of cards) card.settle();
  idle();
}

function idle(): void {
  list.removeAttribute("aria-busy");
  get("ask").classList.remove("busy");
  more.hidden = !cards.some((card) => card.glyph);
  get("all").hidden = more.hidden;
  fonts.goOn();
  void sharpen();
}

/** Puts outlines in the place of pixels, while there is nothing to draw. */
async function sharpen(): Promise<void> {
  for (const card of cards) {
    if (engine.busy) return;
    if (card.glyph) card.sharpen(card.glyph, await outline(card.glyph));
  }
}

function tell(text: string, ...beside: Node[]): void {
  if (note.textContent !== text || beside.length) note.replaceChildren(text, ...beside);
}

/** As many places for characters as there are to be. */
function resize(count: number): void {
  while (cards.length > count) cards.pop()!.item.remove();
  while (cards.length < count) {
    const card = new Card(cards.length, {
      watch: (index) => void watch(index),
      png: (glyph) => void savePng(glyph, state),
      svg: (glyph) => void saveSvg(glyph, state),
    });
    cards.push(card);
    list.append(card.item);
  }
}

/** Four more, below those that are there. */
function drawMore(): Promise<void> {
  const start = state.count;
  state = { ...state, count: start + FOUR };
  remember(state, language);
  resize(state.count);
  return draw(start);
}

/** Lets one character come out of noise once more. */
async function watch(index: number): Promise<void> {
  const states: Uint8Array[] = [];
  const ask = { ...asked(state, index, 1), steps: true };
  const listener: Listener = { state: (image) => states.push(image) };
  try {
    if (state.to?.trim()) {
      const other = { ...asked(state, index, 1, state.to), steps: true };
      await engine.blend(ask, other, state.at, listener);
    } else await engine.draw(ask, listener);
  } catch (error) {
    if (error instanceof EngineError) stop(error.code, error.message);
    return;
  }
  idle();
  await cards[index]?.play(states);
}

// ---- controls -------------------------------------------------------------------------------

/** The slider draws what it can: while one place is drawn, only the last one waits. */
async function slide(): Promise<void> {
  state = { ...state, at: Number(at.value), count: FOUR };
  if (sliding) return;
  sliding = true;
  resize(FOUR);
  for (let drawnAt = NaN; drawnAt !== state.at; ) {
    drawnAt = state.at;
    await draw(0);
  }
  sliding = false;
  remember(state, language);
}
let sliding = false;

prompt.addEventListener("input", () => change({ prompt: prompt.value }, true));
to.addEventListener("input", () => change({ to: to.value }, true));
at.addEventListener("input", () => void slide());
sound.addEventListener("input", () =>
  change({ sound: sound.value.trim(), part: sound.value.trim() ? "" : state.part }, true),
);
guidance.addEventListener("input", () => change({ guidance: Number(guidance.value) }, true));
seed.addEventListener("input", () => {
  const value = seedOf(seed.value);
  if (value === null) tell(say("A seed is a whole number from 0 on."));
  else change({ seed: value }, true);
});
seed.addEventListener("blur", () => (seed.value = String(state.seed)));
for (const one of document.querySelectorAll<HTMLInputElement>("[name=layout]"))
  one.addEventListener("change", () => change({ layout: one.value }));
get("others").addEventListener("click", () => change({ seed: state.seed + state.count }));
get("pen").addEventListener("click", () => {
  showPad(!pad.card.isConnected);
  if (pad.card.isConnected) pad.card.querySelector("canvas")!.focus();
});
get("reset").addEventListener("click", () => {
  const { prompt: words, seed: same, to: other, at: share } = state;
  state = { ...fresh(words), seed: same, to: other, at: share };
  if (pad.card.isConnected) showPad(false);
  change({});
  prompt.focus();
});
get("between").addEventListener("click", () => {
  change({ to: state.to === null ? "" : null });
  (state.to === null ? prompt : to).focus();
});
get("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  void draw(0);
});
more.addEventListener("click", () => void drawMore());
get("all").querySelectorAll("button").forEach((button) =>
  button.addEventListener("click", () => {
    const glyphs = cards.flatMap((card) => card.glyph ?? []);
    void saveSheet(glyphs, state, button.value as "png" | "svg");
  }),
);
for (const kind of ["wheel", "touchmove"])
  addEventListener(kind, () => {
    const below = more.hidden || more.getBoundingClientRect().top > innerHeight;
    if (!below && !engine.busy && state.count < SCROLLED) void drawMore();
  }, { passive: true });
get<HTMLAnchorElement>("language").addEventListener("click", (event) => {
  event.preventDefault();
  remember(state, language === "zh" ? "en" : "zh");
  location.reload();
});

// ---- the beginning --------------------------------------------------------------------------

/** Fetches the model, with a bar that says how far it is. */
async function load(files?: Record<string, string>): Promise<void> {
  const loading = get("loading");
  const bar = loading.querySelector("progress")!;
  const words = loading.querySelector("p")!;
  const million = (bytes: number) => number(bytes / 1e6);
  tell("");
  loading.hidden = false;
  try {
    await engine.load({
      progress: (loaded, total) => {
        bar.value = loaded / total;
        const values = { loaded: million(loaded), total: million(total) };
        words.textContent = loaded < total
          ? say("Fetching the model, {loaded} of {total} MB. This happens once; afterwards the page works offline.", values)
          : say("Preparing the model.");
      },
      ready: (radicals, parts) => {
        for (const one of radicals) names.radicals.set(one.number, one);
        for (const { part, readings } of parts) names.readings.set(part, readings);
        radical.offer([...wordless("no radical before the words"), ...radicals.map((one) => ({
          value: one.forms[0],
          characters: one.forms,
          words: language === "zh" ? String(one.number) : one.names[0],
          found: [String(one.number), ...one.forms, ...one.names.map(plain)],
        }))]);
        part.offer([...wordless("left to the network"), ...parts.map(({ part, readings }) => ({
          value: part,
          characters: [part],
          words: readings[0] ?? "",
          found: [part, ...readings.map(plain)],
        }))]);
      },
    }, files);
  } catch (error) {
    const code = error instanceof EngineError ? error.code : "other";
    const again = make("button", { type: "button" }, say("Try again"));
    again.addEventListener("click", () => void load(files));
    tell(`${wrong(code, String((error as Error).message))} `, ...(code === "no-simd" ? [] : [again]));
    loading.hidden = true;
    return;
  }
  loading.hidden = true;
  ready = true;
  await draw(0);
}

resize(state.count);
showState();
if (state.strokes.length) showPad(true);
if (matchMedia("(pointer: fine)").matches) {
  prompt.focus();
  // An example, in whose place one types; or words, behind which one goes on.
  prompt.setSelectionRange(parameters().has("prompt") ? prompt.value.length : 0, prompt.value.length);
}
void keepOffline().then(() => load(modelInside()));
