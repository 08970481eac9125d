#!/usr/bin/env bash
# Makes camera.jpg: jpeg/even.jpg with what a camera and an editor write (EXIF with GPS and a thumbnail, XMP, IPTC),
# stored lying. Needs exiftool and jpegtran.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
small=$(mktemp --suffix .jpg)
trap 'rm -f "$small"' EXIT
jpegtran -crop 32x24+0+0 -outfile "$small" jpeg/even.jpg
rm -f camera.jpg
exiftool -q -ExifByteOrder=MM -Make=Acme -Model='Testomat 3000' -Orientation#=6 -DateTimeOriginal='2026:05:01 12:00:00' \
    -FNumber=2.8 -ExifImageWidth=64 -ExifImageHeight=48 -GPSLatitude=55.70466 -GPSLatitudeRef=N -GPSLongitude=13.19101 \
    -GPSLongitudeRef=E -GPSMapDatum=WGS-84 -XMP-exif:GPSLatitude=55.70466 -XMP-exif:GPSLongitude=13.19101 \
    -XMP-dc:Creator='A photographer' -XMP-tiff:Orientation#=6 -XMP-iptcExt:DigitalSourceType=digitalCapture \
    -IPTC:Headline='A tower' "-ThumbnailImage<=$small" -o camera.jpg jpeg/even.jpg
