//! Which points of two photos show the same thing.

mod brute;
mod matcher;
mod sift_matcher;

pub use brute::{Match, MatchOptions, match_descriptors, match_features};
pub use matcher::{Correspondence, Matcher, Pose, View, point_pairs};
pub use sift_matcher::SiftMatcher;
