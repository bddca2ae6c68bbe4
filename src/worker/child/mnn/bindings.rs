//! The declarations of `shim.h`, and which MNN they call: the one in this program, or a library that is opened at run
//! time.

use libloading::Library;
use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

/// The longest shape the shim reports.
pub(super) const MAX_RANK: usize = 16;

/// An open session.
#[repr(C)]
pub(super) struct RawSession {
    _opaque: [u8; 0],
}

/// A tensor, owned by its session.
#[repr(C)]
pub(super) struct RawTensor {
    _opaque: [u8; 0],
}

/// How to open a session.
#[repr(C)]
pub(super) struct RawConfig {
    pub(super) forward_type: i32,
    pub(super) mode: i32,
    pub(super) precision: i32,
    pub(super) module: i32,
    /// The file with the weights; null if the model has them itself.
    pub(super) weights: *const c_char,
}

/// Shape, element type and backend of a tensor.
#[repr(C)]
#[derive(Default)]
pub(super) struct RawInfo {
    pub(super) rank: i32,
    pub(super) dims: [i32; MAX_RANK],
    pub(super) type_code: i32,
    pub(super) bits: i32,
    pub(super) backend: i32,
    pub(super) constant: i32,
}

/// One block that a Raster copies.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct RawRegion {
    pub(super) input: i32,
    pub(super) size: [i32; 3],
    pub(super) source_offset: i32,
    pub(super) source_stride: [i32; 3],
    pub(super) target_offset: i32,
    pub(super) target_stride: [i32; 3],
}

/// An operator as the callbacks name it.
#[repr(C)]
pub(super) struct RawOp {
    pub(super) name: *const c_char,
    pub(super) kind: *const c_char,
    pub(super) mflops: f32,
}

/// A callback around each operator.
pub(super) type RawTap =
    extern "C" fn(*mut c_void, *const RawOp, *const *mut RawTensor, usize) -> i32;

/// Declares the shim's functions once: those of this program, the table of them, and a function of each name that calls
/// through the table.
macro_rules! shim {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        mod linked {
            use super::*;
            unsafe extern "C" {
                $(pub(super) fn $name($($argument: $type),*) $(-> $result)?;)*
            }
        }

        /// The functions of one MNN.
        struct Shim {
            $($name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Shim {
            /// The MNN in this program.
            const LINKED: Shim = Shim { $($name: linked::$name,)* };

            /// The MNN in a library.
            fn of(library: &Library) -> Result<Shim, String> {
                // SAFETY: `scripts/mnn-library` compiles these functions from the same `shim.h`.
                unsafe { Ok(Shim { $($name: find(library, stringify!($name))?,)* }) }
            }
        }

        $(pub(super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
            // SAFETY: the caller keeps the contract of `shim.h`.
            unsafe { (shim().$name)($($argument),*) }
        })*
    };
}

shim! {
    fn offby_mnn_version() -> *const c_char;
    fn offby_op_type(name: *const c_char) -> i32;
    fn offby_last_error() -> *const c_char;
    fn offby_has_runtime(forward_type: i32) -> i32;
    fn offby_needs_module(model: *const c_void, size: usize) -> i32;
    fn offby_ready(session: *mut RawSession) -> i32;
    fn offby_open(model: *const c_void, size: usize, config: *const RawConfig) -> *mut RawSession;
    fn offby_close(session: *mut RawSession);
    fn offby_backend(session: *mut RawSession) -> i32;
    fn offby_count(session: *mut RawSession, outputs: i32) -> usize;
    fn offby_name(session: *mut RawSession, outputs: i32, index: usize) -> *const c_char;
    fn offby_tensor(session: *mut RawSession, outputs: i32, index: usize) -> *mut RawTensor;
    fn offby_resize_input(session: *mut RawSession, input: *mut RawTensor, dims: *const i32, rank: i32) -> i32;
    fn offby_seal(session: *mut RawSession) -> i32;
    fn offby_resize(session: *mut RawSession) -> i32;
    fn offby_tensor_info(tensor: *const RawTensor, info: *mut RawInfo);
    fn offby_read(tensor: *const RawTensor, bytes: *mut c_void, size: usize) -> i32;
    fn offby_write(tensor: *mut RawTensor, bytes: *const c_void, size: usize) -> i32;
    fn offby_run(session: *mut RawSession, before: Option<RawTap>, after: Option<RawTap>, context: *mut c_void) -> i32;
    fn offby_commands(session: *mut RawSession) -> usize;
    fn offby_step(session: *mut RawSession, number: usize, before: Option<RawTap>, after: Option<RawTap>, context: *mut c_void) -> i32;
    fn offby_regions(output: *const RawTensor, inputs: *const *mut RawTensor, count: usize, regions: *mut RawRegion, room: usize) -> usize;
}

#[cfg(feature = "opengl")]
unsafe extern "C" {
    pub(super) fn offby_gl_device(
        device: *mut c_char,
        driver: *mut c_char,
        size: usize,
    ) -> *const c_char;
}

/// Finds a function of a library.
///
/// # Safety
/// The function must have this type.
pub(super) unsafe fn find<F: Copy>(library: &Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller knows the type.
    let found = unsafe { library.get::<F>(name) };
    found.map(|function| *function).map_err(|error| format!("it has no function {name}: {error}"))
}

static SHIM: OnceLock<Shim> = OnceLock::new();

/// The functions that this process calls, for good. A process that has opened no library calls its own MNN.
fn shim() -> &'static Shim {
    SHIM.get_or_init(|| Shim::LINKED)
}

/// Calls a library's functions from now on.
pub(super) fn call_into(library: &Library) -> Result<(), String> {
    let shim = Shim::of(library)?;
    SHIM.set(shim).map_err(|_| "this worker has already called a different MNN".to_owned())
}
