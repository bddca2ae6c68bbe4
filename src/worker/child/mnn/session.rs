//! A safe interface to one MNN session: named tensors, and a tap around every operator.

use super::bindings::*;
use super::file::MnnFile;
use super::log;
use crate::engine::{Backend, Memory, MnnTarget, Precision, Tune};
use crate::tensor::{Dtype, Tensor};
use crate::walk::Block;
use mnn_sys::MNNForwardType;
use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

/// The reason of MNN or of the shim for a refusal.
pub(super) type Refusal = String;

/// MNN's `MNNForwardType` of a backend.
pub(super) fn forward_type(backend: Backend) -> i32 {
    let forward_type = match backend {
        Backend::Cpu => MNNForwardType::MNN_FORWARD_CPU,
        Backend::Cuda => MNNForwardType::MNN_FORWARD_CUDA,
        Backend::Opencl => MNNForwardType::MNN_FORWARD_OPENCL,
        Backend::Opengl => MNNForwardType::MNN_FORWARD_OPENGL,
        Backend::Vulkan => MNNForwardType::MNN_FORWARD_VULKAN,
    };
    forward_type as i32
}

/// The backend of an `MNNForwardType`; 13 is the CPU with its vector extensions.
pub(super) fn backend_name(forward_type: i32) -> &'static str {
    match forward_type {
        0 | 13 => "cpu",
        2 => "cuda",
        3 => "opencl",
        6 => "opengl",
        7 => "vulkan",
        _ => "unknown",
    }
}

/// The number of an operator type in MNN's schema.
pub(super) fn type_number(name: &str) -> Option<i32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the shim only reads the string.
    let number = unsafe { offby_op_type(name.as_ptr()) };
    (number >= 0).then_some(number)
}

/// MNN's version, as the library reports it.
pub(super) fn version() -> String {
    // SAFETY: MNN returns a static string.
    unsafe { text(offby_mnn_version()) }
}

/// # Safety
/// `raw` is null or a string that lives through the call.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the string.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// MNN's own reason if it named one, or else the reason of the shim.
fn refusal() -> Refusal {
    // SAFETY: the shim returns a thread-local string that lives until its next call.
    log::take_reason().unwrap_or_else(|| unsafe { text(offby_last_error()) })
}

fn checked(code: i32) -> Result<(), Refusal> {
    if code < 0 { Err(refusal()) } else { Ok(()) }
}

/// Which of MNN's programming interfaces runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// A session of an Interpreter: a list of commands.
    Session,
    /// A Module: control flow, and shapes that depend on values.
    Module,
}

impl Api {
    /// The interface's name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Api::Session => "session",
            Api::Module => "module",
        }
    }

    /// The interface that a model needs.
    pub(super) fn for_model(model: &[u8]) -> Self {
        // SAFETY: the shim verifies the bytes before it reads them as a model.
        match unsafe { offby_needs_module(model.as_ptr().cast(), model.len()) } {
            1 => Api::Module,
            _ => Api::Session,
        }
    }
}

/// One model opened on one backend.
pub(super) struct MnnSession {
    raw: NonNull<RawSession>,
    api: Api,
}

/// A session on the CPU that may move to a different thread.
pub(super) struct Movable(pub(super) MnnSession);

// SAFETY: one thread at a time has the session. MNN's CPU stores no state of the thread that opened the session: the
// shim sets the executor of a module at each call.
unsafe impl Send for Movable {}

impl Movable {
    /// Runs with a tap around every operator, and returns the session.
    pub(super) fn run_tapped(mut self, tap: &mut dyn RunTap) -> (Self, Result<(), Refusal>) {
        let ended = self.0.run_tapped(tap);
        (self, ended)
    }
}

impl MnnSession {
    /// Opens a model on the target's backend, or on the backend of MNN's fallback: see [`Session::forward_type`].
    pub(super) fn open(model: MnnFile<'_>, target: &MnnTarget, api: Api) -> Result<Self, Refusal> {
        let weights = model.weights.map(|path| CString::new(path.as_os_str().as_bytes()));
        let weights = weights.transpose().map_err(|error| error.to_string())?;
        let config = RawConfig {
            forward_type: forward_type(target.backend),
            mode: mode(target),
            precision: match target.precision {
                Precision::Normal => 0,
                Precision::High => 1,
                Precision::Low => 2,
            },
            module: i32::from(api == Api::Module),
            weights: weights.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
        };
        let model = model.bytes;
        // SAFETY: the shim copies the model and the config before it returns.
        let raw = unsafe { offby_open(model.as_ptr().cast(), model.len(), &config) };
        NonNull::new(raw).map(|raw| MnnSession { raw, api }).ok_or_else(refusal)
    }

    /// The interface that runs this session.
    pub(super) fn api(&self) -> Api {
        self.api
    }

    /// Whether all shapes are known; a module learns them as it runs.
    pub(super) fn ready(&self) -> Result<(), Refusal> {
        // SAFETY: the session is open.
        checked(unsafe { offby_ready(self.raw.as_ptr()) })
    }

    /// The `MNNForwardType` that really runs this session.
    pub(super) fn forward_type(&self) -> i32 {
        // SAFETY: the session is open.
        unsafe { offby_backend(self.raw.as_ptr()) }
    }

    /// The network's inputs.
    pub(super) fn inputs(&self) -> Vec<(String, TensorRef<'_>)> {
        self.ends(0)
    }

    /// The network's outputs.
    pub(super) fn outputs(&self) -> Vec<(String, TensorRef<'_>)> {
        self.ends(1)
    }

    fn ends(&self, outputs: i32) -> Vec<(String, TensorRef<'_>)> {
        let raw = self.raw.as_ptr();
        // SAFETY: the session is open, and indices stay below the count that the shim reports.
        let at = |index| unsafe {
            (
                text(offby_name(raw, outputs, index)),
                TensorRef::new(offby_tensor(raw, outputs, index)),
            )
        };
        // SAFETY: as above.
        (0..unsafe { offby_count(raw, outputs) }).map(at).collect()
    }

    /// Gives the inputs new shapes; `shapes` has the order of [`Session::inputs`].
    pub(super) fn resize(&mut self, shapes: &[Vec<usize>]) -> Result<(), Refusal> {
        let inputs: Vec<*mut RawTensor> =
            self.inputs().iter().map(|(_, tensor)| tensor.raw).collect();
        for (input, shape) in inputs.into_iter().zip(shapes) {
            let dims: Result<Vec<i32>, _> = shape.iter().map(|&dim| i32::try_from(dim)).collect();
            let dims =
                dims.map_err(|_| format!("shape {shape:?} is beyond MNN's 32-bit dimensions"))?;
            // SAFETY: session and input are open; dims and rank belong together.
            checked(unsafe {
                offby_resize_input(self.raw.as_ptr(), input, dims.as_ptr(), dims.len() as i32)
            })?;
        }
        // SAFETY: the session is open; earlier tensors are not used again.
        checked(unsafe { offby_resize(self.raw.as_ptr()) })
    }

    /// Frees the model's buffer, which is as large as all weights. Shapes are fixed from then on.
    pub(super) fn seal(&mut self) -> Result<(), Refusal> {
        // SAFETY: the session is open; no call resizes it after this.
        checked(unsafe { offby_seal(self.raw.as_ptr()) })
    }

    /// Runs without taps.
    pub(super) fn run(&mut self) -> Result<(), Refusal> {
        // SAFETY: the session is open; without taps the context is not read.
        finished(unsafe { offby_run(self.raw.as_ptr(), None, None, ptr::null_mut()) })
    }

    /// How many commands a run executes, including MNN's own copies.
    pub(super) fn commands(&self) -> usize {
        // SAFETY: the session is open.
        unsafe { offby_commands(self.raw.as_ptr()) }
    }

    /// Runs the command of this number alone, on the current values of the session's tensors. The tap sees the
    /// command unless it is one of MNN's own.
    pub(super) fn step(&mut self, number: usize, tap: &mut dyn RunTap) -> Result<(), Refusal> {
        let mut context = TapContext { tap };
        let context = ptr::from_mut(&mut context).cast::<c_void>();
        // SAFETY: as in `run_tapped`.
        finished(unsafe {
            offby_step(self.raw.as_ptr(), number, Some(before), Some(after), context)
        })
    }

    /// Runs with a tap around every operator.
    pub(super) fn run_tapped(&mut self, tap: &mut dyn RunTap) -> Result<(), Refusal> {
        let mut context = TapContext { tap };
        let context = ptr::from_mut(&mut context).cast::<c_void>();
        // SAFETY: the context outlives the call, and only this thread's callbacks read it.
        finished(unsafe { offby_run(self.raw.as_ptr(), Some(before), Some(after), context) })
    }
}

impl Drop for MnnSession {
    fn drop(&mut self) {
        // SAFETY: the session is open and is not used after this.
        unsafe { offby_close(self.raw.as_ptr()) }
    }
}

/// CPU: threads. GPU: the bits of `MNNGpuMode`.
fn mode(target: &MnnTarget) -> i32 {
    if target.backend == Backend::Cpu {
        return i32::from(target.threads.unwrap_or(2));
    }
    let tune = match target.tune.unwrap_or(Tune::Wide) {
        Tune::None => 1,
        Tune::Heavy => 2,
        Tune::Wide => 4,
        Tune::Normal => 8,
        Tune::Fast => 16,
    };
    let memory = match target.memory {
        None => 0,
        Some(Memory::Buffer) => 64,
        Some(Memory::Image) => 128,
    };
    tune | memory
}

/// `MNN::ErrorCode` in words.
fn finished(code: i32) -> Result<(), Refusal> {
    let words = match code {
        0 | 11 => return Ok(()),
        1 => "out of memory",
        2 => "an operator is not supported",
        3 => "a shape could not be computed",
        4 => "an operator has no implementation on this backend",
        5 => "an invalid value",
        10 => "invalid input data",
        20 => "a tensor is not supported by the backend",
        21 => "a tensor is too large for the backend",
        _ if code < 0 => return Err(refusal()),
        _ => return Err(format!("MNN ended the run with error {code}")),
    };
    let named = log::take_reason();
    Err(named.unwrap_or_else(|| format!("MNN ended the run with error {code}: {words}")))
}

/// An operator, as the callbacks name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Op {
    /// The operator's name, which may repeat.
    pub(super) name: String,
    /// The operator's MNN type, such as `Raster`.
    pub(super) kind: String,
}

/// Watches a run, operator by operator.
pub(super) trait RunTap {
    /// Called before an operator, with its inputs; `false` skips the operator.
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool;
    /// Called after an operator, with its outputs; `false` ends the run.
    fn after(&mut self, op: &Op, outputs: &[TensorRef<'_>]) -> bool;
}

struct TapContext<'a> {
    tap: &'a mut dyn RunTap,
}

extern "C" fn before(
    context: *mut c_void,
    op: *const RawOp,
    tensors: *const *mut RawTensor,
    count: usize,
) -> i32 {
    call(context, op, tensors, count, |tap, op, tensors| tap.before(op, tensors))
}

extern "C" fn after(
    context: *mut c_void,
    op: *const RawOp,
    tensors: *const *mut RawTensor,
    count: usize,
) -> i32 {
    call(context, op, tensors, count, |tap, op, tensors| tap.after(op, tensors))
}

fn call(
    context: *mut c_void,
    op: *const RawOp,
    tensors: *const *mut RawTensor,
    count: usize,
    body: impl FnOnce(&mut dyn RunTap, &Op, &[TensorRef<'_>]) -> bool,
) -> i32 {
    // A panic must not unwind through MNN. A caught panic ends the run.
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `run_tapped` passes this context, and MNN calls back on its thread alone.
        let context = unsafe { &mut *context.cast::<TapContext<'_>>() };
        // SAFETY: the shim fills the operator for the length of the call.
        let op = unsafe { Op { name: text((*op).name), kind: text((*op).kind) } };
        let raw: &[*mut RawTensor] = match count {
            0 => &[],
            // SAFETY: the shim passes `count` tensors that live through the call.
            _ => unsafe { std::slice::from_raw_parts(tensors, count) },
        };
        let tensors: Vec<TensorRef<'_>> = raw.iter().map(|&raw| TensorRef::new(raw)).collect();
        body(context.tap, &op, &tensors)
    }));
    i32::from(unwound.unwrap_or(false))
}

/// A tensor inside a session.
pub(super) struct TensorRef<'s> {
    raw: *mut RawTensor,
    session: PhantomData<&'s MnnSession>,
}

impl TensorRef<'_> {
    fn new(raw: *mut RawTensor) -> Self {
        TensorRef { raw, session: PhantomData }
    }

    fn info(&self) -> RawInfo {
        let mut info = RawInfo::default();
        // SAFETY: the tensor lives as long as its session; the shim fills the info.
        unsafe { offby_tensor_info(self.raw, &mut info) };
        info
    }

    /// The extent of each axis. An extent that is not known yet is negative in MNN and 0 here.
    pub(super) fn shape(&self) -> Vec<usize> {
        let info = self.info();
        info.dims[..info.rank as usize]
            .iter()
            .map(|&dim| usize::try_from(dim).unwrap_or(0))
            .collect()
    }

    /// The element type; `None` if MNN has a type that offby lacks.
    pub(super) fn dtype(&self) -> Option<Dtype> {
        let info = self.info();
        Some(match (info.type_code, info.bits) {
            (2, 32) => Dtype::F32,
            (2, 16) => Dtype::F16,
            (0, 8) => Dtype::I8,
            (0, 16) => Dtype::I16,
            (0, 32) => Dtype::I32,
            (0, 64) => Dtype::I64,
            (1, 8) => Dtype::U8,
            (1, 16) => Dtype::U16,
            (1, 32) => Dtype::U32,
            _ => return None,
        })
    }

    /// Whether the tensor is a constant of the network, such as a weight.
    pub(super) fn is_constant(&self) -> bool {
        self.info().constant != 0
    }

    /// Distinguishes the tensors of one session. The number is not a pointer to follow.
    pub(super) fn identity(&self) -> usize {
        self.raw as usize
    }

    /// The blocks that a Raster copied into this tensor from the tensors of these identities. `None` marks a block
    /// that comes from elsewhere.
    pub(super) fn regions(&self, inputs: &[usize]) -> Vec<Option<Block>> {
        let inputs: Vec<*mut RawTensor> =
            inputs.iter().map(|&input| input as *mut RawTensor).collect();
        // SAFETY: the tensor lives; inputs are only compared; without room the shim writes no region.
        let count =
            unsafe { offby_regions(self.raw, inputs.as_ptr(), inputs.len(), ptr::null_mut(), 0) };
        let mut regions = vec![RawRegion::default(); count];
        // SAFETY: as above, with room for all regions.
        unsafe {
            offby_regions(self.raw, inputs.as_ptr(), inputs.len(), regions.as_mut_ptr(), count)
        };
        regions.iter().map(block).collect()
    }

    /// The backend whose memory contains the tensor.
    pub(super) fn backend(&self) -> &'static str {
        backend_name(self.info().backend)
    }

    /// The tensor's elements, in row-major NCHW order.
    pub(super) fn read(&self) -> Result<Tensor, Refusal> {
        let dtype = self
            .dtype()
            .ok_or_else(|| "a tensor has an element type offby does not know".to_owned())?;
        let shape = self.shape();
        let count: usize = shape.iter().product();
        let mut bytes = vec![0u8; count * dtype.size()];
        if count > 0 {
            // SAFETY: the buffer is as long as the size says; the shim refuses any other size.
            checked(unsafe { offby_read(self.raw, bytes.as_mut_ptr().cast(), bytes.len()) })?;
        }
        Tensor::from_bytes(dtype, &shape, &bytes).map_err(|error| error.to_string())
    }

    /// Overwrites the tensor's elements.
    pub(super) fn write(&self, tensor: &Tensor) -> Result<(), Refusal> {
        if tensor.is_empty() {
            return Ok(());
        }
        let bytes = tensor.bytes();
        // SAFETY: the buffer is as long as the size says; the shim refuses any other size.
        checked(unsafe { offby_write(self.raw, bytes.as_ptr().cast(), bytes.len()) })
    }
}

fn block(region: &RawRegion) -> Option<Block> {
    let size = region.size.map(|extent| usize::try_from(extent).unwrap_or(0));
    Some(Block {
        input: usize::try_from(region.input).ok()?,
        size,
        source: (i64::from(region.source_offset), region.source_stride.map(i64::from)),
        target: (i64::from(region.target_offset), region.target_stride.map(i64::from)),
    })
}
