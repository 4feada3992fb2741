/** Random numbers as in diffusion/philox.py: the same of a seed, here and in Python. */

const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const WEYL = [0x9e3779b9, 0xbb67ae85]; // added to the key after each round

/** What a seed decides, each by numbers of its own. */
export enum Stream {
  NOISE = 0,
  ATTEMPT = 1, // the seed of another attempt
  RADICAL = 2,
  PART = 3,
  ARRANGEMENT = 4,
  ROLES = 5, // which side of AND is the radical
  PROPORTIONS = 6, // of radical and part put together
}

/** The upper 32 bits of a product of two numbers below 2^32. */
function high(a: number, b: number): number {
  const [lowA, highA, lowB, highB] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const first = highA * lowB + Math.floor((lowA * lowB) / 0x10000);
  const second = lowA * highB + (first % 0x10000);
  return highA * highB + Math.floor(first / 0x10000) + Math.floor(second / 0x10000);
}

/** Four numbers below 2^32, enciphered in place with a key of two: Philox 4x32-10. */
function philox(counter: Uint32Array, key: Uint32Array): void {
  let [key0, key1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [a, b, c, d] = counter;
    counter[0] = high(MULTIPLIERS[1], c) ^ b ^ key0;
    counter[1] = Math.imul(MULTIPLIERS[1], c);
    counter[2] = high(MULTIPLIERS[0], a) ^ d ^ key1;
    counter[3] = Math.imul(MULTIPLIERS[0], a);
    key0 = (key0 + WEYL[0]) >>> 0;
    key1 = (key1 + WEYL[1]) >>> 0;
  }
}

/** The numbers of a seed, 0 to 2^64 - 1, in one stream. */
export class Philox {
  private readonly key: Uint32Array;
  private block = 0;

  constructor(
    seed: bigint,
    private readonly stream: Stream,
    private readonly turn = 0,
  ) {
    this.key = Uint32Array.of(Number(seed & 0xffffffffn), Number(seed >> 32n));
  }

  /** Integers below 2^32, all as likely. Each call goes on with the next block of four. */
  integers(count: number): Uint32Array {
    const numbers = new Uint32Array(4 * Math.ceil(count / 4));
    for (let i = 0; i < numbers.length; i += 4) {
      const four = numbers.subarray(i, i + 4);
      four.set([this.block++, 0, this.stream, this.turn]);
      philox(four, this.key);
    }
    return numbers.subarray(0, count);
  }

  /** Numbers in [0, 1). */
  random(count: number): Float64Array {
    return Float64Array.from(this.integers(count), (number) => number / 2 ** 32);
  }

  /** Normal numbers, two of two integers (Box and Muller 1958). */
  normal(count: number): Float64Array {
    const integers = this.integers(count + (count % 2));
    const numbers = new Float64Array(integers.length);
    for (let i = 0; i < integers.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log((integers[i] + 1) / 2 ** 32));
      const angle = 2 * Math.PI * (integers[i + 1] / 2 ** 32);
      numbers[i] = radius * Math.cos(angle);
      numbers[i + 1] = radius * Math.sin(angle);
    }
    return numbers.subarray(0, count);
  }
}

/** The seed of another attempt, below 2^63. */
export function successor(seed: bigint): bigint {
  const [first, second] = new Philox(seed, Stream.ATTEMPT).integers(2);
  return ((BigInt(first) << 32n) | BigInt(second)) >> 1n;
}
