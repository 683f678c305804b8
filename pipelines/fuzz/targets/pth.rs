//! PyTorch weight files of both layouts: containers and pickles.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::weights::check_pth(bytes));
