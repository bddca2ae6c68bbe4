//! Bundles: one file with everything a finding needs to be seen elsewhere. What comes in from a
//! stranger is taken apart with care: nothing leaves its folder, nothing is run from it.

mod archive;
mod manifest;
mod scripts;

pub use archive::{ArchiveError, LIMITS, Limits, folder_size, pack, unpack};
pub use manifest::{
    BUNDLE_SCHEMA, BundledFile, BundledFinding, LeftOut, Manifest, ManifestError, read_manifest,
    write_manifest,
};
pub use scripts::{MnnSettings, Reproduction, cpp, python, readme};
