//! Bundles: one file with everything a finding needs to be seen elsewhere. What comes in from a
//! stranger is taken apart with care: nothing leaves its folder, nothing is run from it.

mod archive;
mod manifest;
mod scripts;

pub use archive::{ArchiveError, LIMITS, Limits, files_of, folder_size, pack, unpack, unpack_from};
pub use manifest::{
    BUNDLE_SCHEMA, BundledFile, BundledFinding, LeftOut, Manifest, ManifestError, manifest_from,
    read_manifest, write_manifest,
};
pub use scripts::{MnnSettings, Reproduction, cpp, python, readme};
