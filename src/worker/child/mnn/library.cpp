// What an MNN outside offby's program needs besides the shim. offby's own MNN reports each message to a function of
// mnn-sys. A library brings that function, and passes the message on.
#include "shim.h"
#include <cstdio>

static void (*listener)(const char* message) = nullptr;

// The function that gets each message. Until there is one, messages go to stderr.
extern "C" void offby_listen(void (*heard)(const char* message)) { listener = heard; }

extern "C" void mnn_ffi_emit(const char*, size_t, int, const char* message) {
    if (listener != nullptr) {
        listener(message);
    } else {
        std::fputs(message, stderr);
    }
}
