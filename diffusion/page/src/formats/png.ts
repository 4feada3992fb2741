/** Grey pictures as PNG, with what is known of them in text chunks, as Pillow writes them. */
import type { Picture } from "./pictures";
import type { About } from "./svg";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** A picture as a PNG of eight grey bits. Text that Latin-1 has not is in UTF-8. */
export async function toPng({ width, height, pixels }: Picture, about: About = {}): Promise<Blob> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits of grey; all else is 0
  const rows = new Uint8Array(height * (width + 1)); // each after its filter, which is none
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  return new Blob(
    [
      new Uint8Array(SIGNATURE),
      chunk("IHDR", header),
      ...Object.entries(about).map(([key, value]) => text(key, String(value))),
      chunk("IDAT", await deflate(rows)),
      chunk("IEND", new Uint8Array()),
    ],
    { type: "image/png" },
  );
}

function text(key: string, value: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(value, (letter) => letter.codePointAt(0)!);
  const latin = [...value].every((letter) => letter.codePointAt(0)! < 256);
  if (latin) return chunk("tEXt", joined(encoded(`${key}\0`), bytes));
  return chunk("iTXt", joined(encoded(`${key}\0\0\0\0\0`), encoded(value)));
}

function chunk(kind: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = joined(new Uint8Array(4), encoded(kind), data, new Uint8Array(4));
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  let crc = 0xffffffff;
  for (const byte of whole.subarray(4, -4)) crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  view.setUint32(whole.length - 4, ~crc >>> 0);
  return whole;
}

/** Bytes in the format of zlib. */
async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

const encoded = (words: string): Uint8Array => new TextEncoder().encode(words);

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
