/** The engine of the page in a worker, so that typing never stalls. */

import type { Answer, Order } from "./messages";

const answer = (message: Answer) => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<Order>) => {
  answer({ id: data.id, kind: "error", code: "other", text: "not drawn yet" });
};
