//! Each kernel beside Burn's own operations and the multipliers' peak: `cargo bench --workspace --bench kernels`.
//!
//! Elements are multiplications and additions, so Gelem/s are GFLOP/s. A convolution counts those of the plain way; Winograd's does
//! with fewer, so it may pass the peak. `-- convolution` takes those alone; RAYON_NUM_THREADS sets the threads.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realfill_models::kernel_cases;
use realfill_models::memory::Recycling;
use std::time::Duration;

/// As the program's.
#[global_allocator]
static MEMORY: Recycling = Recycling::new();

fn kernels(criterion: &mut Criterion) {
    for case in kernel_cases() {
        let mut group = criterion.benchmark_group(&case.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        if case.flops > 0 {
            group.throughput(Throughput::Elements(case.flops));
        }
        group.bench_function(BenchmarkId::from_parameter(case.way), |bencher| bencher.iter(|| (case.run)()));
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
