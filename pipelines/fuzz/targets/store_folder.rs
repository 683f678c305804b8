//! A store one of whose files holds anything; the first byte says which.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::store::check_folder(bytes));
