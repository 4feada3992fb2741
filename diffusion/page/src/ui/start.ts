/** How the page begins: its workers, and the service worker that keeps it for when it is offline. */

const PATIENCE = 3000; // milliseconds for the service worker, before all goes on without
const TRIED = "isolated"; // a key: whether the page was already opened once more

/** A worker; of a page in a single file, its code is in the page. */
export function startWorker(name: string): Worker {
  const code = document.querySelector(`[data-code="${name}"]`)?.textContent;
  if (code === undefined || code === null) return new Worker(name, { type: "module" });
  const bytes = Uint8Array.from(atob(code), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  return new Worker(address);
}

/** The files of the model, in base64, where they are in the page itself. */
export function modelInside(): Record<string, string> | undefined {
  const elements = [...document.querySelectorAll<HTMLElement>("[data-file]")];
  if (!elements.length) return undefined;
  const files = Object.fromEntries(elements.map((one) => [one.dataset.file!, one.textContent!]));
  for (const one of elements) one.remove(); // it is large
  return files;
}

/**
 * Starts the service worker, so that all that is fetched from now on is kept.
 *
 * Where the host does not isolate the page, the service worker does, and the page opens once more:
 * only then may WebAssembly have threads. What is asked for is in the address and stays.
 */
export async function keepOffline(): Promise<void> {
  const { serviceWorker } = navigator;
  if (!serviceWorker || !isSecureContext || location.protocol === "file:") return;
  try {
    await serviceWorker.register("service.js");
    if (!serviceWorker.controller) {
      const controlled = new Promise<unknown>((resolve) =>
        serviceWorker.addEventListener("controllerchange", resolve, { once: true }),
      );
      await Promise.race([controlled, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    }
    if (serviceWorker.controller && !crossOriginIsolated && !sessionStorage.getItem(TRIED)) {
      sessionStorage.setItem(TRIED, "yes");
      location.reload();
      await new Promise((resolve) => setTimeout(resolve, PATIENCE)); // unless somebody stops it
    }
  } catch {
    // Without a service worker, as in some private windows, the page just is not kept.
  }
}
