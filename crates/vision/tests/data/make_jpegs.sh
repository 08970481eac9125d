#!/usr/bin/env bash
# Makes jpeg/: small JPEGs by libjpeg (Pillow) and what jpegtran makes of them without loss, for parity tests of the
# coefficients. Needs python3 with Pillow and numpy, and jpegtran (libjpeg-turbo).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/jpeg"
rm -f ./*.jpg

"${PYTHON:-python3}" - <<'PYTHON'
import numpy as np
from PIL import Image

def picture(width, height):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(7).normal(0, 12, (height, width, 3))
    waves = [np.sin(x / 5) * np.cos(y / 7), np.sin(x / 11 + 1) * np.cos(y / 3), np.cos(x / 4) * np.sin(y / 13)]
    return np.clip(128 + 100 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)

even, ragged = Image.fromarray(picture(64, 48)), Image.fromarray(picture(61, 45))
even.save("even.jpg", quality=80, subsampling="4:2:0")
ragged.save("ragged-420.jpg", quality=80, subsampling="4:2:0")
ragged.save("ragged-422.jpg", quality=92, subsampling="4:2:2")
ragged.save("ragged-444.jpg", quality=60, subsampling="4:4:4", optimize=True)
ragged.convert("L").save("ragged-grey.jpg", quality=85)
PYTHON

for name in ragged-420 ragged-422 ragged-444 ragged-grey; do
    jpegtran -progressive -outfile "$name-progressive.jpg" "$name.jpg"
done
jpegtran -restart 2B -outfile ragged-420-restart.jpg ragged-420.jpg
jpegtran -scans <(echo '0; 1; 2;') -outfile ragged-420-apart.jpg ragged-420.jpg
# The transform that a viewer applies for each EXIF orientation.
transforms=('-flip horizontal' '-rotate 180' '-flip vertical' '-transpose' '-rotate 90' '-transverse' '-rotate 270')
for i in "${!transforms[@]}"; do
    # shellcheck disable=SC2086 # two words on purpose
    jpegtran -perfect ${transforms[$i]} -outfile "even-$((i + 2)).jpg" even.jpg
done
