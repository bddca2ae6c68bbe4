//! The pickle in a file of `torch.save`, with storages of 64 bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write as _};
use zip::CompressionMethod::Stored;
use zip::write::SimpleFileOptions;

mod dumps;

fuzz_target!(|pickle: &[u8]| dumps::open("pt", &archive(pickle)));

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(Stored);
    let numbers: Vec<u8> = (0..64).collect();
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", &numbers), ("a/data/1", &numbers)] {
        archive.start_file(name, options).expect("names are new");
        archive.write_all(bytes).expect("memory takes bytes");
    }
    archive.finish().expect("memory takes bytes").into_inner()
}
