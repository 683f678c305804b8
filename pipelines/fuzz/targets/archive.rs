//! Archives of every form, unpacked into a folder.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::archive::check(bytes));
