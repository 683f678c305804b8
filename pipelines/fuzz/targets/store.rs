//! Manifests, records of runs and requests, as bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::store::check_records(bytes));
