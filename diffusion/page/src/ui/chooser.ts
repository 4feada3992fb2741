/** A field whose button opens a list of characters to choose from, with a box that finds them. */

import { chinese, get, make } from "./dom";
import { language, say, type Text } from "./say";

const MOST = 240; // shown at once

/** One line of the list. */
export interface Choice {
  value: string;
  /** The character, and its other forms; none for a choice in words. */
  characters: string[];
  /** Words below or in its place. */
  words: string;
  /** What finds it, in small letters, without accents. */
  found: string[];
}

/** Letters without case and accents: "lǐ" is "li". */
export function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
}

/** The field of an element of the page. */
export class Chooser {
  private readonly button = make("button", { type: "button", class: "value" });
  private readonly panel: HTMLElement;
  private readonly box: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly rest = make("p", { class: "hint", role: "status" });
  private choices: Choice[] = [];
  private shown: Choice[] = [];
  private active = -1;
  private current = "";

  /**
   * @param id of the element, which holds the label.
   * @param find what the box says.
   * @param free whether any text can be chosen, or only what is in the list.
   * @param chosen what to do with a choice.
   */
  constructor(
    id: string,
    find: Text,
    private readonly free: boolean,
    private readonly chosen: (value: string) => void,
  ) {
    const field = get(id);
    const label = field.querySelector(".label")!;
    label.id = `${id}-label`;
    this.button.id = `${id}-value`;
    this.button.setAttribute("aria-labelledby", `${label.id} ${this.button.id}`);
    this.button.setAttribute("aria-haspopup", "dialog");
    this.box = make("input", {
      type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": `${id}-list`,
      "aria-autocomplete": "list", "aria-label": say(find), placeholder: say(find),
      spellcheck: "false", autocapitalize: "none", autocomplete: "off",
    });
    this.list = make("div", {
      role: "listbox", id: `${id}-list`, class: "choices", "aria-labelledby": label.id,
      tabindex: "-1",
    });
    this.panel = make("div",
      { popover: "auto", role: "dialog", class: "chooser", "aria-labelledby": label.id },
      this.box, this.list, this.rest);
    field.append(this.button, this.panel);
    this.button.popoverTargetElement = this.panel;
    this.panel.addEventListener("beforetoggle", (event) => {
      if (event.newState !== "open") return this.list.replaceChildren();
      this.box.value = "";
      this.box.autofocus = true; // of the list, once it shows, not of the page
      this.filter();
      this.place();
    });
    this.box.addEventListener("input", () => this.filter());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => {
      const option = (event.target as Element).closest("[role=option]");
      if (option) this.take(this.shown[[...this.list.children].indexOf(option)].value);
    });
    this.label();
  }

  /** What can be chosen. */
  offer(choices: Choice[]): void {
    this.choices = choices;
    this.label();
  }

  get value(): string {
    return this.current;
  }

  set value(value: string) {
    this.current = value;
    this.label();
  }

  set disabled(disabled: boolean) {
    this.button.disabled = disabled;
  }

  private label(): void {
    const text = this.current;
    const one = this.choices.find(({ value }) => value === text)
      ?? (text ? this.choices.find(({ found }) => found.includes(plain(text))) : undefined);
    if (one?.characters.length) {
      const words = make("span", {}, one.words);
      this.button.replaceChildren(chinese(one.characters[0]), " ", words);
    } else this.button.replaceChildren(one?.value === "" || !text ? say("any") : text);
    this.button.classList.toggle("set", text !== "");
  }

  private filter(): void {
    const typed = this.box.value.trim();
    const asked = plain(typed);
    const found = this.choices.filter(
      (one) => !asked || one.found.some((text) => text.startsWith(asked)),
    );
    const exact = (one: Choice) => Number(one.found.includes(asked));
    if (asked) found.sort((a, b) => exact(b) - exact(a));
    if (this.free && typed && !found.some((one) => one.value === typed))
      found.push({ value: typed, characters: [], words: `“${typed}”`, found: [] });
    this.shown = found.slice(0, MOST);
    this.list.replaceChildren(...this.shown.map((one, i) => this.option(one, i)));
    const more = found.length - this.shown.length;
    const none = found.length ? "" : say("Nothing of that name.");
    this.rest.textContent = more ? say("Type to find {count} more.", { count: more }) : none;
    this.activate(typed && found.length ? 0 : -1);
  }

  private option(one: Choice, i: number): HTMLElement {
    const words = make("span", {}, one.words);
    return make("div",
      {
        role: "option", id: `${this.list.id}-${i}`,
        class: one.characters.length ? "" : "plain",
        "aria-selected": String(one.value === this.current),
      },
      ...one.characters.slice(0, 1).map(chinese), words,
      ...one.characters.length > 1 ? [make("small", {}, chinese(one.characters.slice(1).join(" ")))] : []);
  }

  private activate(i: number): void {
    this.list.querySelector(".active")?.classList.remove("active");
    this.active = i;
    const option = this.list.children[i];
    if (!option) return this.box.removeAttribute("aria-activedescendant");
    option.classList.add("active");
    option.scrollIntoView({ block: "nearest" });
    this.box.setAttribute("aria-activedescendant", option.id);
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    const last = this.shown.length - 1;
    const inList = this.active >= 0;
    let to = this.active;
    if (event.key === "Enter") {
      event.preventDefault();
      if (inList) this.take(this.shown[this.active].value);
      return;
    }
    if (event.key === "ArrowDown") to = inList ? this.below(1) : 0;
    else if (event.key === "ArrowUp" && inList) to = this.below(-1);
    else if (event.key === "ArrowRight" && inList) to++;
    else if (event.key === "ArrowLeft" && inList) to--;
    else return;
    event.preventDefault();
    this.activate(Math.max(0, Math.min(last, to)));
  }

  /** The option a row further down or up, as near as there is one. */
  private below(step: 1 | -1): number {
    const options = [...this.list.children] as HTMLElement[];
    const { offsetTop, offsetLeft } = options[this.active];
    let row: number | null = null;
    let best = this.active;
    for (let i = this.active + step; i >= 0 && i < options.length; i += step) {
      const one = options[i];
      if (one.offsetTop === offsetTop) continue;
      row ??= one.offsetTop;
      if (one.offsetTop !== row) break;
      const off = (j: number) => Math.abs(options[j].offsetLeft - offsetLeft);
      if (best === this.active || off(i) < off(best)) best = i;
    }
    return best;
  }

  private take(value: string): void {
    this.value = value;
    this.panel.hidePopover();
    this.button.focus();
    this.chosen(value);
  }

  /** Below the field, as far as the window has room, which the style sheet sees to. */
  private place(): void {
    const { left, bottom } = this.button.getBoundingClientRect();
    this.panel.style.setProperty("--left", `${left}px`);
    this.panel.style.setProperty("--top", `${bottom + 8}px`);
  }
}

/** The choices that stand for no character. */
export function wordless(none: Text): Choice[] {
  const one = (value: string, words: string) => ({
    value, characters: [], words, found: [plain(words), value],
  });
  return [one("", say("any")), one("none", `${say("none")}: ${say(none)}`)];
}

/** What separates words in the language of the page. */
export const COMMA = language === "zh" ? "、" : ", ";
