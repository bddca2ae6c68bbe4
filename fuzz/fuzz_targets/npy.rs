//! `.npy` files: what is read comes back as it was, and no header makes us allocate what is not there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::tensor::npy_from;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tensor) = npy_from(bytes, bytes.len() as u64, Path::new("x.npy")) else { return };
    assert!(tensor.to_bytes().len() <= bytes.len());
    assert_eq!(tensor.shape().iter().product::<usize>(), tensor.len());
});
