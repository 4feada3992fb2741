/**
 * Weights of ONNX files, stored in 8 to 16 bits, as float32.
 *
 * A file has nodes in front that make float32 of its weights, once, when ONNX Runtime folds what
 * is constant. Here this is done before, in a tenth of the time: such nodes give way to weights.
 */

// Numbers of fields in onnx.proto.
const MODEL = { graph: 7, opset: 8, functions: 25 };
const GRAPH = { node: 1, initializer: 5 };
const NODE = { input: 1, output: 2, opType: 4, domain: 7 };
const TENSOR = { dims: 1, type: 2, name: 8, raw: 9 };
const OPSET = { domain: 1 };
const [FLOAT, UINT8, INT8, INT64, HALF] = [1, 2, 3, 7, 10]; // types of tensors
const DOMAIN = "tianshu"; // of the function `Unpack`, in diffusion/export/networks.py
const BLOCK = 32; // numbers of one scale

/** A field of a protobuf message: a number, or the bytes that it holds; and all of its bytes. */
interface Field {
  number: number;
  value: number;
  bytes: Uint8Array;
  whole: Uint8Array;
}

interface Tensor {
  type: number;
  dims: number[];
  raw: Uint8Array;
  whole: Uint8Array;
}

/** The same model with all its weights in float32. */
export function unpackWeights(model: Uint8Array): Uint8Array<ArrayBuffer> {
  const kept: Uint8Array[] = [];
  for (const field of fields(model)) {
    if (field.number === MODEL.graph) kept.push(...message(MODEL.graph, unpackGraph(field.bytes)));
    else if (!isOfDomain(field)) kept.push(field.whole);
  }
  return joined(kept);
}

/** Whether a field of a model is the function that unpacks, or says that there is one. */
function isOfDomain({ number, bytes }: Field): boolean {
  if (number === MODEL.functions) return true;
  if (number !== MODEL.opset) return false;
  return [...fields(bytes)].some((one) => one.number === OPSET.domain && text(one) === DOMAIN);
}

function unpackGraph(graph: Uint8Array): Uint8Array[] {
  const stored = new Map<string, Tensor>();
  const rest: Uint8Array[] = [];
  const nodes: Field[] = [];
  for (const field of fields(graph)) {
    if (field.number === GRAPH.initializer) stored.set(...readTensor(field));
    else if (field.number === GRAPH.node) nodes.push(field);
    else rest.push(field.whole);
  }
  for (const node of nodes) {
    const parts = [...fields(node.bytes)];
    const all = (number: number) => parts.filter((part) => part.number === number).map(text);
    const inputs = all(NODE.input).map((name) => stored.get(name));
    const [[output], [opType], [domain]] = [NODE.output, NODE.opType, NODE.domain].map(all);
    const [first] = inputs;
    let weight: Uint8Array[];
    if (domain === DOMAIN) {
      const [scale, high, low, shape] = [HALF, INT8, UINT8, INT64].map((type) =>
        inputs.find((one) => one?.type === type),
      );
      // There are no lower bits in weights of eight.
      weight = tensor(output, numbers(shape!), unpacked(scale!.raw, high!.raw, low?.raw));
    } else if (opType === "Cast" && first?.type === HALF) {
      weight = tensor(output, first.dims, halves(first.raw));
    } else {
      rest.push(node.whole);
      continue;
    }
    rest.push(...message(GRAPH.initializer, weight));
    all(NODE.input).forEach((name) => stored.delete(name));
  }
  return [...rest, ...[...stored.values()].map(({ whole }) => whole)];
}

/**
 * Codes times the scale of their block, as `pack` in Python stores them: the upper eight bits, and
 * of lower ones those of several numbers in a byte, of the first of a block in the upper bits.
 */
function unpacked(scale: Uint8Array, high: Uint8Array, low?: Uint8Array): Float32Array {
  const upper = new Int8Array(high.buffer, high.byteOffset, high.length);
  const scales = halves(scale);
  const bits = low ? (8 * low.length) / high.length : 0;
  const size = low ? low.length / scales.length : BLOCK; // bytes of lower bits in a block
  const found = new Float32Array(upper.length);
  for (let place = 0; place < found.length; place++) {
    const block = Math.floor(place / BLOCK);
    const within = place % BLOCK;
    let code = upper[place];
    if (low) {
      const shift = 8 - bits * (1 + Math.floor(within / size));
      const lower = (low[block * size + (within % size)] >> shift) & (2 ** bits - 1);
      code = code * 2 ** bits + lower;
    }
    found[place] = code * scales[block];
  }
  return found;
}

/** Numbers of 16 bits. */
function halves(raw: Uint8Array): Float32Array {
  const found = new Float32Array(raw.length / 2);
  for (let i = 0; i < found.length; i++) found[i] = HALVES[raw[2 * i] | (raw[2 * i + 1] << 8)];
  return found;
}

/** All numbers that there are in float16. */
const HALVES = Float32Array.from({ length: 1 << 16 }, (_, code) => {
  const exponent = (code >> 10) & 31;
  const fraction = (code & 1023) / 1024;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
  return code >> 15 ? -size : size;
});

// ---- protobuf -----------------------------------------------------------------------------------

/** The fields of a message, in order. */
function* fields(message: Uint8Array): Generator<Field> {
  let place = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[place++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (place < message.length) {
    const start = place;
    const key = varint();
    const kind = key & 7;
    const value = kind === 0 || kind === 2 ? varint() : 0;
    const from = place;
    place += kind === 2 ? value : kind === 5 ? 4 : kind === 1 ? 8 : 0;
    const bytes = message.subarray(from, place);
    yield { number: key >>> 3, value, bytes, whole: message.subarray(start, place) };
  }
}

/** A field that holds a message, in pieces. */
function message(number: number, pieces: Uint8Array[]): Uint8Array[] {
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  return [Uint8Array.from([...varint(8 * number + 2), ...varint(size)]), ...pieces];
}

function varint(value: number): number[] {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(128 + (value % 128));
  return [...bytes, value];
}

function text({ bytes }: Field): string {
  return new TextDecoder().decode(bytes);
}

function readTensor({ bytes, whole }: Field): [name: string, tensor: Tensor] {
  const found: Tensor = { type: 0, dims: [], raw: new Uint8Array(), whole };
  let name = "";
  for (const field of fields(bytes)) {
    if (field.number === TENSOR.name) name = text(field);
    else if (field.number === TENSOR.type) found.type = field.value;
    else if (field.number === TENSOR.raw) found.raw = field.bytes;
    else if (field.number === TENSOR.dims) {
      // Packed, or one after the other.
      found.dims.push(...(field.bytes.length ? varints(field.bytes) : [field.value]));
    }
  }
  return [name, found];
}

function varints(bytes: Uint8Array): number[] {
  const found: number[] = [];
  let [value, scale] = [0, 1];
  for (const byte of bytes) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      found.push(value);
      [value, scale] = [0, 1];
    }
  }
  return found;
}

/** What a tensor of int64 holds. */
function numbers({ raw }: Tensor): number[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  return Array.from({ length: raw.length / 8 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}

function tensor(name: string, dims: number[], data: Float32Array): Uint8Array[] {
  return [
    Uint8Array.from([
      ...dims.flatMap((size) => [8 * TENSOR.dims, ...varint(size)]),
      8 * TENSOR.type,
      FLOAT,
    ]),
    ...message(TENSOR.name, [new TextEncoder().encode(name)]),
    ...message(TENSOR.raw, [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]),
  ];
}

function joined(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const piece of pieces) {
    bytes.set(piece, place);
    place += piece.length;
  }
  return bytes;
}
