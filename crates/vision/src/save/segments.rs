//! A JPEG's application segments beside those of its tables and scans: what is kept of the source's, and what the photo
//! says about itself now.

use crate::jpeg::Segment;
use crate::metadata::{About, Strip, without_small_picture};
use std::borrow::Cow;

const JFIF: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const PHOTOSHOP: u8 = 0xED;
const ADOBE: u8 = 0xEE;
const APP11: u8 = 0xEB;
const COMMENT: u8 = 0xFE;

/// What an EXIF block begins with in a JPEG.
pub(crate) const EXIF_NAME: &[u8] = b"Exif\0\0";

const XMP_NAME: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC_NAME: &[u8] = b"ICC_PROFILE\0";
const PHOTOSHOP_NAME: &[u8] = b"Photoshop 3.0\0";

/// Says how an HDR gain map behind the picture is to be used (ISO 21496-1, annex C).
const GAIN_MAP_NAME: &[u8] = b"urn:iso:std:iso:ts:21496:-1";

/// XMP that does not fit into one segment.
pub(super) const MORE_XMP_NAME: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";

/// Says where pictures behind the picture are (CIPA DC-007).
pub(super) const PICTURES_NAME: &[u8] = b"MPF\0";

/// What fits into a segment beside its length.
const MOST: usize = 65_533;

/// A profile's parts are counted in one byte (ICC.1:2022, B.4).
const MOST_PARTS: usize = 255;

/// A JFIF header up to its thumbnail's size.
const JFIF_HEAD: usize = 12;

/// The segments of a JPEG that say what `about` does, those of its source where they still hold first. With [`Strip::All`], nothing of the
/// source's goes along but what decoding needs.
///
/// Left out: small pictures of what was there before (JFIF, JFXX), what belongs to pictures behind the picture (MPF, gain maps),
/// which show it too and whose places would be wrong, XMP that did not fit into one segment, since it is not read and may hold
/// the old picture or name the place, and content credentials, which are of the file as it was. What is too long for a segment
/// is left out and told in `notes`.
pub(super) fn segments(about: &About, source: &[Segment], strip: Strip, notes: &mut Vec<String>) -> Vec<Segment> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let credentials: Vec<_> = source.iter().filter(|segment| begins_credentials(segment)).map(box_number).collect();
    for segment in source {
        let named = |name: &[u8]| segment.data.starts_with(name);
        match segment.marker {
            JFIF if named(b"JFIF\0") && segment.data.len() >= JFIF_HEAD => {
                let data = [&segment.data[..JFIF_HEAD], &[0, 0]].concat();
                first.push(Segment { marker: JFIF, data });
            }
            JFIF => {}
            APP1 if [EXIF_NAME, XMP_NAME, MORE_XMP_NAME].into_iter().any(named) => {}
            APP2 if [ICC_NAME, PICTURES_NAME, GAIN_MAP_NAME].into_iter().any(named) => {}
            PHOTOSHOP if named(PHOTOSHOP_NAME) => {}
            APP11 if credentials.contains(&box_number(segment)) => {}
            ADOBE => last.push(segment.clone()),
            0xE1..=0xEF | COMMENT if strip == Strip::All => {}
            _ => last.push(segment.clone()),
        }
    }
    let exif = about.exif.as_deref().map(|block| fitting(block, notes));
    let mut add = |name: &[u8], data: Option<&[u8]>, what: &str| match data {
        Some(data) if name.len() + data.len() > MOST => {
            notes.push(format!("{what} is too long for a JPEG and left out"))
        }
        Some(data) => first.push(Segment { marker: APP1, data: [name, data].concat() }),
        None => {}
    };
    add(EXIF_NAME, exif.as_deref(), "the EXIF block");
    add(XMP_NAME, about.xmp.as_deref(), "the XMP packet");
    let photoshop = about.iptc.iter().flat_map(|block| block.chunks(MOST - PHOTOSHOP_NAME.len()));
    first.extend(photoshop.map(|part| Segment { marker: PHOTOSHOP, data: [PHOTOSHOP_NAME, part].concat() }));
    match about.icc.as_deref().map(profile) {
        Some(segments) if segments.len() > MOST_PARTS => {
            notes.push("the colour profile is too long for a JPEG and left out".into());
        }
        segments => first.extend(segments.into_iter().flatten()),
    }
    first.append(&mut last);
    first
}

/// Whether an XMP packet fits into a segment.
pub(super) fn holds_xmp(packet: &[u8]) -> bool {
    XMP_NAME.len() + packet.len() <= MOST
}

/// An EXIF block that is too long for a segment without its small picture, if that helps.
fn fitting<'a>(block: &'a [u8], notes: &mut Vec<String>) -> Cow<'a, [u8]> {
    let fits = |block: &[u8]| EXIF_NAME.len() + block.len() <= MOST;
    if fits(block) {
        return Cow::Borrowed(block);
    }
    let Some(shorter) = without_small_picture(block).filter(|shorter| fits(shorter)) else {
        return Cow::Borrowed(block);
    };
    notes.push("the EXIF block is too long for a JPEG with its small picture, which is left out".into());
    Cow::Owned(shorter)
}

/// Which box a JUMBF segment is a part of (ISO/IEC 19566-5, D.2); `None` for other segments.
fn box_number(segment: &Segment) -> Option<[u8; 2]> {
    let data = segment.data.strip_prefix(b"JP").filter(|_| segment.marker == APP11)?;
    data.get(..2)?.try_into().ok()
}

/// Whether it is the first part of a box of content credentials (C2PA 2.2, 11.1.4.2): behind number and count, the heads of
/// the box and of its description, with the type that begins with `c2pa`.
fn begins_credentials(segment: &Segment) -> bool {
    box_number(segment).is_some() && segment.data.get(24..28) == Some(b"c2pa")
}

/// A profile in as many segments as it needs (ICC.1:2022, B.4).
fn profile(icc: &[u8]) -> Vec<Segment> {
    let parts: Vec<&[u8]> = icc.chunks(MOST - ICC_NAME.len() - 2).collect();
    let numbered = (1usize..).zip(&parts);
    numbered
        .map(|(number, part)| Segment {
            marker: APP2,
            data: [ICC_NAME, &[number as u8, parts.len() as u8], *part].concat(),
        })
        .collect()
}

/// Photoshop's image resources, put together from the segments they are spread over.
pub(crate) fn photoshop(source: &[Segment]) -> Option<Vec<u8>> {
    let parts = source.iter().filter(|segment| segment.marker == PHOTOSHOP);
    let parts: Vec<&[u8]> = parts.filter_map(|segment| segment.data.strip_prefix(PHOTOSHOP_NAME)).collect();
    (!parts.is_empty()).then(|| parts.concat())
}
