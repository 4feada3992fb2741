/** The networks of a model in ONNX Runtime. */

import * as ort from "onnxruntime-web/wasm";
import { PageError } from "./errors";
import { unpackWeights } from "./weights";

/** Numbers in rows: `dims` begin with how many there are. */
export interface Rows<T = Float32Array> {
  data: T;
  dims: number[];
}

export type Inputs = Record<string, Rows<Float32Array | BigInt64Array | Uint8Array>>;

/** The file of ONNX Runtime's WebAssembly. */
export const RUNTIME = "ort-wasm-simd-threaded.wasm";

const MOST_THREADS = 4;
// A module with one instruction of SIMD, i8x16.splat.
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15,
  11,
);

/**
 * Prepares ONNX Runtime, whose files are in a folder unless they come with the page. Returns how
 * many threads it has.
 */
export function prepare(base?: string): number {
  if (!WebAssembly.validate(SIMD)) throw new PageError("no-simd");
  const isolated = globalThis.crossOriginIsolated ?? false; // without it no memory can be shared
  const threads = isolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  if (base) {
    ort.env.wasm.wasmPaths = {
      mjs: new URL("ort-wasm-simd-threaded.mjs", base).href,
      wasm: new URL(RUNTIME, base).href,
    };
  }
  return threads;
}

/** Takes ONNX Runtime's WebAssembly from bytes that come with the page. */
export function setRuntime(bytes: Uint8Array<ArrayBuffer>): void {
  ort.env.wasm.wasmBinary = bytes;
}

/** A network that is called by the names of its inputs. */
export class Network {
  private constructor(private readonly session: ort.InferenceSession) {}

  /** The network of an ONNX file. */
  static async load(bytes: Uint8Array): Promise<Network> {
    // Optimising a graph takes longer than it saves in a hundred calls.
    const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" } as const;
    return new Network(await ort.InferenceSession.create(unpackWeights(bytes), options));
  }

  /** Its one output. */
  async run(inputs: Inputs): Promise<Rows> {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { data, dims }]) => [name, tensor(data, dims)]),
    );
    const [output] = Object.values(await this.session.run(feeds));
    return { data: output.data as Float32Array, dims: [...output.dims] };
  }
}

function tensor(data: Float32Array | BigInt64Array | Uint8Array, dims: number[]): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor("float32", data, dims);
  if (data instanceof BigInt64Array) return new ort.Tensor("int64", data, dims);
  return new ort.Tensor("bool", data, dims);
}
