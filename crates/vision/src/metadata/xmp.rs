//! XMP packets (ISO 16684-1): marked with how the picture was made, and rid of what is no longer true.

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, Writer};

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const IPTC_CORE: &str = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const IPTC_EXTENSION: &str = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
const PHOTOSHOP: &str = "http://ns.adobe.com/photoshop/1.0/";
const TIFF: &str = "http://ns.adobe.com/tiff/1.0/";
const EXIF: &str = "http://ns.adobe.com/exif/1.0/";
const XMP: &str = "http://ns.adobe.com/xap/1.0/";
const DECLARATION: &str = "http://www.w3.org/2000/xmlns/";
const NOTE: &str = "http://ns.adobe.com/xmp/note/";
const DUBLIN_CORE_TERMS: &str = "http://purl.org/dc/terms/";
const REGIONS: &str = "http://www.metadataworkinggroup.com/schemas/regions/";
const MICROSOFT_REGIONS: &str = "http://ns.microsoft.com/photo/1.2/";
const GAIN_MAP: &str = "http://ns.adobe.com/hdr-gain-map/1.0/";
/// Where a part of a panorama lies in it, in pixels.
const PANORAMA: &str = "http://ns.google.com/photos/1.0/panorama/";

/// Those of Google's that speak of further pictures, sound and videos of the same view, in the packet or behind the picture, and
/// of how they belong to it. They have others below them, such as those of a container's items.
const FURTHER_PICTURES: [&str; 7] = [
    "http://ns.google.com/photos/1.0/audio/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/focus/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/dd/1.0/",
];

/// IPTC's term for a picture that was partly made by a trained model (NewsCodes, digital source type).
const MARK: &str = concat!(
    r#"<rdf:Description xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" rdf:about="" "#,
    r#"xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="#,
    r#""http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"/>"#
);

/// How what closes a packet begins.
const END: &[u8] = b"<?xpacket end";

/// What a packet loses beside what no completed photo can say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Without {
    /// Where the photo was taken.
    pub(super) place: bool,
    /// Where in the picture faces and things are.
    pub(super) regions: bool,
}

/// A packet that says how the picture was made, and nothing else.
pub(crate) fn new() -> Vec<u8> {
    let head = "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
        <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">";
    format!("{head}{MARK}</rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>").into_bytes()
}

/// The packet without the blanks at its end that leave room for more (ISO 16684-1, 7.3.2).
pub(crate) fn without_padding(packet: &[u8]) -> Vec<u8> {
    let end = packet.windows(END.len()).rposition(|bytes| bytes == END).unwrap_or(packet.len());
    let (said, behind) = packet.split_at(end);
    [said.trim_ascii_end(), behind].concat()
}

/// The packet with the mark in place of what it said about that before; without the orientation, which the pixels have
/// now, the size, what shows the old picture or leads to what does, and `without`. `None` when it is no XMP.
pub(super) fn marked(packet: Option<&[u8]>, without: Without) -> Option<Vec<u8>> {
    let Some(packet) = packet else { return Some(new()) };
    let text = std::str::from_utf8(packet).ok()?.trim_end_matches('\0');
    let mut reader = NsReader::from_str(text);
    let mut writer = Writer::new(Vec::new());
    let mut marked = false;
    loop {
        let event = reader.read_event().ok()?;
        let leaves = |reader: &NsReader<&[u8]>, tag: &BytesStart| {
            let (namespace, name) = reader.resolver().resolve_element(tag.name());
            is_outdated(namespace, name.as_ref(), without)
        };
        match event {
            Event::Eof => break,
            Event::Start(tag) if leaves(&reader, &tag) => {
                reader.read_to_end(tag.name()).ok()?;
            }
            Event::Empty(tag) if leaves(&reader, &tag) => {}
            Event::Start(tag) => {
                let kept = kept_attributes(&reader, &tag, without)?;
                writer.write_event(Event::Start(kept)).ok()?;
            }
            Event::Empty(tag) => {
                let kept = kept_attributes(&reader, &tag, without)?;
                writer.write_event(Event::Empty(kept)).ok()?;
            }
            Event::End(tag) => {
                let (namespace, name) = reader.resolver().resolve_element(tag.name());
                if namespace == ResolveResult::Bound(Namespace(RDF)) && name.as_ref() == "RDF" && !marked {
                    writer.get_mut().extend(MARK.as_bytes());
                    marked = true;
                }
                writer.write_event(Event::End(tag)).ok()?;
            }
            other => writer.write_event(other).ok()?,
        }
    }
    marked.then(|| writer.into_inner())
}

fn kept_attributes<'a>(reader: &NsReader<&[u8]>, tag: &BytesStart<'a>, without: Without) -> Option<BytesStart<'a>> {
    let mut kept = tag.to_owned();
    kept.clear_attributes();
    for attribute in tag.attributes() {
        let attribute = attribute.ok()?;
        let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
        if !is_outdated(namespace, name.as_ref(), without) {
            // It is written between double quotes, and may have been between single ones.
            let value = attribute.value.replace('"', "&quot;");
            kept.push_attribute(Attribute { value: value.into(), ..attribute });
        }
    }
    Some(kept)
}

/// Whether a property is no longer true, or not wanted.
fn is_outdated(namespace: ResolveResult, name: &str, without: Without) -> bool {
    let ResolveResult::Bound(Namespace(namespace)) = namespace else { return false };
    if without.place && is_place(namespace, name) || without.regions && is_regions(namespace, name) {
        return true;
    }
    match namespace {
        IPTC_EXTENSION => name == "DigitalSourceType",
        TIFF => ["Orientation", "ImageWidth", "ImageLength"].contains(&name),
        EXIF => ["PixelXDimension", "PixelYDimension"].contains(&name),
        XMP => name == "Thumbnails",
        // A JPEG's further segments, which are left out.
        NOTE => name == "HasExtendedXMP",
        // Where the content credentials of the old picture are.
        DUBLIN_CORE_TERMS => name == "provenance",
        GAIN_MAP => true,
        _ => FURTHER_PICTURES.iter().any(|start| namespace.starts_with(start)),
    }
}

/// Whether a property says where in the picture faces and things are, as shares of its sides (MWG 2.0, 5.9).
fn is_regions(namespace: &str, name: &str) -> bool {
    match namespace {
        REGIONS => name == "Regions",
        MICROSOFT_REGIONS => name == "RegionInfo",
        IPTC_EXTENSION => name == "ImageRegion",
        PANORAMA => true,
        _ => false,
    }
}

/// Whether a property says where the photo was taken or what place it shows.
fn is_place(namespace: &str, name: &str) -> bool {
    match namespace {
        IPTC_CORE => ["Location", "CountryCode"].contains(&name),
        IPTC_EXTENSION => name.starts_with("Location"),
        PHOTOSHOP => ["City", "State", "Country"].contains(&name),
        DECLARATION => false,
        // EXIF's, and those of drones and of programs for maps.
        _ => name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("gps")),
    }
}

#[cfg(test)]
mod tests {
    use super::Without;

    fn packet(properties: &str) -> String {
        format!(
            "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF \
             xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' \
             xmlns:ix='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' xmlns:t='http://ns.adobe.com/tiff/1.0/' \
             xmlns:e='http://ns.adobe.com/exif/1.0/' xmlns:xap='http://ns.adobe.com/xap/1.0/' \
             {properties}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
        )
    }

    const NOTHING: Without = Without { place: false, regions: false };
    const PLACE: Without = Without { place: true, regions: false };

    fn marked(properties: &str, without: Without) -> String {
        let packet = packet(properties);
        let marked = super::marked(Some(packet.as_bytes()), without).expect("XMP");
        assert!(super::marked(Some(&marked), without).is_some(), "what was written cannot be read");
        String::from_utf8(marked).unwrap()
    }

    #[test]
    fn outdated_properties_go_whatever_their_prefix_and_form() {
        let text = marked(
            "ix:DigitalSourceType='old' t:Orientation='6' xap:Rating='4'><ix:DigitalSourceType>old</ix:DigitalSourceType>\
             <xap:Thumbnails><rdf:Alt><rdf:li>small</rdf:li></rdf:Alt></xap:Thumbnails><t:Make>Acme</t:Make>",
            NOTHING,
        );
        assert!(!text.contains("old") && !text.contains("Orientation") && !text.contains("small"), "{text}");
        assert!(text.contains("Acme") && text.contains("Rating=\"4\""), "{text}");
        assert_eq!(text.matches("compositeWithTrainedAlgorithmicMedia").count(), 1);
    }

    #[test]
    fn the_place_goes_only_when_asked() {
        let properties = "e:GPSLatitude='55,42N' e:FNumber='28/10'>";
        assert!(marked(properties, NOTHING).contains("GPSLatitude"));
        let text = marked(properties, PLACE);
        assert!(!text.contains("GPS") && text.contains("FNumber"), "{text}");
    }

    #[test]
    fn named_places_and_what_drones_write_go_too() {
        let properties = "xmlns:p='http://ns.adobe.com/photoshop/1.0/' xmlns:c='http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/' \
            xmlns:n='http://ns.adobe.com/xmp/note/' xmlns:gps='http://www.dji.com/drone-dji/1.0/' gps:Model='A tower' \
            p:City='Lund' p:State='Lund' c:CountryCode='Lund' gps:GpsLatitude='Lund' n:HasExtendedXMP='ABCD'>\
            <p:Country>Lund</p:Country><c:Location>Lund</c:Location>\
            <ix:LocationShown><rdf:Bag><rdf:li ix:City='Lund'/></rdf:Bag></ix:LocationShown>";
        assert_eq!(marked(properties, NOTHING).matches("Lund").count(), 7);
        let text = marked(properties, PLACE);
        assert!(!text.contains("Lund") && !text.contains("HasExtendedXMP") && text.contains("A tower"), "{text}");
    }

    #[test]
    fn what_shows_the_old_picture_or_leads_to_it_goes() {
        let text = marked(
            "xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' xmlns:C='http://ns.google.com/photos/1.0/container/' \
             xmlns:I='http://ns.google.com/photos/1.0/container/item/' xmlns:G='http://ns.google.com/photos/1.0/camera/' \
             xmlns:image='http://ns.google.com/photos/1.0/image/' xmlns:d='http://ns.google.com/photos/1.0/depthmap/' \
             xmlns:n='http://ns.adobe.com/xmp/note/' hdrgm:Version='old' G:MotionPhoto='old' image:Mime='old' d:Far='old' \
             n:HasExtendedXMP='old' xap:Rating='4'><hdrgm:GainMapMax>old</hdrgm:GainMapMax>\
             <C:Directory><rdf:Seq><rdf:li rdf:parseType='Resource'><C:Item I:Length='old'/></rdf:li></rdf:Seq></C:Directory>",
            NOTHING,
        );
        assert!(!text.contains("old") && !text.contains("Directory"), "{text}");
        assert!(text.contains("Rating=\"4\""), "{text}");
    }

    #[test]
    fn the_size_goes_and_regions_only_where_they_moved() {
        let properties = "xmlns:r='http://www.metadataworkinggroup.com/schemas/regions/' t:ImageWidth='640' \
            e:PixelXDimension='640' e:FNumber='28/10'><t:ImageLength>640</t:ImageLength>\
            <e:PixelYDimension>640</e:PixelYDimension><r:Regions><rdf:Bag><rdf:li>a face</rdf:li></rdf:Bag></r:Regions>";
        let kept = marked(properties, NOTHING);
        assert!(!kept.contains("640") && kept.contains("FNumber") && kept.contains("a face"), "{kept}");
        let moved = marked(properties, Without { regions: true, ..NOTHING });
        assert!(!moved.contains("a face") && moved.contains("FNumber"), "{moved}");
    }

    #[test]
    fn values_with_quotes_and_entities_stay_what_they_were() {
        let text = marked("t:Model='a \"good\" &amp; new &lt;one>'>", NOTHING);
        assert!(text.contains("a &quot;good&quot; &amp; new &lt;one>"), "{text}");
    }

    #[test]
    fn what_is_no_xmp_is_refused() {
        for text in ["", "words", "<a/>", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", "<rdf:RDF", "\u{0}"] {
            assert!(super::marked(Some(text.as_bytes()), NOTHING).is_none(), "{text}");
        }
        assert!(super::marked(Some(&[0xFF, 0xFE, 0]), NOTHING).is_none());
    }
}
