//! Compiles the small C++ face of MNN. Without the `mnn` feature there is nothing to do.

fn main() {
    #[cfg(feature = "mnn")]
    compile_shim();
}

#[cfg(feature = "mnn")]
fn compile_shim() {
    const SOURCES: [&str; 2] = ["src/worker/child/mnn/shim.cpp", "src/worker/child/mnn/module.cpp"];
    for file in
        SOURCES.into_iter().chain(["src/worker/child/mnn/shim.h", "src/worker/child/mnn/module.h"])
    {
        println!("cargo:rerun-if-changed={file}");
    }
    let include = std::env::var("DEP_MNN_INCLUDE").expect("mnn-sys tells where its headers are");
    let vendor =
        std::path::Path::new(&include).parent().expect("the include folder lies in MNN's tree");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++14").warnings(false).files(SOURCES).include(&include);
    for folder in ["source", "schema/current", "3rd_party/flatbuffers/include", "3rd_party/half"] {
        build.include(vendor.join(folder));
    }
    build.compile("offby_mnn_shim");
    link_all_of_mnn(vendor);
    #[cfg(feature = "opengl")]
    compile_opengl(vendor);
}

/// MNN's OpenGL ES backend, which mnn-sys would link to libEGL and libGLESv2. Here both are opened at run time.
#[cfg(feature = "opengl")]
fn compile_opengl(vendor: &std::path::Path) {
    const OURS: &str = "src/worker/child/mnn/gl";
    println!("cargo:rerun-if-changed={OURS}");
    let backend = vendor.join("source/backend/opengl");
    let mut files = Vec::new();
    let entries = std::fs::read_dir(&backend).expect("MNN has an OpenGL backend");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "cpp")));
    files.sort();
    let mut build = cc::Build::new();
    build.cpp(true).std("c++14").warnings(false).files(files).include(OURS);
    for folder in [
        "include",
        "source",
        "schema/current",
        "3rd_party/flatbuffers/include",
        "3rd_party/half",
        "source/backend/opengl",
    ] {
        build.include(vendor.join(folder));
    }
    let mut loader = cc::Build::new();
    loader.cpp(true).std("c++14").file(format!("{OURS}/gl.cpp")).include(OURS);
    loader.try_expand().expect(
        "the feature opengl needs the headers of EGL and OpenGL ES: apt-get install libegl-dev libgles-dev, \
         or build with --no-default-features --features vulkan,opencl",
    );
    build.flag("-include").flag("GL/glew.h");
    // Its operators register themselves, as those of Vulkan do.
    build.link_lib_modifier("+whole-archive").link_lib_modifier("-bundle");
    build.compile("offby_mnn_opengl");
    loader.compile("offby_gl_loader");
}

/// MNN's Vulkan backend and its operators register themselves in static initialisers that nothing
/// refers to: the linker would drop them, and every Vulkan session would silently run on the CPU.
#[cfg(feature = "mnn")]
fn link_all_of_mnn(vendor: &std::path::Path) {
    println!("cargo:rerun-if-env-changed=MNN_LIB_DIR");
    // Next to the sources in mnn-sys' own output folder, or where its user says.
    let built = vendor.with_file_name("mnn-install").join("lib");
    let folder = std::env::var_os("MNN_LIB_DIR").map_or(built, std::path::PathBuf::from);
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=MNN");
}
