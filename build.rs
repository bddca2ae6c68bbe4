//! Compiles the small C++ face of MNN. Without the `mnn` feature there is nothing to do.

fn main() {
    #[cfg(feature = "mnn")]
    compile_shim();
}

#[cfg(feature = "mnn")]
fn compile_shim() {
    println!("cargo:rerun-if-changed=src/worker/mnn/shim.h");
    println!("cargo:rerun-if-changed=src/worker/mnn/shim.cpp");
    let include = std::env::var("DEP_MNN_INCLUDE").expect("mnn-sys tells where its headers are");
    let vendor = std::path::Path::new(&include).parent().expect("the include folder lies in MNN's tree");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++14").warnings(false).file("src/worker/mnn/shim.cpp").include(&include);
    for folder in ["source", "schema/current", "3rd_party/flatbuffers/include", "3rd_party/half"] {
        build.include(vendor.join(folder));
    }
    build.compile("offby_mnn_shim");
}
