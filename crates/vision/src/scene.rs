//! One job's photos: the target, its hole and the references.

use crate::{Mask, Photo};

/// A target with a hole, and one to five other photos of the same place.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What reports call it: the folder's or the target's name.
    pub name: String,
    /// The photo to complete.
    pub target: Photo,
    /// The hole, at the target's size.
    pub mask: Mask,
    /// Other photos of the place, in any size.
    pub references: Vec<Photo>,
    /// What really was in the hole, where it is known (evaluation scenes).
    pub truth: Option<Photo>,
}
