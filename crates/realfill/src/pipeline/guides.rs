//! Guides that are worked out once a job: kept beside the checkpoints, so that a resumed job does not do it again.

use super::drawn::DrawnGuides;
use super::job::checkpoints_in;
use super::view::{GUIDE_PX, PRETENDERS, within};
use super::{FillConfig, FillError, Timing, Window};
use image::{GrayImage, Rgb32FImage};
use realfill_vision::guide::{Origins, ReferenceSummary, Sites};
use realfill_vision::save::{SaveError, write_whole};
use realfill_vision::warp::Places;
use realfill_vision::{Guide, Mask, Plane, Scene};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

const REFERENCES: &str = "references";
const UNSEEN: &str = "unseen";

/// What the stages took is kept in this file beside the guides.
const TIMINGS: &str = "timings.json";

/// Bytes that a guide's file takes for each of its pixels: nine numbers in f32 and three in u8.
const BYTES_PER_PIXEL: u64 = 39;

/// Bytes that the guides of [`fill`](super::fill) take in its folder at most: one of each part of the target for each draw of the candidates, and
/// those of the references that pretend to be the target. What stands beside the pixels is little.
pub fn guide_bytes(scene: &Scene, config: &FillConfig) -> u64 {
    if !config.guide {
        return 0;
    }
    let of_size = |width, height| {
        let (width, height) = within((width, height), GUIDE_PX);
        BYTES_PER_PIXEL * u64::from(width) * u64::from(height)
    };
    let parts: u64 =
        Window::all_of(scene).iter().map(|window| of_size(window.rect().width, window.rect().height)).sum();
    let draws = DrawnGuides::draws(&config.seeds()).len() as u64;
    let largest = scene.references.iter().map(|photo| of_size(photo.width(), photo.height())).max().unwrap_or(0);
    let pretenders = if scene.references.len() > 1 { PRETENDERS as u64 } else { 0 };
    draws * parts + pretenders * largest
}

/// The guides of a job, each a safetensors file: `colour` `[h, w, 3]` and `trust` `[h, w]` in f32, `source` `[h, w]` in
/// u8, and where the detail is found: `photo` in u8, `place_x` and `place_y` in f32, the same of what another reference shows
/// (`beside_…`) and its `share` in f32, and where some reference reaches beyond the target's view, the cells of each that do, `unseen`
/// `[references, rows, columns]` in u8; all bit for bit.
#[derive(Clone, Debug)]
pub(super) struct Guides {
    folder: Option<PathBuf>,
}

impl Guides {
    /// Those of the job in an output folder.
    pub fn of_job(output: &Path) -> Self {
        Self { folder: Some(checkpoints_in(output).join("guides")) }
    }

    /// None is kept: for a job that is not resumed.
    pub fn not_kept() -> Self {
        Self { folder: None }
    }

    /// The guide of that name and size, if it was kept whole; else the one that `build` makes, which is kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn get_or(&self, name: &str, size: (u32, u32), build: impl FnOnce() -> Guide) -> Result<Guide, FillError> {
        Ok(self.get_all_or(&[(name.to_owned(), size)], || vec![build()])?.remove(0))
    }

    /// As [`Guides::get_or`] for several names and sizes, which are built together if one is missing.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn get_all_or(
        &self,
        wanted: &[(String, (u32, u32))],
        build: impl FnOnce() -> Vec<Guide>,
    ) -> Result<Vec<Guide>, FillError> {
        let Some(folder) = &self.folder else { return Ok(build()) };
        let path = |name: &String| folder.join(format!("{name}.safetensors"));
        let kept = |name: &String| std::fs::read(path(name)).ok().and_then(|bytes| read(&bytes));
        let kept = |(name, size): &(String, (u32, u32))| kept(name).filter(|kept| kept.colour.dimensions() == *size);
        if let Some(guides) = wanted.iter().map(kept).collect::<Option<Vec<_>>>() {
            return Ok(guides);
        }
        let guides = build();
        make(folder)?;
        for ((name, _), guide) in wanted.iter().zip(&guides) {
            write_whole(path(name), |file| file.write_all(&written(guide)))?;
        }
        Ok(guides)
    }

    /// What the stages took in earlier runs of the job; nothing where that was not kept.
    pub fn timings(&self) -> Vec<Timing> {
        let kept = |folder: &PathBuf| serde_json::from_slice(&std::fs::read(folder.join(TIMINGS)).ok()?).ok();
        self.folder.as_ref().and_then(kept).unwrap_or_default()
    }

    /// Keeps what the stages took that made the guides.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_timings(&self, timings: &[Timing]) -> Result<(), SaveError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        make(folder)?;
        let text = serde_json::to_vec_pretty(timings).expect("plain data");
        write_whole(folder.join(TIMINGS), |file| file.write_all(&text))
    }
}

fn make(folder: &Path) -> Result<(), SaveError> {
    std::fs::create_dir_all(folder).map_err(|source| SaveError::Folder { path: folder.into(), source })
}

fn written(guide: &Guide) -> Vec<u8> {
    let (width, height) = (guide.colour.width() as usize, guide.colour.height() as usize);
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let (colour, trust, share) = (bytes(&guide.colour), bytes(&guide.trust), bytes(&guide.origins.share));
    let (own, beside) = (&guide.origins.own, &guide.origins.beside);
    let [x, y, beside_x, beside_y] =
        [&own.places.x, &own.places.y, &beside.places.x, &beside.places.y].map(|p| bytes(p));
    let unseen = marked(&guide.unseen);
    let view = |dtype, shape, data| TensorView::new(dtype, shape, data).expect("shape and data agree");
    let mut tensors = vec![
        ("colour", view(Dtype::F32, vec![height, width, 3], &colour)),
        ("trust", view(Dtype::F32, vec![height, width], &trust)),
        ("source", view(Dtype::U8, vec![height, width], guide.source.as_raw())),
        ("photo", view(Dtype::U8, vec![height, width], own.photo.as_raw())),
        ("place_x", view(Dtype::F32, vec![height, width], &x)),
        ("place_y", view(Dtype::F32, vec![height, width], &y)),
        ("beside_photo", view(Dtype::U8, vec![height, width], beside.photo.as_raw())),
        ("beside_place_x", view(Dtype::F32, vec![height, width], &beside_x)),
        ("beside_place_y", view(Dtype::F32, vec![height, width], &beside_y)),
        ("share", view(Dtype::F32, vec![height, width], &share)),
    ];
    if let Some((shape, cells)) = &unseen {
        tensors.push((UNSEEN, view(Dtype::U8, shape.to_vec(), cells)));
    }
    let references = serde_json::to_string(&guide.references).expect("plain data");
    serialize(tensors, Some(HashMap::from([(REFERENCES.to_owned(), references)]))).expect("plain tensors")
}

/// Shape and values of the cells of all references; nothing where none has any.
fn marked(unseen: &[Option<Mask>]) -> Option<([usize; 3], Vec<u8>)> {
    let some = unseen.iter().flatten().next()?;
    let none = Mask::from_fn(some.width(), some.height(), |_, _| false);
    let cells = unseen.iter().flat_map(|cells| cells.as_ref().unwrap_or(&none).holes());
    let shape = [unseen.len(), some.height() as usize, some.width() as usize];
    Some((shape, cells.map(|&cell| u8::from(cell)).collect()))
}

fn read(bytes: &[u8]) -> Option<Guide> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let references: Vec<ReferenceSummary> = serde_json::from_str(header.metadata().as_ref()?.get(REFERENCES)?).ok()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let [height, width, 3] = *tensors.tensor("colour").ok()?.shape() else { return None };
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    Some(Guide {
        colour: Rgb32FImage::from_raw(width, height, floats(&tensors, "colour")?)?,
        trust: Plane::from_raw(width, height, floats(&tensors, "trust")?)?,
        source: grey(&tensors, "source", (width, height))?,
        origins: Origins {
            own: sites(&tensors, "", (width, height))?,
            beside: sites(&tensors, "beside_", (width, height))?,
            share: Plane::from_raw(width, height, floats(&tensors, "share")?)?,
        },
        unseen: unseen(&tensors).unwrap_or_else(|| vec![None; references.len()]),
        references,
    })
}

fn unseen(tensors: &SafeTensors) -> Option<Vec<Option<Mask>>> {
    let tensor = tensors.tensor(UNSEEN).ok()?;
    let [_, rows, columns] = *tensor.shape() else { return None };
    let mask =
        |cells: &[u8]| Mask::from_fn(columns as u32, rows as u32, |x, y| cells[y as usize * columns + x as usize] > 0);
    let of_reference = |cells: &[u8]| cells.iter().any(|cell| *cell > 0).then(|| mask(cells));
    Some(tensor.data().chunks_exact((rows * columns).max(1)).map(of_reference).collect())
}

fn sites(tensors: &SafeTensors, prefix: &str, (width, height): (u32, u32)) -> Option<Sites> {
    let plane = |name: &str| Plane::from_raw(width, height, floats(tensors, &format!("{prefix}{name}"))?);
    let places = Places { x: plane("place_x")?, y: plane("place_y")? };
    Some(Sites { photo: grey(tensors, &format!("{prefix}photo"), (width, height))?, places })
}

fn grey(tensors: &SafeTensors, name: &str, (width, height): (u32, u32)) -> Option<GrayImage> {
    GrayImage::from_raw(width, height, tensors.tensor(name).ok()?.data().to_vec())
}

fn floats(tensors: &SafeTensors, name: &str) -> Option<Vec<f32>> {
    let tensor = tensors.tensor(name).ok()?;
    let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (tensor.dtype() == Dtype::F32).then(|| values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};
    use realfill_vision::Photo;

    fn guide() -> Guide {
        let mut guide = Guide::empty(5, 3);
        guide.colour.put_pixel(4, 2, Rgb([0.1, 1.0 / 3.0, 0.9]));
        guide.trust.put_pixel(1, 2, Luma([0.7]));
        guide.source.put_pixel(3, 0, Luma([2]));
        guide.origins.own.put(2, 1, (3, [0.25, 1.0 / 7.0]));
        guide.origins.beside.put(3, 1, (2, [0.5, 0.2]));
        guide.origins.share.put_pixel(3, 1, Luma([0.4]));
        guide.references = vec![ReferenceSummary { matches: 31, share: 0.25, ..ReferenceSummary::default() }; 2];
        guide.unseen = vec![None, Some(Mask::from_fn(4, 6, |x, y| x + 2 * y == 3))];
        guide
    }

    #[test]
    fn a_kept_guide_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let guides = Guides::of_job(folder.path());
        guides.get_or("target", (5, 3), guide).unwrap();
        let kept = guides.get_or("target", (5, 3), || unreachable!("it was kept")).unwrap();
        let same = guide();
        assert_eq!((kept.colour, kept.trust, kept.source), (same.colour, same.trust, same.source));
        assert_eq!((kept.references, kept.unseen), (same.references, same.unseen));
        let Origins { own, beside, share } = kept.origins;
        assert_eq!((own.get(2, 1), own.get(0, 0)), (Some((3, [0.25, 1.0 / 7.0])), None));
        assert_eq!((beside.get(3, 1), beside.get(2, 1)), (Some((2, [0.5, 0.2])), None));
        assert_eq!(share, same.origins.share);
    }

    #[test]
    fn room_is_asked_for_for_the_guide_of_every_draw() {
        let photo = || Photo::from_pixels(image::RgbImage::new(1024, 768));
        let scene = |references: usize| {
            let hole = Mask::from_fn(1024, 768, |x, _| x < 200);
            Scene::new("s", photo(), hole, (0..references).map(|_| photo()).collect()).unwrap()
        };
        let one = 39 * 1024 * 768;
        let asked = |references, config: FillConfig| guide_bytes(&scene(references), &config);
        assert_eq!(asked(1, FillConfig::default()), 4 * one, "of four candidates one takes the likeliest labels");
        assert_eq!(asked(3, FillConfig::default()), 6 * one);
        assert_eq!(asked(1, FillConfig { candidates: 64, ..FillConfig::default() }), 13 * one);
        assert_eq!(asked(3, FillConfig { guide: false, ..FillConfig::default() }), 0);
    }

    #[test]
    fn what_the_stages_took_is_kept_where_guides_are() {
        let folder = tempfile::tempdir().unwrap();
        let timings = [Timing { stage: "guide".into(), secs: 2.5 }];
        let guides = Guides::of_job(folder.path());
        assert!(guides.timings().is_empty());
        guides.keep_timings(&timings).unwrap();
        assert_eq!(guides.timings(), timings);
        Guides::not_kept().keep_timings(&timings).unwrap();
        assert!(Guides::not_kept().timings().is_empty());
        std::fs::write(folder.path().join("checkpoints/guides/timings.json"), "half a fi").unwrap();
        assert!(guides.timings().is_empty());
    }

    #[test]
    fn a_damaged_one_or_another_size_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let guides = Guides::of_job(folder.path());
        guides.get_or("target", (5, 3), guide).unwrap();
        assert_eq!(guides.get_or("target", (4, 4), || Guide::empty(4, 4)).unwrap().colour.dimensions(), (4, 4));
        std::fs::write(folder.path().join("checkpoints/guides/target.safetensors"), b"half a fi").unwrap();
        assert!(guides.get_or("target", (5, 3), guide).unwrap().trust.get_pixel(1, 2)[0] > 0.6);
    }
}
