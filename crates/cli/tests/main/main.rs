//! The command line from outside: what goes in, what comes out, and what is said when that is not possible.

mod bad_input;
mod commands;
mod interrupted;
mod material;
mod server;
mod whole;
