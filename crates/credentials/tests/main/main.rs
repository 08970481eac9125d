//! Credentials from outside: what is written is read back, what was changed is found, and what cannot sign is refused.

mod identities;
mod material;
mod round_trip;
