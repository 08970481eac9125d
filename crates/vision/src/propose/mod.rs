//! What single references (or parts of the scene) propose for the target's pixels, before fusion decides among them.

mod common;
mod posed;
mod refine;
mod single;
mod wild;

pub use refine::refinement;
pub use single::single_reference_proposals;
pub use wild::is_mostly_streaks;

use crate::Plane;
use crate::warp::Places;
use image::Rgb32FImage;

/// How a proposal was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposalKind {
    /// Cameras and depth from all photos.
    MultiView,
    /// One map of the whole reference: a homography, an affine map or a similarity.
    Plane,
    /// At each pixel the plane whose matches are nearest.
    Mosaic,
}

/// A picture of the target as one source would have it. The known part is covered too where the source reaches, so that its agreement can
/// be measured there.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Proposed colours at the target's size, in the source's own light, 0 to 1.
    pub colour: Rgb32FImage,
    /// 0 where nothing is proposed, to 1 where the place is sure.
    pub confidence: Plane,
    /// Where in the reference each pixel comes from; of size 0 once a proposal was scaled.
    pub places: Places,
    /// Index of the reference the colours come from.
    pub reference: usize,
    /// How it was made.
    pub kind: ProposalKind,
}
