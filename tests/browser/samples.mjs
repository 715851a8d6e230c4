// Files to upload: small pictures, a sound, a text and a PDF, each made here byte for byte.

import { crc32, deflateSync } from 'node:zlib';

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc(body), body.length + 4);
  return frame;
}

/** CRC-32; `zlib.crc32` came with Node 20.15, so older releases compute it here. */
function crc(bytes) {
  if (crc32) return crc32(bytes);
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value >>> 0;
}

/** A landscape as a PNG; `seed` changes its look, and so its content. */
export function picture(seed, width = 480, height = 360) {
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const colour = landscape(x / width, y / height, seed);
      rows.set(colour, y * (1 + width * 3) + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  // The seed goes into a text chunk as well, so that no two seeds ever give the same bytes.
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), chunk('tEXt', Buffer.from(`Comment\0${seed}`)),
    chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0)),
  ]);
}

function landscape(x, y, seed) {
  const turn = seed % 7;
  if (y > 0.7 + 0.08 * Math.sin(x * 9 + turn * 2)) return [40 + turn * 9, 90 + turn * 6, 60];
  if (y > 0.55 + 0.12 * Math.sin(x * (5 + turn) + turn)) return [90, 130 + turn * 5, 90 + turn * 8];
  if (Math.hypot(x - 0.2 - (turn * 0.11), (y - 0.28) * 0.75) < 0.09) return [250, 220, 140];
  return [250 - y * 120 - turn * 12, 200 - y * 60, 150 + y * 100];
}

/** One second of a tone as a WAV file. */
export function sound(seed) {
  const samples = 8000;
  const file = Buffer.alloc(44 + samples);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(8000, 24);
  file.writeUInt32LE(8000, 28);
  file.writeUInt16LE(1, 32);
  file.writeUInt16LE(8, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples, 40);
  for (let i = 0; i < samples; i += 1) file[44 + i] = 128 + 60 * Math.sin(i / (3 + (seed % 90) / 30));
  file.writeUInt32BE(seed >>> 0, 40 + samples);
  return file;
}

/** A page that says hello; viewers repair the missing cross-reference table. */
export function pdf(seed) {
  const text = `BT /F1 24 Tf 40 100 Td (Hayloft ${seed}) Tj ET`;
  return Buffer.from(`%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj
4 0 obj<</Length ${text.length}>>stream
${text}
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
`);
}

/** A text with markup that must stay text. */
export function note(seed) {
  return Buffer.from(`# Note ${seed} 笔记\n\n<img src=x onerror="document.title='owned'">\n${'A line. 一行。\n'.repeat(80)}`);
}
