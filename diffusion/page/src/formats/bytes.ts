/** Bytes of OpenType tables: big-endian, in plain arrays, so that they can be put together. */
export type Bytes = number[];

export const u8 = (...values: number[]): Bytes => values.map((value) => value & 0xff);

/** Numbers of 16 bits, with or without a sign. */
export function u16(...values: number[]): Bytes {
  const bytes: Bytes = [];
  for (const value of values) bytes.push((value >> 8) & 0xff, value & 0xff);
  return bytes;
}

export const u32 = (...values: number[]): Bytes =>
  u16(...values.flatMap((value) => [value >>> 16, value]));

export const ascii = (text: string): Bytes => Array.from(text, (letter) => letter.charCodeAt(0));

/** A number of 16 bits, or a table to which an offset of 16 bits leads. */
export type Field = number | Field[];

/** A tag of four letters, as two fields. */
export const tag = (text: string): [number, number] => {
  const [a, b, c, d] = ascii(text);
  return [(a << 8) | b, (c << 8) | d];
};

/** A list with its length before it. */
export const counted = (fields: Field[]): Field[] => [fields.length, ...fields];

/**
 * A table and those that its offsets lead to, as in GSUB and GPOS.
 *
 * Raises RangeError where they are too large for offsets of 16 bits.
 */
export function packed(fields: readonly Field[]): Bytes {
  const own: Bytes = [];
  const others: Bytes[] = [];
  let offset = 2 * fields.length;
  for (const field of fields) {
    if (typeof field === "number") {
      own.push(...u16(field));
      continue;
    }
    if (offset > 0xffff) throw new RangeError("too many words for one font");
    own.push(...u16(offset));
    others.push(packed(field));
    offset += others[others.length - 1].length;
  }
  return own.concat(...others);
}
