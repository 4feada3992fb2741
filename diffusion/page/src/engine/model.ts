/** A model: its networks, and the tables that drawing decides by. */

import { PageError } from "./errors";
import type { Files } from "./files";
import { type ChooseRadical, Pairings } from "./inventions";
import { type Rows, Network } from "./networks";
import { type Tables, Parts } from "./parts";
import { Philox, Stream } from "./philox";
import type { Settings } from "./settings";
import { SIZE, Sketcher } from "./sketcher";
import { type TokenizerFile, Tokenizer } from "./text";

const CODES = 64; // numbers of the recogniser's embedding
const MOST_TEXTS = 256; // whose embeddings are kept
const NO_MATCH = { character: "", likeness: 0, exists: false };
const TABLES = ["tables.json", "tokenizer.json", "outlines.tsv.gz", "characters.bin"];
const NETWORKS = ["text_encoder", "prior", "encoder", "denoiser", "decoder", "recognizer"];

/** The embeddings of a text's tokens, one after the other, and what of the text has none. */
export interface Embedded {
  tokens: Float32Array;
  count: number;
  unknown: string[];
  lost: string;
}

/** What networks are conditioned on: embeddings `(B, N, D)` and a mask `(B, N)`. */
export interface Words {
  embedding: Rows;
  mask: Rows<Uint8Array>;
}

/** The character nearest to a glyph. */
export interface Match {
  character: string;
  likeness: number; // the cosine of the embeddings
  exists: boolean;
}

/** Whether the page reads a file of a model. */
export function isNeeded(name: string): boolean {
  return TABLES.includes(name) || name.endsWith(".onnx");
}

export class Model {
  private readonly lengths: Float32Array;
  private readonly texts = new Map<string, Promise<Embedded>>();

  private constructor(
    readonly settings: Settings,
    readonly pairings: Pairings,
    readonly tokenizer: Tokenizer,
    private readonly networks: Record<string, Network>,
    private readonly logFrequency: number[],
    private readonly characters: string[],
    private readonly codes: Int8Array, // their embeddings, of any length
  ) {
    this.lengths = lengths(codes, CODES);
  }

  /** The model of some files. */
  static async load({ manifest, read }: Files): Promise<Model> {
    const { settings, files } = manifest;
    if (settings.image_size !== SIZE) throw new PageError("damaged", "manifest.json");
    const text = async (name: string) => new TextDecoder().decode(await read(name));
    const names = [...NETWORKS, "student"].filter((name) => `${name}.onnx` in files);
    const networks: Record<string, Network> = {};
    const [tables, tokenizer, outlines, codes] = await Promise.all([
      text("tables.json").then((json) => JSON.parse(json) as Tables),
      text("tokenizer.json").then((json) => new Tokenizer(JSON.parse(json) as TokenizerFile)),
      read("outlines.tsv.gz").then(unzip),
      "recognizer.onnx" in files ? read("characters.bin") : new Uint8Array(),
      ...names.map(async (name) => {
        networks[name] = await Network.load(await read(`${name}.onnx`));
      }),
    ]);
    return new Model(
      settings,
      new Pairings(new Parts(tables, settings), new Sketcher(outlines, settings.sketch)),
      tokenizer,
      networks,
      tables.log_frequency ?? [],
      Array.from(tables.characters ?? ""),
      new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength),
    );
  }

  has(network: "prior" | "student" | "recognizer"): boolean {
    return network in this.networks;
  }

  /** The embeddings of a text by itself, so that its company changes nothing. */
  embed(text: string): Promise<Embedded> {
    let found = this.texts.get(text);
    if (!found) {
      if (this.texts.size >= MOST_TEXTS) this.texts.delete(this.texts.keys().next().value!);
      found = this.encodeText(text);
      this.texts.set(text, found);
    }
    return found;
  }

  private async encodeText(text: string): Promise<Embedded> {
    const { ids, unknown, lost } = this.tokenizer.fit(text, this.settings.max_tokens - 1);
    const tokens = BigInt64Array.from([...ids, this.settings.end], BigInt);
    const dims = [1, tokens.length];
    const { data } = await this.networks.text_encoder.run({
      ids: { data: tokens, dims },
      mask: { data: new Uint8Array(tokens.length).fill(1), dims },
    });
    return { tokens: data, count: tokens.length, unknown, lost };
  }

  /** What networks are conditioned on: for each row some texts, whose tokens follow each other. */
  async words(rows: string[][]): Promise<Words> {
    const found = await Promise.all(
      rows.map((texts) => Promise.all(texts.map((text) => this.embed(text)))),
    );
    const counts = found.map((texts) => texts.reduce((sum, { count }) => sum + count, 0));
    const [batch, most] = [rows.length, Math.max(...counts)];
    const width = found[0][0].tokens.length / found[0][0].count;
    const embedding = new Float32Array(batch * most * width);
    const mask = new Uint8Array(batch * most);
    found.forEach((texts, row) => {
      let place = row * most;
      for (const { tokens, count } of texts) {
        embedding.set(tokens, place * width);
        mask.fill(1, place, place + count);
        place += count;
      }
    });
    return {
      embedding: { data: embedding, dims: [batch, most, width] },
      mask: { data: mask, dims: [batch, most] },
    };
  }

  /** What chooses a radical for words: the prior, if there is one. */
  async chooser(words: string): Promise<ChooseRadical | null> {
    if (!this.has("prior")) return null;
    const chances = await this.radicalChances(words);
    const { radicals } = this.pairings.parts;
    return (seed, turn) => {
      const [number] = new Philox(seed, Stream.RADICAL, turn).random(1);
      const past = chances.filter((chance) => chance <= number).length;
      return radicals[Math.min(past, radicals.length - 1)];
    };
  }

  /** The chances of the radicals for words, each added to those before it. */
  private async radicalChances(text: string): Promise<Float64Array> {
    const { sharpness = 1, balance = 0 } = this.settings;
    const { tokens, count } = await this.embed(text);
    const width = tokens.length / count;
    const pooled = new Float32Array(width);
    tokens.forEach((value, i) => (pooled[i % width] += value / count));
    const { data } = await this.networks.prior.run({ pooled: { data: pooled, dims: [1, width] } });
    const logits = Float64Array.from(data);
    const likely = logSoftmax(logits).map(
      (logit, i) => sharpness * logit - balance * this.logFrequency[i],
    );
    let total = 0;
    return logSoftmax(likely).map((logit) => (total += Math.exp(logit)));
  }

  /** Glyphs `(B, 1, 128, 128)`, 1 = ink, to latents. */
  encode(glyphs: Float32Array[]): Promise<Rows> {
    return this.networks.encoder.run({ glyph: joinRows(glyphs.map(toRow)) });
  }

  /** Latents to glyphs, 1 = ink. */
  async decode(latents: Rows): Promise<Float32Array[]> {
    const glyphs = await this.networks.decoder.run({ latent: latents });
    return splitRows(glyphs).map(({ data }) => data);
  }

  /** The velocity of latents at a time. */
  predict(latents: Rows, time: number, words: Words): Promise<Rows> {
    return this.networks.denoiser.run({ x_t: latents, t: every(latents, time), ...words });
  }

  /** The mean velocity of latents from a time over a length of it, under guidance, a student's. */
  leap(latents: Rows, time: number, length: number, scale: number, words: Words): Promise<Rows> {
    return this.networks.student.run({
      x_t: latents,
      t: every(latents, time),
      ...words,
      length: every(latents, length),
      scale: every(latents, scale),
    });
  }

  /** The known character nearest to each glyph; none without a recogniser. */
  async match(glyphs: Float32Array[]): Promise<Match[]> {
    if (!this.has("recognizer")) return glyphs.map(() => NO_MATCH);
    const found = await this.networks.recognizer.run({ glyph: joinRows(glyphs.map(toRow)) });
    return splitRows(found).map(({ data: embedding }) => {
      const [nearest, likeness] = this.nearest(embedding);
      const exists = likeness >= (this.settings.threshold ?? 1);
      return { character: this.characters[nearest], likeness, exists };
    });
  }

  /** The row of the embedding at the least angle, and its cosine. */
  private nearest(embedding: Float32Array): [row: number, cosine: number] {
    const { codes, lengths } = this;
    let [nearest, most] = [0, -Infinity];
    for (let row = 0; row < lengths.length; row++) {
      let product = 0;
      for (let i = 0; i < CODES; i++) product += codes[row * CODES + i] * embedding[i];
      if (product / lengths[row] > most) [nearest, most] = [row, product / lengths[row]];
    }
    return [nearest, most];
  }
}

/** A glyph as a row, `(1, 1, 128, 128)`. */
function toRow(ink: Float32Array): Rows {
  return { data: ink, dims: [1, 1, SIZE, SIZE] };
}

/** Each row by itself. */
export function splitRows({ data, dims: [count, ...dims] }: Rows): Rows[] {
  const size = data.length / count;
  return Array.from({ length: count }, (_, row) => ({
    data: data.slice(row * size, (row + 1) * size),
    dims: [1, ...dims],
  }));
}

/** Single rows one after the other. */
export function joinRows(rows: Rows[]): Rows {
  const size = rows[0].data.length;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, i) => data.set(row.data, i * size));
  return { data, dims: [rows.length, ...rows[0].dims.slice(1)] };
}

/** One number for each row. */
function every({ dims: [count] }: Rows, value: number): Rows {
  return { data: new Float32Array(count).fill(value), dims: [count] };
}

function logSoftmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return logits.map((logit) => logit - most - Math.log(total));
}

/** The length of each row of so many codes. */
function lengths(codes: Int8Array, width: number): Float32Array {
  const squares = new Float32Array(codes.length / width);
  for (let i = 0; i < codes.length; i++) squares[Math.floor(i / width)] += codes[i] ** 2;
  return squares.map(Math.sqrt);
}

async function unzip(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
