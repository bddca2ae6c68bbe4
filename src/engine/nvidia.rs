//! What NVIDIA's kernel module says of itself.

use std::fs;

/// The version of NVIDIA's kernel module, if it is loaded. CUDA's own version does not tell one driver from the next.
pub fn nvidia_driver() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace().find(is_version).map(str::to_owned)
}
