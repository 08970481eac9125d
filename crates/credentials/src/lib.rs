//! Content credentials (C2PA): a signed record in a completed photo of what it was made from, what was changed and by which
//! program, and the reading of such records.
//!
//! A crate of its own because of what it depends on: signing, certificates and the containers of every format.

mod error;
mod folders;
mod format;
mod identity;
mod manifest;
mod sign;
mod verify;

pub use error::CredentialsError;
pub use folders::{DATA_FOLDER_VARIABLE, work_folder};
pub use identity::{Identity, Signer};
pub use manifest::{Edit, ModelUsed, Region};
pub use sign::{can_carry, sign};
pub use verify::{Change, Source, State, Verdict, verify};
