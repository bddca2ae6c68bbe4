//! A dump in a file: what is read is whole, and nothing panics.

use offby::inputs::Dump;
use std::fs;
use std::path::PathBuf;

/// Opens bytes as a file with this ending, and reads each tensor.
pub fn open(ending: &str, bytes: &[u8]) {
    // In memory: the readers seek, so they want files.
    let path = PathBuf::from(format!("/dev/shm/offby-fuzz-{}.{ending}", std::process::id()));
    fs::write(&path, bytes).expect("/dev/shm takes files");
    let Ok(dump) = Dump::open(&path) else { return };
    for name in dump.names() {
        let tensor = dump.read(name).expect("it was read before").expect("it is there");
        assert_eq!(tensor.shape().iter().product::<usize>(), tensor.len());
    }
}
