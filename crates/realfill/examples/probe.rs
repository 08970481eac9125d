use realfill::training::pretrain::*;
fn main() {
    let device = burn::tensor::Device::flex();
    let config = PretrainConfig::default();
    let mut last = std::time::Instant::now();
    let net = pretrain(
        &Default::default(),
        &config,
        std::path::Path::new(&std::env::args().nth(1).unwrap()),
        std::path::Path::new(&std::env::args().nth(2).unwrap()),
        &device,
        &mut |p| {
            println!("{} {:.5} {:?} {:.2}s", p.step, p.loss, p.validation_psnr, last.elapsed().as_secs_f32());
            last = std::time::Instant::now();
            !std::path::Path::new("/work/tmp/stop-training").exists()
        },
    )
    .unwrap();
    net.save(std::path::Path::new("/work/tmp/embedded.safetensors"), burn::tensor::DType::F16).unwrap();
}
