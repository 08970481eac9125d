// Which files are photos that the server reads, and what is said of the others.

export const ACCEPT = 'image/jpeg,image/png,image/webp,image/avif,image/jxl,image/tiff,image/bmp,.avif,.jxl';

const TYPES = ACCEPT.split(',').filter((type) => type.includes('/'));
const NAMES = /\.(jpe?g|png|webp|avif|jxl|tiff?|bmp)$/i;

export const isPicture = (file: File): boolean => TYPES.includes(file.type) || NAMES.test(file.name);
const isHeic = (file: File): boolean => /^image\/hei[cf]/.test(file.type) || /\.hei[cf]s?$/i.test(file.name);

/** The pictures, and a sentence for each file that is none. */
export function sorted(files: Iterable<File> | null | undefined): { pictures: File[]; told: string[] } {
  const all = [...(files ?? [])];
  const others = all.filter((file) => !isPicture(file));
  return { pictures: all.filter(isPicture), told: others.map((file) => (isHeic(file) ? heic(file.name) : `${file.name} is left out: it is no JPEG, PNG, WebP, AVIF, JPEG XL, TIFF or BMP.`)) };
}

const heic = (name: string): string => `${name} is left out: it is a HEIC photo, which cannot be read here. Export it as JPEG.`;

/** The server's advice on HEIC is for those who type commands. */
export function inWordsOfThePage(error: unknown): unknown {
  const words = error instanceof Error ? error.message : '';
  const found = /^(.+?) is a HEIC\b/.exec(words);
  return found ? new Error(heic(found[1]!)) : error;
}
