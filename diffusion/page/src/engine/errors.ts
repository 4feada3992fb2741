import type { Code } from "../messages";

/** What cannot be drawn or loaded; the message is what it is about. */
export class PageError extends Error {
  constructor(
    readonly code: Code,
    about = "",
  ) {
    super(about);
  }
}
