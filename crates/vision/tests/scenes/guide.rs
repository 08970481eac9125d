//! The guide of an example scene does not depend on how its references are given, and takes nothing from photos of another place.

use image::Rgb32FImage;
use realfill_vision::guide::GuideOptions;
use realfill_vision::metrics::hole_psnr;
use realfill_vision::resize::{Filter, quantise, resize, resize_known};
use realfill_vision::{Guide, Mask, Scene};
use std::path::Path;
use std::sync::LazyLock;

/// Longer side the photos are shrunk to, in pixels: a guide takes seconds.
const SIDE: u32 = 256;

/// A scene, small.
struct Small {
    target: Rgb32FImage,
    truth: Rgb32FImage,
    mask: Mask,
    references: Vec<Rgb32FImage>,
}

impl Small {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/scenes").join(name);
        let scene = Scene::open(&folder).expect("the example scenes are in the repository");
        let height = SIDE * scene.target.height() / scene.target.width();
        let small = |photo: &realfill_vision::Photo| resize(&photo.to_rgb32f(), SIDE, height, Filter::Bilinear);
        Self {
            target: resize_known(&scene.target.to_rgb32f(), &scene.mask, SIDE, height),
            truth: small(scene.truth.as_ref().expect("the example scenes have their truth")),
            mask: scene.mask.resized_max(SIDE, height),
            references: scene.references.iter().map(small).collect(),
        }
    }

    fn guided_by(&self, references: &[Rgb32FImage]) -> Guide {
        Guide::build(&self.target, &self.mask, references, &GuideOptions::default(), &mut |_, _| ())
    }

    /// How near two fillings of the hole are, in dB.
    fn alike(&self, a: &Rgb32FImage, b: &Rgb32FImage) -> f64 {
        hole_psnr(&quantise(a), &quantise(b), &self.mask)
    }
}

static SCENE: LazyLock<Small> = LazyLock::new(|| Small::open("still-life"));
static PLAIN: LazyLock<Guide> = LazyLock::new(|| SCENE.guided_by(&SCENE.references));

#[test]
fn the_order_of_the_references_changes_nothing() {
    let order = [2, 0, 1];
    let turned: Vec<Rgb32FImage> = order.iter().map(|&i| SCENE.references[i].clone()).collect();
    let guide = SCENE.guided_by(&turned);
    assert_eq!(guide.colour, PLAIN.colour);
    assert_eq!(guide.trust, PLAIN.trust);
    for (place, &i) in order.iter().enumerate() {
        assert_eq!(guide.references[place], PLAIN.references[i]);
        assert_eq!(guide.unseen[place], PLAIN.unseen[i]);
    }
    let there = |s: u8| if s == 0 { 0 } else { order[s as usize - 1] as u8 + 1 };
    assert!(guide.source.iter().zip(PLAIN.source.iter()).all(|(a, b)| there(*a) == *b));
}

#[test]
fn a_doubled_reference_changes_nothing_and_is_named() {
    let mut doubled = SCENE.references.clone();
    doubled.push(SCENE.references[1].clone());
    let guide = SCENE.guided_by(&doubled);
    assert_eq!(guide.colour, PLAIN.colour);
    assert_eq!(guide.trust, PLAIN.trust);
    assert_eq!(guide.references[3].same_as, Some(1));
    assert_eq!(guide.unseen[3], PLAIN.unseen[1]);
    assert_eq!(guide.references[3].to_string(), "is the same photo as reference 1");
}

/// It is stood up before anything is measured on it.
#[test]
fn a_reference_turned_by_90_degrees_changes_nothing() {
    let mut turned = SCENE.references.clone();
    turned[0] = image::imageops::rotate90(&turned[0]);
    let guide = SCENE.guided_by(&turned);
    assert_eq!(guide.colour, PLAIN.colour);
    assert_eq!(guide.trust, PLAIN.trust);
    assert_eq!(guide.references, PLAIN.references);
    let origins = |g: &Guide, x, y| g.origins.own.get(x, y).filter(|(photo, _)| *photo == 2);
    let apart = |x: u32, y: u32| match (origins(&guide, x, y), origins(&PLAIN, x, y)) {
        (Some((_, a)), Some((_, b))) => (a[0] - (1.0 - b[1])).abs().max((a[1] - b[0]).abs()),
        (a, b) => (a.is_some() != b.is_some()) as u8 as f32,
    };
    let (w, h) = guide.colour.dimensions();
    assert!((0..h).all(|y| (0..w).all(|x| apart(x, y) < 1e-6)));
}

/// Measured: 19.33 dB to the truth instead of 19.35.
#[test]
fn a_photo_of_another_place_is_said_to_be_one_and_costs_nothing() {
    let foreign = Small::open("courtyard").references.remove(0);
    let mut more = SCENE.references.clone();
    more.insert(0, foreign);
    let guide = SCENE.guided_by(&more);
    let merit = |g: &Guide| SCENE.alike(&g.colour, &SCENE.truth);
    println!("with {:.2} dB, without {:.2} dB", merit(&guide), merit(&PLAIN));
    assert_eq!(guide.references[0].to_string(), "shares nothing with the target");
    assert!(guide.source.iter().all(|s| *s != 1));
    assert!(guide.unseen[0].is_none());
    assert!(merit(&guide) > merit(&PLAIN) - 0.3, "{:.2} dB with, {:.2} dB without", merit(&guide), merit(&PLAIN));
}

#[test]
fn photos_of_another_place_alone_are_trusted_nowhere_and_as_good_as_none() {
    let guide = SCENE.guided_by(&Small::open("courtyard").references);
    let hole = || guide.trust.iter().zip(SCENE.mask.holes()).filter(|(_, hole)| **hole);
    assert!(guide.references.iter().all(|r| r.shares_nothing));
    assert!(hole().all(|(trust, _)| *trust == 0.0));
    assert_eq!(guide.colour, SCENE.guided_by(&[]).colour);
}
