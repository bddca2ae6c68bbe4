//! A chain of additions, and its values in each format of dumps.

use crate::Result;
use offby::graph::Network;
use offby::tensor::Dtype::F32;
use offby::tensor::{Tensor, write_npy};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes a dump into a folder, and returns its path.
type Writer = fn(&Path, usize, usize) -> Result<PathBuf>;

/// The formats and their writers.
pub(crate) const FORMATS: [(&str, Writer); 5] =
    [(".npy", npy), ("raw", raw), (".npz", npz), (".safetensors", safetensors), (".pt", pt)];

/// A quarter is added and subtracted in turn, which is exact.
const STEPS: [f32; 2] = [0.25, -0.25];

/// The network: `x0` is its input, and node `i` writes `xi`.
pub(crate) fn network(values: usize, elements: usize) -> Vec<u8> {
    let step = |at: usize| Tensor::from_f32(&[1], vec![STEPS[at]]).expect("one element");
    let start = Network::new("chain")
        .input("x0", F32, &[elements])
        .initializer("s0", &step(0))
        .initializer("s1", &step(1));
    let name = |at: usize| format!("x{at}");
    let network = (1..values).fold(start, |network, at| {
        let step = format!("s{}", (at - 1) % 2);
        network.node(&format!("n{at}"), "Add", &[&name(at - 1), &step], &[&name(at)], &[])
    });
    network.output(&name(values - 1), F32, &[elements]).to_bytes()
}

fn value(at: usize, elements: usize) -> Tensor {
    let offset = if at.is_multiple_of(2) { 0.0 } else { STEPS[0] };
    let numbers = (0..elements).map(|i| i as f32 / 1024.0 + offset).collect();
    Tensor::from_f32(&[elements], numbers).expect("the shape has these elements")
}

fn new_folder(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

fn npy(folder: &Path, values: usize, elements: usize) -> Result<PathBuf> {
    let path = new_folder(folder, "npy")?;
    for at in 0..values {
        write_npy(&path.join(format!("x{at}.npy")), &value(at, elements))?;
    }
    Ok(path)
}

fn raw(folder: &Path, values: usize, elements: usize) -> Result<PathBuf> {
    let path = new_folder(folder, "raw")?;
    let mut manifest = Vec::new();
    for at in 0..values {
        fs::write(path.join(format!("x{at}.bin")), value(at, elements).to_bytes())?;
        manifest.push(format!(
            r#"{{"name": "x{at}", "file": "x{at}.bin", "dtype": "f32", "shape": [{elements}]}}"#
        ));
    }
    fs::write(path.join("manifest.json"), format!("[{}]", manifest.join(",\n")))?;
    Ok(path)
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

fn npz(folder: &Path, values: usize, elements: usize) -> Result<PathBuf> {
    let path = folder.join("dump.npz");
    let mut archive = ZipWriter::new(BufWriter::new(File::create(&path)?));
    let one = folder.join("one.npy");
    for at in 0..values {
        write_npy(&one, &value(at, elements))?;
        archive.start_file(format!("x{at}.npy"), stored())?;
        archive.write_all(&fs::read(&one)?)?;
    }
    archive.finish()?.flush()?;
    fs::remove_file(one)?;
    Ok(path)
}

fn safetensors(folder: &Path, values: usize, elements: usize) -> Result<PathBuf> {
    let path = folder.join("dump.safetensors");
    let size = elements * size_of::<f32>();
    let entry = |at: usize| {
        let (from, to) = (at * size, (at + 1) * size);
        format!(r#""x{at}":{{"dtype":"F32","shape":[{elements}],"data_offsets":[{from},{to}]}}"#)
    };
    let header = format!("{{{}}}", (0..values).map(entry).collect::<Vec<_>>().join(","));
    let mut file = BufWriter::new(File::create(&path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for at in 0..values {
        file.write_all(&value(at, elements).to_bytes())?;
    }
    file.flush()?;
    Ok(path)
}

/// A dictionary of tensors as `torch.save` writes it.
fn pt(folder: &Path, values: usize, elements: usize) -> Result<PathBuf> {
    let path = folder.join("dump.pt");
    let mut archive = ZipWriter::new(BufWriter::new(File::create(&path)?));
    archive.start_file("dump/data.pkl", stored())?;
    archive.write_all(&pickle(values, elements))?;
    archive.start_file("dump/byteorder", stored())?;
    archive.write_all(b"little")?;
    for at in 0..values {
        archive.start_file(format!("dump/data/{at}"), stored())?;
        archive.write_all(&value(at, elements).to_bytes())?;
    }
    archive.finish()?.flush()?;
    Ok(path)
}

fn pickle(values: usize, elements: usize) -> Vec<u8> {
    let text = |text: &str| {
        let length = (text.len() as u32).to_le_bytes();
        [b"X".as_slice(), &length, text.as_bytes()].concat()
    };
    let int = |number: usize| [b"J".as_slice(), &(number as u32).to_le_bytes()].concat();
    let mut pickle = b"\x80\x02}".to_vec();
    for at in 0..values {
        pickle.extend(text(&format!("x{at}")));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(text("storage"));
        pickle.extend(b"ctorch\nFloatStorage\n");
        pickle.extend([text(&at.to_string()), text("cpu"), int(elements)].concat());
        pickle.extend(b"tQK\x00");
        pickle.extend([int(elements), b"\x85K\x01\x85\x89".to_vec()].concat());
        pickle.extend(b"ccollections\nOrderedDict\n)RtRs");
    }
    pickle.extend(b".");
    pickle
}
