//! What a matcher is given and gives, whether it computes features or runs a network.

use crate::Mask;
use crate::robust::PointPair;
use image::Rgb32FImage;
use std::fmt::Debug;

/// One photo to match.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The photo.
    pub image: &'a Rgb32FImage,
    /// What must not be matched, at the photo's size; `None` for a whole photo.
    pub hole: Option<&'a Mask>,
}

/// The same point seen in two photos.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correspondence {
    /// Where it is, in pixels of both photos. Equal positions in one photo mean the same feature, so tracks can be strung together.
    pub points: PointPair,
    /// How surely it is the same, 0 to 1; only the order means something.
    pub confidence: f32,
    /// How what is around it changes from the first photo to the second, where the matcher can tell.
    pub pose: Option<Pose>,
}

impl Correspondence {
    /// The same from the second photo to the first.
    pub fn reversed(&self) -> Self {
        let points = PointPair { from: self.points.to, to: self.points.from };
        Self { points, pose: self.pose.map(|p| Pose { scale: 1.0 / p.scale, turn: -p.turn }), ..*self }
    }
}

/// A change of size and direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// How many times larger.
    pub scale: f64,
    /// By how much it is turned, in radians from the x axis towards the y axis (down).
    pub turn: f64,
}

/// Finds correspondences between photos. All photos of a scene are given at once, so that what is computed for a photo is computed once.
pub trait Matcher: Debug + Send + Sync {
    /// For each pair of indices into `views` the correspondences from the first to the second, surest first. They are not verified
    /// geometrically.
    fn correspondences(&self, views: &[View], pairs: &[(usize, usize)]) -> Vec<Vec<Correspondence>>;
}

/// The points alone, as the estimators of [`crate::robust`] take them.
pub fn point_pairs(correspondences: &[Correspondence]) -> Vec<PointPair> {
    correspondences.iter().map(|c| c.points).collect()
}
