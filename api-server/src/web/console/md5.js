// MD5, fed piece by piece. Source: RFC 1321. The documented API names content by it.

const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
const BLOCK = 64;

export class Md5 {
  #state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  #pending = new Uint8Array(BLOCK);
  #pendingLength = 0;
  #length = 0;
  #words = new Int32Array(16);

  /** Takes the next bytes (`Uint8Array`). */
  update(bytes) {
    this.#length += bytes.length;
    let offset = 0;
    if (this.#pendingLength > 0) {
      offset = Math.min(BLOCK - this.#pendingLength, bytes.length);
      this.#pending.set(bytes.subarray(0, offset), this.#pendingLength);
      this.#pendingLength += offset;
      if (this.#pendingLength < BLOCK) return this;
      this.#block(this.#pending, 0);
      this.#pendingLength = 0;
    }
    for (; offset + BLOCK <= bytes.length; offset += BLOCK) this.#block(bytes, offset);
    this.#pending.set(bytes.subarray(offset));
    this.#pendingLength = bytes.length - offset;
    return this;
  }

  /** The digest as 32 lower-case hex digits; nothing may follow. */
  hex() {
    const bits = this.#length * 8;
    const padding = new Uint8Array(paddingLength(this.#length));
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, bits >>> 0, true);
    view.setUint32(padding.length - 4, Math.floor(bits / 2 ** 32), true);
    this.update(padding);
    return [...new Uint8Array(this.#state.buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  #block(bytes, offset) {
    const words = this.#words;
    for (let i = 0, at = offset; i < 16; i += 1, at += 4) {
      words[i] = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    }
    const state = this.#state;
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    // Four steps at a time: after four the variables are back in their places.
    for (let i = 0; i < 16; i += 4) {
      a = mix(a + (d ^ (b & (c ^ d))) + words[i] + SINES[i], 7, b);
      d = mix(d + (c ^ (a & (b ^ c))) + words[i + 1] + SINES[i + 1], 12, a);
      c = mix(c + (b ^ (d & (a ^ b))) + words[i + 2] + SINES[i + 2], 17, d);
      b = mix(b + (a ^ (c & (d ^ a))) + words[i + 3] + SINES[i + 3], 22, c);
    }
    for (let i = 16; i < 32; i += 4) {
      a = mix(a + (c ^ (d & (b ^ c))) + words[(5 * i + 1) & 15] + SINES[i], 5, b);
      d = mix(d + (b ^ (c & (a ^ b))) + words[(5 * i + 6) & 15] + SINES[i + 1], 9, a);
      c = mix(c + (a ^ (b & (d ^ a))) + words[(5 * i + 11) & 15] + SINES[i + 2], 14, d);
      b = mix(b + (d ^ (a & (c ^ d))) + words[(5 * i) & 15] + SINES[i + 3], 20, c);
    }
    for (let i = 32; i < 48; i += 4) {
      a = mix(a + (b ^ c ^ d) + words[(3 * i + 5) & 15] + SINES[i], 4, b);
      d = mix(d + (a ^ b ^ c) + words[(3 * i + 8) & 15] + SINES[i + 1], 11, a);
      c = mix(c + (d ^ a ^ b) + words[(3 * i + 11) & 15] + SINES[i + 2], 16, d);
      b = mix(b + (c ^ d ^ a) + words[(3 * i + 14) & 15] + SINES[i + 3], 23, c);
    }
    for (let i = 48; i < 64; i += 4) {
      a = mix(a + (c ^ (b | ~d)) + words[(7 * i) & 15] + SINES[i], 6, b);
      d = mix(d + (b ^ (a | ~c)) + words[(7 * i + 7) & 15] + SINES[i + 1], 10, a);
      c = mix(c + (a ^ (d | ~b)) + words[(7 * i + 14) & 15] + SINES[i + 2], 15, d);
      b = mix(b + (d ^ (c | ~a)) + words[(7 * i + 5) & 15] + SINES[i + 3], 21, c);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
}

/** Rotates `sum` left by `shift` bits and adds `base`, in 32 bits. */
function mix(sum, shift, base) {
  return (base + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
}

/** Bytes that bring a message of `length` bytes, a bit count of eight included, to whole blocks. */
function paddingLength(length) {
  const rest = (length + 9) % BLOCK;
  return 9 + (rest === 0 ? 0 : BLOCK - rest);
}

/** The MD5 of a text in UTF-8: what the documented API wants for a password. */
export function md5OfText(text) {
  return new Md5().update(new TextEncoder().encode(text)).hex();
}
