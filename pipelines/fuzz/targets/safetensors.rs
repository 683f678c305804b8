//! Safetensors files: those of a user, those that users keep, and artifacts.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::weights::check_safetensors(bytes));
