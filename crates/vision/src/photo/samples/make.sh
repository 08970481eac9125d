#!/usr/bin/env bash
# Makes the AVIF and JPEG XL samples of the tests with other people's encoders, and with their decoders what has to come out of
# the AVIFs. Needs libavif's and libjxl's tools, exiftool and Pillow.
set -euo pipefail
cd "$(dirname "$0")"

python3 - <<'PY'
from PIL import Image, ImageDraw
picture = Image.new("RGB", (50, 34))
for y in range(34):
    for x in range(50):
        picture.putpixel((x, y), (x * 5, y * 7, (x + y) * 3))
draw = ImageDraw.Draw(picture)
draw.rectangle((5, 4, 20, 12), fill=(220, 40, 30))
draw.ellipse((26, 10, 44, 28), fill=(30, 90, 200))
picture.save("picture.png")
alpha = picture.copy()
alpha.putalpha(Image.linear_gradient("L").resize((50, 34)))
alpha.save("alpha.png")
picture.convert("L").save("grey.png")
picture.resize((128, 128), Image.NEAREST).save("large.png")
PY
exiftool -q -overwrite_original -Make=Testomat -XMP-dc:Creator=Someone picture.png
exiftool -q -b -XMP picture.png >said.xmp
# The TIFF structure alone, with one entry: the maker.
printf 'II*\0\10\0\0\0\1\0\17\1\2\0\11\0\0\0\32\0\0\0\0\0\0\0Testomat\0' >said.exif

avif() { avifenc -s 6 -j 1 "$@" >/dev/null; }
avif --lossless --cicp 1/13/0 -y 444 --exif said.exif --xmp said.xmp picture.png lossless.avif
avif --min 5 --max 10 -y 420 picture.png halved.avif
avif --min 5 --max 10 -y 444 -d 10 -r limited picture.png ten-bits.avif
avif --min 0 --max 0 --minalpha 0 --maxalpha 0 -y 444 alpha.png alpha.avif
avif --min 5 --max 10 -y 400 grey.png grey.avif
avif --lossless --cicp 1/13/0 -y 444 --irot 1 --imir 0 picture.png turned.avif
avif --lossless --cicp 1/13/0 -y 444 --grid 2x2 large.png grid.avif
for name in halved ten-bits; do avifdec -d 8 -u best "$name.avif" "$name.png" >/dev/null; done

cjxl --quiet --container=1 -d 0 picture.png lossless.jxl
cjxl --quiet -d 0 alpha.png alpha.jxl
cjxl --quiet -d 1 picture.png lossy.jxl
rm -f said.*
