//! EXIF and XMP wherever photos keep them; the first byte chooses the place.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mlsm_fuzz::photo::check_orientation(bytes));
