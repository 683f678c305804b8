//! PNG, GIF, BMP and WebP, decoded.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::photo::check_other(bytes));
