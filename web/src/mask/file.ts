// A mask that came as a picture: read as the server reads it, shown at the preview's size, kept whole.

export interface MaskFile {
  file: Blob;
  /** Its paint at the preview's size. */
  paint: HTMLCanvasElement;
  reads: Reads;
}

/** What marks the hole: white, or transparency where everything else is black. */
type Reads = 'white' | 'clear';

/** Any opaque colour: what is painted is missing. */
export const PAINT = '#e23b5a';
const RGB = [0xe2, 0x3b, 0x5a];

export function maskFile(file: Blob, bitmap: ImageBitmap, width: number, height: number): MaskFile {
  const paint = document.createElement('canvas');
  [paint.width, paint.height] = [width, height];
  const context = paint.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  const reads = isBlackOnClear(image.data) ? 'clear' : 'white';
  toPaint(image.data, reads);
  context.putImageData(image, 0, 0);
  return { file, paint, reads };
}

/** A mask in a format that this browser cannot show. */
export function unshown(file: Blob): MaskFile {
  return { file, paint: document.createElement('canvas'), reads: 'white' };
}

/** Turns the pixels of a mask picture into paint. */
export function toPaint(data: Uint8ClampedArray, reads: Reads): void {
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    const isPainted = reads === 'clear' ? alpha < 128 : (brightness(data, i) * alpha) / 255 >= 128;
    data.set(RGB, i);
    data[i + 3] = isPainted ? 255 : 0;
  }
}

function brightness(data: Uint8ClampedArray, i: number): number {
  return 0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!;
}

function isBlackOnClear(data: Uint8ClampedArray): boolean {
  let hasClear = false;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3]! >= 128 && brightness(data, i) >= 128) return false;
    hasClear ||= data[i + 3]! < 128;
  }
  return hasClear;
}

const SENT = ['image/png', 'image/jpeg', 'image/webp', 'image/avif', 'image/bmp', 'image/tiff', 'image/jxl'];

/** Whether the server reads the file as it is. */
export const isReadable = (file: Blob): boolean => SENT.includes(file.type);
