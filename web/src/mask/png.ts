// The mask at the photo's own size as a PNG, white on black, drawn and packed strip by strip: browsers have no canvas large
// enough for every photo.

import { isReadable, toPaint } from './file';
import { type MaskPainting, paintAct } from './strokes';

/** Pixels of a strip: a quarter of what the smallest limit of browsers allows. */
const STRIP_PIXELS = 1 << 22;

interface Size {
  width: number;
  height: number;
}

/** What the server is sent: the file where the mask is one and nothing else, else what was painted. */
export async function maskToSend(painting: MaskPainting, full: Size): Promise<Blob> {
  const { start, acts } = painting.recipe;
  if (start && acts.length === 0 && isReadable(start.file)) return start.file;
  const { readable, writable } = new CompressionStream('deflate');
  const writing = write(painting, full, writable.getWriter());
  const [packed] = await Promise.all([new Response(readable).arrayBuffer(), writing]);
  return png(full, new Uint8Array(packed));
}

async function write(painting: MaskPainting, full: Size, out: WritableStreamDefaultWriter<BufferSource>): Promise<void> {
  const { start, acts } = painting.recipe;
  const bitmap = start && (await createImageBitmap(start.file).catch(() => undefined)); // none where it cannot be shown either
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / full.width));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [full.width, Math.min(rows, full.height)];
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  for (let top = 0; top < full.height; top += rows) {
    const height = Math.min(rows, full.height - top);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (start && bitmap) {
      context.drawImage(bitmap, 0, top, full.width, height, 0, 0, full.width, height);
      const image = context.getImageData(0, 0, full.width, height);
      toPaint(image.data, start.reads);
      context.putImageData(image, 0, 0);
    }
    context.setTransform(full.width / painting.width, 0, 0, full.height / painting.height, 0, -top);
    acts.forEach((act) => paintAct(context, act, painting));
    await out.write(bits(context.getImageData(0, 0, full.width, height)));
  }
  bitmap?.close();
  await out.close();
}

/** Rows of one bit a pixel, each after the number of its filter, which is none. */
function bits({ data, width, height }: ImageData): Uint8Array<ArrayBuffer> {
  const stride = 1 + Math.ceil(width / 8);
  const rows = new Uint8Array(stride * height);
  for (let y = 0, i = 3; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      if (data[i]! >= 128) rows[y * stride + 1 + (x >> 3)]! |= 0x80 >> (x & 7);
    }
  }
  return rows;
}

/** A file of greys of one bit (PNG, third edition, 5 and 11.2.1). */
function png({ width, height }: Size, packed: Uint8Array<ArrayBuffer>): Blob {
  const header = new Uint8Array(13);
  const numbers = new DataView(header.buffer);
  numbers.setUint32(0, width);
  numbers.setUint32(4, height);
  header[8] = 1;
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return new Blob([signature, chunk('IHDR', header), chunk('IDAT', packed), chunk('IEND', new Uint8Array())], { type: 'image/png' });
}

function chunk(name: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + content.length);
  const numbers = new DataView(bytes.buffer);
  numbers.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  numbers.setUint32(8 + content.length, crc(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** The checksum of a chunk (annex D). */
function crc(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
