//! `.npz` files.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod dumps;

fuzz_target!(|bytes: &[u8]| dumps::open("npz", bytes));
