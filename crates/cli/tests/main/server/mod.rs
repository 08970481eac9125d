//! `realfill serve` from outside, over a real socket.
#![cfg(unix)]

mod bucket;
mod client;
mod killed;
mod postgres;
mod readme;
mod refused;
mod shared;
mod tls;
mod whole;

use crate::material::{SIZE, mask, photo};
use client::{Reply, Server};
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use std::io::Cursor;

/// A picture as a PNG file's content.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A form's field: its name, the file's name, the content.
pub type Field<'a> = (&'a str, &'a str, Vec<u8>);

/// The photos that every test uses: a target and two references.
pub fn photos() -> Vec<Field<'static>> {
    vec![
        ("target", "house.png", png(&photo(SIZE, 0))),
        ("reference", "a.png", png(&photo(SIZE, 5))),
        ("reference", "b.png", png(&photo((96, 72), 9))),
    ]
}

/// The photos with their mask.
pub fn whole_scene() -> Vec<Field<'static>> {
    let mut fields = photos();
    fields.push(("mask", "mask.png", png(&mask(SIZE))));
    fields
}

/// Uploads a scene with its mask, and returns its id.
pub fn scene(server: &Server) -> String {
    id(&server.upload(&whole_scene()))
}

/// A job of `iterations` steps that is as short as can be otherwise.
pub fn request(scene: &str, iterations: usize) -> Value {
    json!({ "scene": scene, "settings": {
        "guide": false, "view_px": 64, "candidates": 2, "sampler": { "steps": 1 },
        "tune": { "iterations": iterations, "batch": 1, "checkpoint_every": 1 },
    } })
}

/// The id in what a creation answered.
pub fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["id"].as_str().expect("an id").to_owned()
}
