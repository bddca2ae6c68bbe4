# offby with MNN, software Vulkan and OpenCL drivers, and MNN's converter:
#
#   docker build -t offby . && docker run --rm -v "$PWD:/models" offby run model.onnx --on mnn:vulkan:high
FROM rust:1-bookworm AS build
COPY . /offby
WORKDIR /offby
RUN scripts/up demo && strip -o /usr/local/bin/offby "$HOME/.cache/offby/target/release/offby"

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libvulkan-dev mesa-vulkan-drivers ocl-icd-opencl-dev mesa-opencl-icd libegl1 libgles2 libegl-mesa0 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/offby \
    && /opt/offby/bin/pip install --no-cache-dir MNN==3.6.1 numpy onnxruntime==1.32.0
COPY --from=build /usr/local/bin/offby /opt/offby/bin/offby
ENV PATH=/opt/offby/bin:$PATH
WORKDIR /models
ENTRYPOINT ["offby"]
