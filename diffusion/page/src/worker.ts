/** The engine of the page in a worker, so that typing never stalls. */

import type { FromWorker, ToWorker } from "./messages";

const answer = (message: FromWorker) => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  answer({ id: data.id, kind: "error", code: "failed", text: "not drawn yet" });
};
