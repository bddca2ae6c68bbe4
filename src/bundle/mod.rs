//! Bundles: one file with everything that a finding needs to be reproduced elsewhere. A stranger's
//! bundle is unpacked with care: no file is written outside its folder, and no file of it is run.

mod archive;
mod manifest;
mod scripts;

pub use archive::{
    ArchiveError, ArchiveLimits, LIMITS, files_of, folder_size, pack, unpack, unpack_from,
};
pub use manifest::{
    BUNDLE_SCHEMA, BundledFile, BundledFinding, DEVICE, LeftOut, Manifest, ManifestError,
    manifest_from, read_manifest, write_manifest,
};
pub use scripts::{MnnSettings, Reproduction, cpp, python, readme};
