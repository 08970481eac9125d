use realfill::training::pretrain::*;
fn main() {
    let device = burn::tensor::Device::flex();
    let config = PretrainConfig { steps: 6, checkpoint_every: 100, ..Default::default() };
    let mut last = std::time::Instant::now();
    pretrain(
        &Default::default(),
        &config,
        std::path::Path::new(&std::env::args().nth(1).unwrap()),
        std::path::Path::new("/work/tmp/probe-run"),
        &device,
        &mut |p| {
            println!("{p:?} {:.2}s", last.elapsed().as_secs_f32());
            last = std::time::Instant::now();
            true
        },
    )
    .unwrap();
}
