//! The pipe between parent and worker, as either end hears it from a stranger.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| offby::worker::hear(stream));
