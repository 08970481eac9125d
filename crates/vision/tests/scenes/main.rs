//! What only whole scenes show.

mod guide;
