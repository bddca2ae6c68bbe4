//! Bundles: no file of one leaves its folder or is more than it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::bundle::{ArchiveError, Limits, files_of, manifest_from, unpack_from};
use std::io::Read;
use std::path::{Component, Path};

const LIMITS: Limits = Limits { files: 20, bytes: 1 << 20 };

fuzz_target!(|bytes: &[u8]| {
    let mut taken = 0;
    let mut take = |name: &Path, file: &mut dyn Read| {
        assert!(name.components().all(|part| matches!(part, Component::Normal(_))), "{name:?}");
        let mut content = Vec::new();
        let count = file.read_to_end(&mut content).map_err(|error| ArchiveError::Broken(error.to_string()))?;
        taken += count;
        assert!(taken as u64 <= LIMITS.bytes);
        if let Ok(text) = std::str::from_utf8(&content) {
            let _ = manifest_from(text);
        }
        Ok(count as u64)
    };
    // An archive is compressed; what mutates one seldom gets past that.
    match bytes {
        [0, tar @ ..] => drop(files_of(tar, LIMITS, &mut take)),
        other => drop(unpack_from(other, LIMITS, &mut take)),
    }
});
