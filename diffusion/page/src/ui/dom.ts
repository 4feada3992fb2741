/** Elements of the page. Text is only ever set as text. */

type Child = Node | string;

/** An element of the page by its id. */
export function get<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** A new element with attributes and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A quiet button with a text. */
export function button(text: string, press: () => void): HTMLButtonElement {
  const made = make("button", { type: "button", class: "quiet" }, text);
  made.addEventListener("click", press);
  return made;
}

/** Text for screen readers alone. */
export function unseen(text: string): HTMLElement {
  return make("span", { class: "unseen" }, text);
}

/** Chinese characters, so that they are read and set as such. */
export function chinese(text: string): HTMLElement {
  return make("b", { lang: "zh", translate: "no" }, text);
}

/** A function that runs once nothing called it for some milliseconds. */
export function settled(run: () => void, wait: number): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(run, wait);
  };
}
