//! The four lists of a CUB folder, parted by zero bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::lists::check_cub(bytes));
