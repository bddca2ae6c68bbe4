//! Which MNN this worker calls: the one in this program, or a library that `scripts/mnn-library` built. MNN's CUDA
//! backend is always a library, so that one offby serves machines with and without it.

use super::{bindings, log};
use crate::engine::{Backend, nvidia_driver};
use crate::worker::cache::cache_folder;
use crate::worker::wire::protocol::DriverDevice;
use libloading::Library;
use std::env;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The user's own library, for any backend.
const VARIABLE: &str = "OFFBY_MNN_LIBRARY";
const CUDA: &str = "liboffby_mnn_cuda.so";
/// The longest text that a library reports.
const TEXT: usize = 256;

/// The library of this process. `None` is the MNN in this program. The first ask decides.
static CHOSEN: OnceLock<Result<Option<Library>, String>> = OnceLock::new();

/// Opens the library that a backend needs, before the first call of MNN.
pub(super) fn choose(backend: Backend) -> Result<(), String> {
    let chosen = CHOSEN.get_or_init(|| path(backend)?.map(|path| open(&path)).transpose());
    match chosen {
        Err(reason) => Err(reason.clone()),
        Ok(None) if backend == Backend::Cuda => Err(not_found()),
        Ok(_) => Ok(()),
    }
}

/// The CUDA device of the library.
pub(super) fn cuda_device() -> Result<DriverDevice, String> {
    type Describe = unsafe extern "C" fn(*mut c_char, *mut c_char, usize) -> *const c_char;
    let Some(Ok(Some(library))) = CHOSEN.get() else { return Err(not_found()) };
    // SAFETY: `cuda/device.cpp` declares the function with this type.
    let describe: Describe = unsafe { bindings::find(library, "offby_cuda_device") }
        .map_err(|why| format!("this library of MNN has no CUDA: {why}"))?;
    let (device, driver, why) = describe_into(|device, driver, size| {
        // SAFETY: both buffers have the size that is given, and the function ends its texts with a zero.
        unsafe { describe(device, driver, size) }
    });
    match why {
        Some(why) => Err(format!("no CUDA device: {why}")),
        None => Ok(DriverDevice { name: device, driver: with_kernel_module(driver) }),
    }
}

/// Lets a C function fill a device's name and driver, and reads the reason that it returns if it has none.
pub(super) fn describe_into(
    describe: impl FnOnce(*mut c_char, *mut c_char, usize) -> *const c_char,
) -> (String, String, Option<String>) {
    let (mut device, mut driver) = ([0u8; TEXT], [0u8; TEXT]);
    let why = describe(device.as_mut_ptr().cast(), driver.as_mut_ptr().cast(), TEXT);
    let text = |bytes: &[u8]| {
        CStr::from_bytes_until_nul(bytes)
            .map(|text| text.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    // SAFETY: a reason is a text that lives as long as the process.
    let why = (!why.is_null()).then(|| unsafe { CStr::from_ptr(why) });
    (text(&device), text(&driver), why.map(|why| why.to_string_lossy().into_owned()))
}

/// CUDA's version, after that of the kernel module.
fn with_kernel_module(cuda: String) -> String {
    nvidia_driver().map_or(cuda.clone(), |version| format!("{version}, {cuda}"))
}

fn open(path: &Path) -> Result<Library, String> {
    let opened = || {
        // SAFETY: the library's initialisers register MNN's backends, as those of this program do.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        bindings::call_into(&library)?;
        log::listen_to(&library)?;
        Ok(library)
    };
    opened().map_err(|why: String| format!("cannot use the library {}: {why}", path.display()))
}

/// The library for a backend, if it needs one.
fn path(backend: Backend) -> Result<Option<PathBuf>, String> {
    if let Some(given) = env::var_os(VARIABLE) {
        return Ok(Some(PathBuf::from(given)));
    }
    if backend != Backend::Cuda {
        return Ok(None);
    }
    let found = folders().into_iter().map(|folder| folder.join(CUDA)).find(|path| path.exists());
    found.map(Some).ok_or_else(not_found)
}

fn not_found() -> String {
    format!("MNN's CUDA backend is not installed: there is no {CUDA} next to offby or in its cache")
}

/// The folders that may hold a library: that of this program, `lib` next to it, and the cache.
fn folders() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    let program = program.as_deref().and_then(Path::parent).map(Path::to_owned);
    let beside = program.as_ref().and_then(|folder| folder.parent()).map(|up| up.join("lib"));
    let cache = Some(cache_folder().join("lib"));
    [program, beside, cache].into_iter().flatten().collect()
}
