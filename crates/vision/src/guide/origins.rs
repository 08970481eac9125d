//! Where each pixel of the guide comes from, so that its detail can be fetched at the photos' own resolution.

use super::assemble::Pictures;
use crate::exemplar::Exemplars;
use crate::fuse::{Canvas, Prepared};
use crate::propose::Proposal;
use crate::warp::{Places, Sampling, sample};
use crate::{Mask, Plane};
use image::{GrayImage, Luma};

/// A photo and a place in it for each pixel of the guide, and what another photo shows of the same.
#[derive(Clone, Debug)]
pub struct Origins {
    /// Where each pixel is from.
    pub own: Sites,
    /// Where another reference shows the same.
    pub beside: Sites,
    /// How much of the pixel is the other reference's, 0 to 1/2.
    pub share: Plane,
}

/// A photo and a place in it for each pixel.
#[derive(Clone, Debug)]
pub struct Sites {
    /// 0 nowhere, 1 the target's known part, 2 + i reference i.
    pub photo: GrayImage,
    /// The place as shares of the photo's width and height, 0 to 1, whatever its size.
    pub places: Places,
}

/// A photo as [`Sites::photo`] has it, and a place in it.
pub type Site = (u8, [f32; 2]);

impl Origins {
    /// Origins that know nothing.
    pub fn none(width: u32, height: u32) -> Self {
        let none = Sites::none(width, height);
        Self { own: none.clone(), beside: none, share: Plane::new(width, height) }
    }
}

impl Sites {
    /// Nowhere.
    pub fn none(width: u32, height: u32) -> Self {
        Self { photo: GrayImage::new(width, height), places: Places::from_fn(width, height, |_, _| None) }
    }

    /// The photo and the place of one pixel, as shares.
    pub fn get(&self, x: u32, y: u32) -> Option<Site> {
        let photo = self.photo.get_pixel(x, y)[0];
        if photo == 0 { None } else { Some((photo, self.places.get(x, y)?)) }
    }

    /// Sets the photo and the place of one pixel.
    pub fn put(&mut self, x: u32, y: u32, (photo, share): Site) {
        self.photo.put_pixel(x, y, Luma([photo]));
        self.places.put(x, y, Some(share));
    }
}

/// What the origins are found from; `labels` are at the target's size, the proposals' places too, the rest at the canvas'.
pub(super) struct Sources<'a> {
    pub target: (u32, u32),
    pub references: &'a [(u32, u32)],
    pub mask: &'a Mask,
    pub proposals: &'a [Proposal],
    pub prepared: &'a [Prepared],
    pub pictures: &'a Pictures,
    pub labels: &'a [u8],
    pub canvas: &'a Canvas,
    pub invented: &'a Exemplars,
    /// For each of the exemplars' sources but the first the prepared proposal it is.
    pub exemplar_sources: &'a [usize],
}

impl Sources<'_> {
    /// One origin a pixel of the target, known ones too where a proposal covers them.
    pub fn origins(&self) -> Origins {
        let (w, h) = self.target;
        let mut out = Origins::none(w, h);
        for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
            let Some(own) = self.origin(x, y) else { continue };
            out.own.put(x, y, self.as_share(own));
            if let Some((beside, share)) = self.beside(x, y) {
                out.beside.put(x, y, self.as_share(beside));
                out.share.put_pixel(x, y, Luma([share]));
            }
        }
        out
    }

    fn as_share(&self, (photo, place): Site) -> Site {
        let size = if photo == 1 { self.target } else { self.references[usize::from(photo) - 2] };
        (photo, [(place[0] + 0.5) / size.0 as f32, (place[1] + 0.5) / size.1 as f32])
    }

    fn label(&self, x: u32, y: u32) -> Option<usize> {
        let label = usize::from(self.labels[(y * self.target.0 + x) as usize]);
        (label < self.prepared.len()).then_some(label)
    }

    fn origin(&self, x: u32, y: u32) -> Option<Site> {
        match self.label(x, y) {
            Some(label) => self.of_prepared(label, [x as f32, y as f32]),
            None => self.of_invented(x, y),
        }
    }

    /// Where another reference shows the same, and its share.
    fn beside(&self, x: u32, y: u32) -> Option<(Site, f32)> {
        let joined = self.pictures.joined(self.prepared, self.label(x, y)?);
        let (other, share) = joined.beside[(y * self.target.0 + x) as usize]?;
        Some((self.of_prepared(usize::from(other), [x as f32, y as f32])?, share))
    }

    /// Pixels of the canvas for one of the target.
    fn scale(&self) -> [f32; 2] {
        let (w, h) = self.canvas.target.dimensions();
        [w as f32 / self.target.0 as f32, h as f32 / self.target.1 as f32]
    }

    /// A prepared proposal is the proposal moved by its flow.
    fn of_prepared(&self, k: usize, at: [f32; 2]) -> Option<Site> {
        let (prepared, scale) = (&self.prepared[k], self.scale());
        let canvas: [f32; 2] = std::array::from_fn(|i| (at[i] + 0.5) * scale[i] - 0.5);
        let (mut across, mut down) = ([0.0], [0.0]);
        sample(&prepared.flow.x, canvas[0], canvas[1], Sampling::Bilinear, &mut across);
        sample(&prepared.flow.y, canvas[0], canvas[1], Sampling::Bilinear, &mut down);
        let from = [at[0] + across[0] / scale[0], at[1] + down[0] / scale[1]];
        let place = self.proposals[prepared.index].places.between(from[0], from[1])?;
        Some((prepared.reference as u8 + 2, place))
    }

    /// An invented pixel is a copy of a known one, or of one that a proposal has.
    fn of_invented(&self, x: u32, y: u32) -> Option<Site> {
        let scale = self.scale();
        let (w, h) = self.canvas.target.dimensions();
        let canvas = [(x as f32 + 0.5) * scale[0], (y as f32 + 0.5) * scale[1]];
        let cell = [(canvas[0] as u32).min(w - 1), (canvas[1] as u32).min(h - 1)];
        let (source, there) = self.invented.from[(cell[1] * w + cell[0]) as usize]?;
        let beside: [f32; 2] = std::array::from_fn(|i| canvas[i] - cell[i] as f32 - 0.5);
        let at: [f32; 2] = std::array::from_fn(|i| (there[i] + beside[i] + 0.5) / scale[i] - 0.5);
        if source > 0 {
            return self.of_prepared(self.exemplar_sources[source - 1], at);
        }
        let near = [at[0].round(), at[1].round()].map(|v| v.max(0.0) as u32);
        let near = [near[0].min(self.target.0 - 1), near[1].min(self.target.1 - 1)];
        if !self.mask.is_hole(near[0], near[1]) {
            return Some((1, at));
        }
        self.of_prepared(self.label(near[0], near[1])?, at)
    }
}
