/**
 * Keeps all files of the page once they were fetched, and isolates it from other origins.
 *
 * Hosts such as GitHub Pages send no COOP and COEP headers, without which WebAssembly has no
 * threads; what comes through here has them.
 */

/** By the names of the page's files, a hash of each; build.mjs puts them here. */
declare const FILES: Record<string, string>;

interface Waiting extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Waiting {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Service extends EventTarget {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
}

const CACHE = "page"; // the worker keeps the files of the model in another one
const service = self as unknown as Service;
const scope = service.registration.scope;
const key = (name: string) => new URL(`${name}?${FILES[name]}`, scope).href;

service.addEventListener("install", (event) => {
  const small = Object.keys(FILES).filter((name) => /\.(html|css|js)$/.test(name));
  (event as Waiting).waitUntil(Promise.all(small.map(async (name) => keep(name, await load(name)))));
});

service.addEventListener("activate", (event) => {
  const clean = async () => {
    const cache = await caches.open(CACHE);
    const kept = new Set(Object.keys(FILES).map(key));
    for (const { url } of await cache.keys()) if (!kept.has(url)) await cache.delete(url);
    await service.clients.claim();
  };
  (event as Waiting).waitUntil(clean());
});

service.addEventListener("fetch", (event) => {
  const fetching = event as Fetching;
  const { origin, pathname } = new URL(fetching.request.url);
  const place = new URL(scope);
  if (origin !== place.origin || !pathname.startsWith(place.pathname)) return;
  const name = pathname.slice(place.pathname.length) || "index.html";
  if (Object.hasOwn(FILES, name)) fetching.respondWith(answer(name, fetching));
});

async function answer(name: string, event: Waiting): Promise<Response> {
  let response = await (await caches.open(CACHE)).match(key(name));
  if (!response) {
    response = await load(name);
    if (response.status === 200) {
      // A download that is cut off is not kept.
      event.waitUntil(keep(name, response.clone()).catch(() => {}));
    }
  }
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, headers });
}

const load = (name: string) => fetch(new URL(name, scope), { cache: "no-cache" });

async function keep(name: string, response: Response): Promise<void> {
  await (await caches.open(CACHE)).put(key(name), response);
}
