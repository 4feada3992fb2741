/** The files of an exported model: fetched once, checked, and kept for when there is no network. */

import { PageError } from "./errors";
import type { Settings } from "./settings";

/** manifest.json of an exported model. */
export interface Manifest {
  format: number;
  model: string;
  files: Record<string, { sha256: string; bytes: number }>;
  settings: Settings;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** A model whose files can be read by their names. */
export interface Files {
  manifest: Manifest;
  read: (name: string) => Promise<Bytes>;
}

export type Progress = (loaded: number, total: number) => void;

const FORMAT = 1;
const MANIFEST = "manifest.json";
const CACHE = "tianshu";
const PAUSES = [500, 2000]; // milliseconds before another try, as networks come back

/** The model in a folder of a server, of whose files some are needed. */
export async function fetchFiles(
  base: string,
  needed: (name: string) => boolean,
  progress: Progress,
): Promise<Files> {
  const cache = "caches" in globalThis ? await caches.open(CACHE).catch(() => null) : null;
  const address = new URL(MANIFEST, base).href;
  const manifest = parseManifest(await fetchManifest(address, cache));
  const names = Object.keys(manifest.files).filter(needed);
  const addresses = new Map(
    names.map((name) => [name, new URL(`${name}?${manifest.files[name].sha256}`, base).href]),
  );
  const loaded = new Map(names.map((name) => [name, 0]));
  const total = names.reduce((sum, name) => sum + manifest.files[name].bytes, 0);
  const report = (name: string, bytes: number) => {
    loaded.set(name, bytes);
    progress([...loaded.values()].reduce((sum, one) => sum + one), total);
  };

  async function read(name: string): Promise<Bytes> {
    const url = addresses.get(name);
    if (!url) throw new PageError("damaged", MANIFEST);
    const entry = manifest.files[name];
    const kept = await cache?.match(url);
    if (kept) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      if (await isSound(bytes, entry)) {
        report(name, bytes.length);
        return bytes;
      }
    }
    for (const mode of ["default", "reload"] as const) {
      const bytes = await retried(name, () =>
        receive(url, mode, entry.bytes, (loaded) => report(name, loaded)),
      );
      if (!(await isSound(bytes, entry))) continue;
      await cache?.put(url, new Response(bytes)).catch(() => undefined); // the disk may be full
      return bytes;
    }
    throw new PageError("damaged", name);
  }

  for (const { url } of (await cache?.keys()) ?? []) {
    if (url !== address && ![...addresses.values()].includes(url)) await cache?.delete(url);
  }
  return { manifest, read };
}

/** The model that comes with the page, its files in base64. */
export function unpackFiles(files: Record<string, string>): Files {
  const read = async (name: string) => {
    if (!(name in files)) throw new PageError("damaged", name);
    return fromBase64(files[name]);
  };
  return { manifest: parseManifest(new TextDecoder().decode(fromBase64(files[MANIFEST]))), read };
}

/** The manifest as it is now, or as it was when there was a network. */
async function fetchManifest(address: string, cache: Cache | null): Promise<string> {
  try {
    const bytes = await retried(MANIFEST, () => receive(address, "no-cache"));
    await cache?.put(address, new Response(bytes)).catch(() => undefined);
    return new TextDecoder().decode(bytes);
  } catch (error) {
    const kept = await cache?.match(address);
    if (kept) return kept.text();
    throw error;
  }
}

function parseManifest(text: string): Manifest {
  try {
    const manifest = JSON.parse(text) as Manifest;
    if (manifest.format === FORMAT) return manifest;
  } catch {
    // it is none
  }
  throw new PageError("damaged", MANIFEST);
}

/** The bytes at an address. Where `size` is given, it must be so many. */
async function receive(
  address: string,
  mode: RequestCache,
  size?: number,
  progress: (loaded: number) => void = () => undefined,
): Promise<Bytes> {
  const response = await fetch(address, { cache: mode });
  if (!response.ok || !response.body) throw new Error(`${response.status}`);
  const chunks: Bytes[] = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    progress((loaded += value.length));
  }
  if (size !== undefined && loaded < size) throw new Error(`${loaded} of ${size} bytes`);
  const bytes = new Uint8Array(loaded);
  let place = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, place);
    place += chunk.length;
  }
  return bytes;
}

/** What comes of a download, of further tries too. */
async function retried<T>(name: string, download: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES) {
    try {
      return await download();
    } catch {
      if (globalThis.navigator?.onLine === false) break;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return download().catch((error) => {
    throw new PageError("cut-off", `${name}: ${error}`);
  });
}

/** Whether bytes are those of the manifest. Pages over plain http can tell their number alone. */
async function isSound(bytes: Bytes, entry: { sha256: string; bytes: number }): Promise<boolean> {
  if (bytes.length !== entry.bytes) return false;
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === entry.sha256;
}

function fromBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}
