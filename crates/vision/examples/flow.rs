//! Writes the dense flow between two photos as a Middlebury `.flo` file.
//!
//! `cargo run --release -p realfill-vision --example flow -- FROM TO OUT.flo [FROM TO OUT.flo ...]`

use realfill_vision::flow::{Flow, FlowInput, FlowOptions, dense_flow};
use realfill_vision::pyramid::grey;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for job in arguments.chunks_exact(3) {
        let open = |path: &str| image::open(path).map(|p| grey(&p.to_rgb32f()));
        let (from, to) = (open(&job[0])?, open(&job[1])?);
        let start = Instant::now();
        let flow = dense_flow(&FlowInput::new(&from, &to), &FlowOptions::default());
        println!("{} {:.3} s", job[2], start.elapsed().as_secs_f64());
        write_flo(&flow, &job[2])?;
    }
    Ok(())
}

fn write_flo(flow: &Flow, path: &str) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    file.write_all(b"PIEH")?;
    file.write_all(&flow.x.width().to_le_bytes())?;
    file.write_all(&flow.x.height().to_le_bytes())?;
    for (x, y) in flow.x.iter().zip(flow.y.iter()) {
        file.write_all(&x.to_le_bytes())?;
        file.write_all(&y.to_le_bytes())?;
    }
    Ok(())
}
