#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| realfill_vision::fuzzing::photo(bytes));
