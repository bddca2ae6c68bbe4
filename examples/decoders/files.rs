//! Writes decoders as files, large weights next to the network.

use crate::networks::build::Build;
use crate::networks::decoder::graph;
use crate::networks::recipes::{Recipe, Weights};
use offby::inputs::Random;
use offby::tensor::Dtype;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes the decoder into a folder; returns the bytes of its files.
pub(crate) fn write(recipe: &Recipe, folder: &Path) -> io::Result<u64> {
    let mut build = graph(recipe);
    let mut size = 0;
    if recipe.weights == Weights::External {
        let file = format!("{}.data", recipe.name);
        let mut stream = BufWriter::new(File::create(folder.join(&file))?);
        size += write_external(&mut build, &file, &mut stream)?;
        stream.flush()?;
    }
    let bytes = build.to_bytes();
    std::fs::write(folder.join(format!("{}.onnx", recipe.name)), &bytes)?;
    Ok(size + bytes.len() as u64)
}

/// Writes external weights to a stream, and refers to them as parts of `file`.
fn write_external(build: &mut Build, file: &str, stream: &mut impl Write) -> io::Result<u64> {
    let mut random = Random::new(build.recipe.seed);
    let mut offset = 0;
    for (name, shape, scale) in std::mem::take(&mut build.external) {
        let count: usize = shape.iter().product();
        build.change(|network| {
            network.external_initializer(&name, Dtype::F32, &shape, (file, offset))
        });
        for _ in 0..count {
            // A sum of two uniform numbers is quick, and near enough to a normal number.
            let number = (random.unit() + random.unit() - 1.0) * scale * 2.449;
            stream.write_all(&(number as f32).to_le_bytes())?;
        }
        offset += 4 * count as u64;
    }
    Ok(offset)
}
