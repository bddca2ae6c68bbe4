// What MNN's OpenGL backend asks of GLEW on Linux: the functions of OpenGL ES and EGL, as pointers that gl.cpp fills
// from the system's libraries. So offby runs without them, and says that they are missing.
//
// The compiler includes this file before each file of the backend.
#pragma once
#include <EGL/egl.h>
#include <GLES3/gl31.h>
#include <GLES2/gl2ext.h>

#define OFFBY_EGL_FUNCTIONS(F) \
    F(eglBindAPI) F(eglChooseConfig) F(eglCreateContext) F(eglCreatePbufferSurface) \
    F(eglDestroyContext) F(eglDestroySurface) F(eglGetCurrentContext) F(eglGetDisplay) \
    F(eglInitialize) F(eglMakeCurrent) F(eglReleaseThread) F(eglTerminate)

#define OFFBY_GL_FUNCTIONS(F) \
    F(glActiveTexture) F(glAttachShader) F(glBindBuffer) F(glBindBufferBase) F(glBindImageTexture) \
    F(glBindTexture) F(glBufferData) F(glCompileShader) F(glCreateProgram) F(glCreateShader) \
    F(glDeleteBuffers) F(glDeleteProgram) F(glDeleteShader) F(glDeleteTextures) F(glDispatchCompute) \
    F(glFlush) F(glGenBuffers) F(glGenTextures) F(glGetAttribLocation) F(glGetIntegeri_v) \
    F(glGetIntegerv) F(glGetProgramInfoLog) F(glGetProgramiv) F(glGetShaderInfoLog) F(glGetShaderiv) \
    F(glGetString) F(glGetUniformLocation) F(glLinkProgram) F(glMapBufferRange) F(glMemoryBarrier) \
    F(glShaderSource) F(glTexParameteri) F(glTexStorage2D) F(glTexStorage3D) F(glUniform1f) \
    F(glUniform1i) F(glUniform2f) F(glUniform2i) F(glUniform3i) F(glUniform4i) F(glUnmapBuffer) \
    F(glUseProgram)

#define OFFBY_DECLARE(name) extern decltype(&::name) offby_##name;
OFFBY_EGL_FUNCTIONS(OFFBY_DECLARE)
OFFBY_GL_FUNCTIONS(OFFBY_DECLARE)
#undef OFFBY_DECLARE

#ifndef OFFBY_GL_LOADER
#define eglBindAPI offby_eglBindAPI
#define eglChooseConfig offby_eglChooseConfig
#define eglCreateContext offby_eglCreateContext
#define eglCreatePbufferSurface offby_eglCreatePbufferSurface
#define eglDestroyContext offby_eglDestroyContext
#define eglDestroySurface offby_eglDestroySurface
#define eglGetCurrentContext offby_eglGetCurrentContext
#define eglGetDisplay offby_eglGetDisplay
#define eglInitialize offby_eglInitialize
#define eglMakeCurrent offby_eglMakeCurrent
#define eglReleaseThread offby_eglReleaseThread
#define eglTerminate offby_eglTerminate
#define glActiveTexture offby_glActiveTexture
#define glAttachShader offby_glAttachShader
#define glBindBuffer offby_glBindBuffer
#define glBindBufferBase offby_glBindBufferBase
#define glBindImageTexture offby_glBindImageTexture
#define glBindTexture offby_glBindTexture
#define glBufferData offby_glBufferData
#define glCompileShader offby_glCompileShader
#define glCreateProgram offby_glCreateProgram
#define glCreateShader offby_glCreateShader
#define glDeleteBuffers offby_glDeleteBuffers
#define glDeleteProgram offby_glDeleteProgram
#define glDeleteShader offby_glDeleteShader
#define glDeleteTextures offby_glDeleteTextures
#define glDispatchCompute offby_glDispatchCompute
#define glFlush offby_glFlush
#define glGenBuffers offby_glGenBuffers
#define glGenTextures offby_glGenTextures
#define glGetAttribLocation offby_glGetAttribLocation
#define glGetIntegeri_v offby_glGetIntegeri_v
#define glGetIntegerv offby_glGetIntegerv
#define glGetProgramInfoLog offby_glGetProgramInfoLog
#define glGetProgramiv offby_glGetProgramiv
#define glGetShaderInfoLog offby_glGetShaderInfoLog
#define glGetShaderiv offby_glGetShaderiv
#define glGetString offby_glGetString
#define glGetUniformLocation offby_glGetUniformLocation
#define glLinkProgram offby_glLinkProgram
#define glMapBufferRange offby_glMapBufferRange
#define glMemoryBarrier offby_glMemoryBarrier
#define glShaderSource offby_glShaderSource
#define glTexParameteri offby_glTexParameteri
#define glTexStorage2D offby_glTexStorage2D
#define glTexStorage3D offby_glTexStorage3D
#define glUniform1f offby_glUniform1f
#define glUniform1i offby_glUniform1i
#define glUniform2f offby_glUniform2f
#define glUniform2i offby_glUniform2i
#define glUniform3i offby_glUniform3i
#define glUniform4i offby_glUniform4i
#define glUnmapBuffer offby_glUnmapBuffer
#define glUseProgram offby_glUseProgram
#endif
