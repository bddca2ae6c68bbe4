//! The declarations of `shim.h`.

use std::ffi::{c_char, c_void};

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

unsafe extern "C" {
    pub(super) fn offby_mnn_version() -> *const c_char;
    #[cfg(feature = "opengl")]
    pub(super) fn offby_gl_device(
        device: *mut c_char,
        driver: *mut c_char,
        size: usize,
    ) -> *const c_char;
    pub(super) fn offby_op_type(name: *const c_char) -> i32;
    pub(super) fn offby_last_error() -> *const c_char;
    #[cfg(feature = "opencl")]
    pub(super) fn offby_has_runtime(forward_type: i32) -> i32;
    pub(super) fn offby_needs_module(model: *const c_void, size: usize) -> i32;
    pub(super) fn offby_ready(session: *mut RawSession) -> i32;
    pub(super) fn offby_open(
        model: *const c_void,
        size: usize,
        config: *const RawConfig,
    ) -> *mut RawSession;
    pub(super) fn offby_close(session: *mut RawSession);
    pub(super) fn offby_backend(session: *mut RawSession) -> i32;
    pub(super) fn offby_count(session: *mut RawSession, outputs: i32) -> usize;
    pub(super) fn offby_name(session: *mut RawSession, outputs: i32, index: usize)
    -> *const c_char;
    pub(super) fn offby_tensor(
        session: *mut RawSession,
        outputs: i32,
        index: usize,
    ) -> *mut RawTensor;
    pub(super) fn offby_resize_input(
        session: *mut RawSession,
        input: *mut RawTensor,
        dims: *const i32,
        rank: i32,
    ) -> i32;
    pub(super) fn offby_seal(session: *mut RawSession) -> i32;
    pub(super) fn offby_resize(session: *mut RawSession) -> i32;
    pub(super) fn offby_tensor_info(tensor: *const RawTensor, info: *mut RawInfo);
    pub(super) fn offby_read(tensor: *const RawTensor, bytes: *mut c_void, size: usize) -> i32;
    pub(super) fn offby_write(tensor: *mut RawTensor, bytes: *const c_void, size: usize) -> i32;
    pub(super) fn offby_run(
        session: *mut RawSession,
        before: Option<RawTap>,
        after: Option<RawTap>,
        context: *mut c_void,
    ) -> i32;
    pub(super) fn offby_commands(session: *mut RawSession) -> usize;
    pub(super) fn offby_step(
        session: *mut RawSession,
        number: usize,
        before: Option<RawTap>,
        after: Option<RawTap>,
        context: *mut c_void,
    ) -> i32;
    pub(super) fn offby_regions(
        output: *const RawTensor,
        inputs: *const *mut RawTensor,
        count: usize,
        regions: *mut RawRegion,
        room: usize,
    ) -> usize;
}
