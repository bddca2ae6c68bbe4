// The C interface to MNN that offby needs: one session (or module) with named tensors of any rank,
// stepped op by op. The wrapper of mnn-sys cuts shapes at four axes and hands callbacks a closure
// of its own. So the few calls that matter are wrapped here instead.
//
// Every function that can fail returns a negative number or NULL and leaves its reason in
// offby_last_error(). No C++ exception crosses this boundary.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OffbySession OffbySession;
typedef struct OffbyTensor OffbyTensor; // an MNN::Tensor, owned by its session

typedef struct {
    int32_t forward_type; // MNNForwardType
    int32_t mode;         // CPU: threads; GPU: MNNGpuMode bits
    int32_t precision;    // BackendConfig::PrecisionMode
    int32_t module;       // 1: by the Module API, 0: by an Interpreter session
    const char* weights;  // the file with the weights; null if the model has them itself
} OffbyConfig;

enum { OFFBY_MAX_RANK = 16 };

typedef struct {
    int32_t rank;
    int32_t dims[OFFBY_MAX_RANK];
    int32_t type_code; // halide_type_code_t: 0 int, 1 uint, 2 float
    int32_t bits;
    int32_t backend;   // MNNForwardType of the backend that holds it
    int32_t constant;  // 1 for weights and other constants of the network
} OffbyTensorInfo;

// One block of a Raster: for z, y, x below `size`, destination[offset + strides . (z, y, x)] equals
// source[...] of input number `input`. Both are in row-major order.
typedef struct {
    int32_t input; // index among the op's inputs, or -1
    int32_t size[3];
    int32_t source_offset, source_stride[3];
    int32_t target_offset, target_stride[3];
} OffbyRegion;

typedef struct {
    const char* name;
    const char* type;
    float mflops;
} OffbyOp;

// Called before an op with its inputs and after it with its outputs. Before: 0 skips the op.
// After: 0 ends the run.
typedef int32_t (*OffbyTap)(void* context, const OffbyOp* op, OffbyTensor* const* tensors, size_t count);

const char* offby_mnn_version(void);
const char* offby_last_error(void);
// The number of an op type in MNN's schema, or -1.
int32_t offby_op_type(const char* name);

// 1 if MNN itself opens a device for an MNNForwardType.
int32_t offby_has_runtime(int32_t forward_type);

// 1 if an Interpreter session cannot run this model, because it has control flow or shapes that depend on values.
int32_t offby_needs_module(const void* model, size_t size);

OffbySession* offby_open(const void* model, size_t size, const OffbyConfig* config);
void offby_close(OffbySession* session);
// The MNNForwardType that really runs the session. It may differ from the requested type.
int32_t offby_backend(OffbySession* session);

// Inputs (outputs = 0) and outputs (outputs = 1). A module has outputs only after a run.
size_t offby_count(OffbySession* session, int32_t outputs);
const char* offby_name(OffbySession* session, int32_t outputs, size_t index);
OffbyTensor* offby_tensor(OffbySession* session, int32_t outputs, size_t index);

int32_t offby_resize_input(OffbySession* session, OffbyTensor* input, const int32_t* dims, int32_t rank);
int32_t offby_resize(OffbySession* session);

// Fails unless all shapes are known. A module computes them as it runs.
int32_t offby_ready(OffbySession* session);

// Frees the model's buffer. Shapes are fixed from then on.
int32_t offby_seal(OffbySession* session);

void offby_tensor_info(const OffbyTensor* tensor, OffbyTensorInfo* info);
// Row-major NCHW bytes; `size` must match the info.
int32_t offby_read(const OffbyTensor* tensor, void* bytes, size_t size);
int32_t offby_write(OffbyTensor* tensor, const void* bytes, size_t size);

// Runs to the end; both taps may be NULL. Returns MNN's ErrorCode (0 is success, 11 is "a tap
// ended it") or a negative number.
int32_t offby_run(OffbySession* session, OffbyTap before, OffbyTap after, void* context);

// How many commands a run executes. Some of them are copies of MNN's own that no tap sees. 0 for a module, which
// chooses its commands as it runs.
size_t offby_commands(OffbySession* session);

// Runs the command of this number alone, on the current values of the session's tensors. The taps see the
// command unless it is one of MNN's own. `before` may skip it by returning 0. Meant for CPU sessions.
int32_t offby_step(OffbySession* session, size_t number, OffbyTap before, OffbyTap after, void* context);

// The regions that a Raster copies: fills at most `room` of them and returns how many there are.
size_t offby_regions(const OffbyTensor* output, OffbyTensor* const* inputs, size_t count, OffbyRegion* regions, size_t room);

#ifdef __cplusplus
}
#endif
