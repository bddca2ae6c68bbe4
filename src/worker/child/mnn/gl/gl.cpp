// Opens EGL and OpenGL ES at run time, and describes the device.
#define OFFBY_GL_LOADER
#include "GL/glew.h"
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define OFFBY_DEFINE(name) decltype(&::name) offby_##name = nullptr;
OFFBY_EGL_FUNCTIONS(OFFBY_DEFINE)
OFFBY_GL_FUNCTIONS(OFFBY_DEFINE)

namespace {

char reason[256];

const char* refuse(const char* what, const char* name) {
    std::snprintf(reason, sizeof(reason), what, name);
    return reason;
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

// The reason of a refusal, or nullptr.
const char* load() {
    // Without a display, MNN reads the name of a device that it does not have. A user's own choice stays.
    setenv("EGL_PLATFORM", "surfaceless", 0);
    void* egl = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);
    void* gl = dlopen("libGLESv2.so.2", RTLD_NOW | RTLD_LOCAL);
    if (egl == nullptr || gl == nullptr) {
        return refuse("%s is missing", egl == nullptr ? "libEGL.so.1" : "libGLESv2.so.2");
    }
#define OFFBY_FIND_EGL(name) \
    if (!find(egl, #name, offby_##name)) return refuse("EGL has no function %s", #name);
    OFFBY_EGL_FUNCTIONS(OFFBY_FIND_EGL)
#define OFFBY_FIND_GL(name) \
    if (!find(gl, #name, offby_##name)) return refuse("OpenGL ES has no function %s", #name);
    OFFBY_GL_FUNCTIONS(OFFBY_FIND_GL)
    return nullptr;
}

void copy(char* to, size_t size, const GLubyte* from) {
    std::snprintf(to, size, "%s", from == nullptr ? "" : reinterpret_cast<const char*>(from));
}

// Makes a context as MNN does, asks it, and destroys it.
const char* ask(char* device, char* driver, size_t size) {
    EGLDisplay display = offby_eglGetDisplay(EGL_DEFAULT_DISPLAY);
    if (display == EGL_NO_DISPLAY || offby_eglInitialize(display, nullptr, nullptr) != EGL_TRUE) {
        return "EGL offers no display without a screen";
    }
    const EGLint wanted[] = {EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE};
    const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 3, EGL_NONE};
    const EGLint extents[] = {EGL_WIDTH, 1, EGL_HEIGHT, 1, EGL_NONE};
    EGLConfig config;
    EGLint count = 0;
    offby_eglBindAPI(EGL_OPENGL_ES_API);
    if (offby_eglChooseConfig(display, wanted, &config, 1, &count) != EGL_TRUE || count < 1) {
        return "EGL offers no configuration for OpenGL ES";
    }
    EGLContext context = offby_eglCreateContext(display, config, EGL_NO_CONTEXT, version);
    EGLSurface surface = offby_eglCreatePbufferSurface(display, config, extents);
    const char* why = nullptr;
    if (context == EGL_NO_CONTEXT || offby_eglMakeCurrent(display, surface, surface, context) != EGL_TRUE) {
        why = "EGL makes no context of OpenGL ES 3";
    } else {
        copy(device, size, offby_glGetString(GL_RENDERER));
        copy(driver, size, offby_glGetString(GL_VERSION));
        GLint major = 0, minor = 0;
        offby_glGetIntegerv(GL_MAJOR_VERSION, &major);
        offby_glGetIntegerv(GL_MINOR_VERSION, &minor);
        if (major * 10 + minor < 31) {
            why = "the driver has no compute shaders, which come with OpenGL ES 3.1";
        }
    }
    offby_eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    if (context != EGL_NO_CONTEXT) {
        offby_eglDestroyContext(display, context);
    }
    if (surface != EGL_NO_SURFACE) {
        offby_eglDestroySurface(display, surface);
    }
    return why;
}

} // namespace

// The device and driver of OpenGL ES, in buffers of `size` bytes. Returns nullptr, or why there is none.
//
// The driver is asked once, at the first call: a later question would take MNN's context away from this thread.
extern "C" const char* offby_gl_device(char* device, char* driver, size_t size) {
    static char name[256], version[256];
    static const char* why = [] {
        const char* missing = load();
        return missing != nullptr ? missing : ask(name, version, sizeof(name));
    }();
    std::snprintf(device, size, "%s", name);
    std::snprintf(driver, size, "%s", version);
    return why;
}
