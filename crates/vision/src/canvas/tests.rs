use super::*;
use image::{GrayAlphaImage, ImageBuffer, LumaA, Rgb, RgbImage, Rgba};

fn photo(width: u32, height: u32) -> Photo {
    let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
    Photo { path: "some/photo.jpg".into(), ..Photo::from_pixels(pixels) }
}

fn grown(request: &str, size: (u32, u32)) -> Grown {
    let request = CanvasRequest::expand(request).or_else(|_| CanvasRequest::aspect(request));
    request.unwrap().grow(photo(size.0, size.1), None).unwrap()
}

fn refusal(request: Result<CanvasRequest, CanvasError>, size: (u32, u32)) -> String {
    request.and_then(|request| request.grow(photo(size.0, size.1), None)).unwrap_err().to_string()
}

#[test]
fn sides_move_outwards_by_pixels_and_percent() {
    let Grown { photo, mask, frame } = grown("left=20%,top=3px", (10, 8));
    assert_eq!((photo.width(), photo.height(), frame), (12, 11, None));
    let pixels = photo.pixels.to_rgb8();
    for (x, y, pixel) in pixels.enumerate_pixels() {
        let known = x >= 2 && y >= 3;
        assert_eq!(mask.is_hole(x, y), !known);
        assert_eq!(pixel.0, if known { [(x - 2) as u8, (y - 3) as u8, 7] } else { [0; 3] });
    }
    let Grown { photo, .. } = grown("right=5, bottom = 50%", (10, 8));
    assert_eq!((photo.width(), photo.height()), (15, 12));
}

#[test]
fn a_shape_grows_the_side_that_is_too_short_about_the_middle() {
    let wide = grown("16:9", (90, 90));
    assert_eq!((wide.photo.width(), wide.photo.height()), (160, 90));
    assert!(wide.mask.is_hole(34, 0) && !wide.mask.is_hole(35, 0) && wide.mask.is_hole(125, 89));
    let tall = grown("1:1", (90, 41));
    assert_eq!((tall.photo.width(), tall.photo.height()), (90, 90));
    assert!(
        tall.mask.is_hole(0, 23) && !tall.mask.is_hole(0, 24) && !tall.mask.is_hole(0, 64) && tall.mask.is_hole(0, 65)
    );
}

#[test]
fn a_canvas_keeps_the_whole_photo_and_frames_what_was_asked() {
    let request = CanvasRequest::canvas("12x9-2+1").unwrap();
    let Grown { photo, mask, frame } = request.grow(photo(10, 8), None).unwrap();
    assert_eq!((photo.width(), photo.height()), (14, 9));
    assert_eq!(frame, Some(Rect { x: 2, y: 0, width: 12, height: 9 }));
    assert!(mask.is_hole(0, 0) && !mask.is_hole(0, 1) && mask.is_hole(10, 1));
}

#[test]
fn a_mask_of_the_photo_moves_along() {
    let hole = Mask::from_fn(4, 4, |x, y| (x, y) == (1, 2));
    let grown = CanvasRequest::expand("left=3").unwrap().grow(photo(4, 4), Some(&hole)).unwrap();
    let known: Vec<(u32, u32)> = (0..28).map(|i| (i % 7, i / 7)).filter(|&(x, y)| !grown.mask.is_hole(x, y)).collect();
    assert_eq!(known.len(), 15);
    assert!(!known.contains(&(4, 2)) && known.iter().all(|&(x, _)| x >= 3));
}

#[test]
fn depth_and_alpha_survive() {
    let deep = ImageBuffer::from_fn(3, 2, |x, y| Rgba([x as u16 * 20_001, y as u16 * 30_003, 9, 40_000]));
    let grown = CanvasRequest::expand("bottom=2").unwrap().grow(Photo::from_pixels(deep.clone()), None).unwrap();
    let pixels = grown.photo.pixels.as_rgba16().expect("16 bits with alpha");
    assert!(deep.enumerate_pixels().all(|(x, y, pixel)| pixels.get_pixel(x, y) == pixel));
    let grey = GrayAlphaImage::from_pixel(2, 2, LumaA([9, 8]));
    let grown = CanvasRequest::expand("top=1").unwrap().grow(Photo::from_pixels(grey), None).unwrap();
    assert!(grown.photo.pixels.as_luma_alpha8().is_some());
}

#[test]
fn nothing_new_a_negative_side_and_too_much_are_refused_with_the_limit() {
    for (request, words) in [
        (CanvasRequest::expand("left=0,top=0%"), "adds nothing to photo.jpg, which is 10×8"),
        (CanvasRequest::aspect("5:4"), "adds nothing"),
        (CanvasRequest::canvas("10x8+0+0"), "adds nothing"),
        (CanvasRequest::canvas("6x6-2-1"), "adds nothing"),
        (CanvasRequest::canvas("20x8+20+0"), "shows nothing of photo.jpg"),
        (CanvasRequest::expand("left=-3px"), "left is -3px, and a side can only move outwards"),
        (CanvasRequest::expand("left=310%"), "the canvas would be 41×8; the limit"),
        (CanvasRequest::expand("right=31px"), "4 times its area"),
        (CanvasRequest::canvas("41x8+0+0"), "10×8"),
        (CanvasRequest::canvas("4294967295x4294967295+0+0"), "the limit"),
        (CanvasRequest::aspect("10000:1"), "the limit"),
    ] {
        let message = refusal(request, (10, 8));
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(grown("right=300%", (10, 8)).photo.width(), 40);
}

#[test]
fn checking_a_size_tells_what_growing_does() {
    let pixels = || Photo::from_pixels(RgbImage::new(10, 8));
    for request in [
        CanvasRequest::expand("left=20%,top=3px"),
        CanvasRequest::expand("right=300%"),
        CanvasRequest::expand("right=31px"),
        CanvasRequest::expand("left=0,top=0%"),
        CanvasRequest::aspect("16:9"),
        CanvasRequest::aspect("5:4"),
        CanvasRequest::aspect("10000:1"),
        CanvasRequest::canvas("12x9-2+1"),
        CanvasRequest::canvas("6x6-2-1"),
        CanvasRequest::canvas("20x8+20+0"),
        CanvasRequest::canvas("4294967295x4294967295+0+0"),
    ] {
        let request = request.unwrap();
        let framed = |grown: Grown| match grown.frame {
            Some(frame) => grown.photo.cut_to(frame),
            None => grown.photo,
        };
        let grown = request.grow(pixels(), None).map(framed).map(|result| (result.width(), result.height()));
        assert_eq!(request.check((10, 8)), grown, "{request:?}");
    }
    assert!(CanvasRequest::aspect("1:1").unwrap().check((u32::MAX, u32::MAX - 1)).is_err(), "more than fits");
}

#[test]
fn what_cannot_be_read_says_how_it_looks() {
    for text in ["", "left", "left=", "up=3", "left=x%", "left=1,left=2", "left=NaN", "left=1;top=2"] {
        let message = CanvasRequest::expand(text).unwrap_err().to_string();
        assert!(message.contains("write left=20%,top=300px"), "{text}: {message}");
    }
    for text in ["", "16", "16:0", "a:b", "16:9:4", "-1:2", "20000:1"] {
        assert!(CanvasRequest::aspect(text).unwrap_err().to_string().contains("write 16:9"), "{text}");
    }
    for text in ["", "10x8", "10x8+1", "x8+0+0", "10x0+0+0", "10x8+1+2+3", "10x8+a+b", "é10x8+0+0"] {
        assert!(CanvasRequest::canvas(text).unwrap_err().to_string().contains("write 3000x2000+400+0"), "{text}");
    }
}
