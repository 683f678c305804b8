//! Tars with the right sums: names, links and kinds of entries.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::archive::check_entries(bytes));
