//! Cutting: what is left of a network is a network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::graph::{Cut, Model};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let [place, bytes @ ..] = bytes else { return };
    let Ok(model) = Model::from_bytes(bytes, Path::new("there/is/no/model.onnx")) else { return };
    if model.node_count() == 0 {
        return;
    }
    let node = model.node(usize::from(*place) % model.node_count());
    for output in node.outputs.iter().filter(|name| !name.is_empty()) {
        let Ok(part) = model.cut(&Cut::to(output.as_str().into())) else { continue };
        assert!(part.node_count() <= model.node_count());
        let again = Model::from_bytes(&part.to_bytes(), model.path());
        assert!(again.is_ok(), "a part does not read back: {:?}", again.err());
    }
});
