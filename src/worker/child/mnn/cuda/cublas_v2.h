// MNN's CUDA backend makes a handle of cuBLAS and never computes with it. These few lines stand in for
// the library, which is 400 MB. A handle that exists is all that MNN checks.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef struct cublasContext* cublasHandle_t;
typedef int cublasStatus_t;
enum { CUBLAS_STATUS_SUCCESS = 0 };

static inline cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    static int made;
    *handle = reinterpret_cast<cublasHandle_t>(&made);
    return CUBLAS_STATUS_SUCCESS;
}

static inline cublasStatus_t cublasDestroy(cublasHandle_t) { return CUBLAS_STATUS_SUCCESS; }
