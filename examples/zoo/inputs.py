"""Inputs of our own making: a drawn page, a synthetic voice, a sentence. The same bytes each time."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

RATE = 16000


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def drawn(height: int, width: int, lines: list[str], size: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    for row, line in enumerate(lines):
        draw.text((8, 4 + row * (size + 10)), line, fill=(20, 24, 40), font=font)
    return image


def planes(image: Image.Image) -> np.ndarray:
    """[1, 3, height, width] from -1 to 1."""
    values = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(values / 127.5 - 1)


def text(height: int, width: int) -> np.ndarray:
    return planes(drawn(height, width, ["Where numbers go wrong"], height * 2 // 5))


def page(height: int, width: int) -> np.ndarray:
    return planes(drawn(height, width, ["A first line", "and a second one", "1234 567"], 28))


def grey(height: int, width: int) -> np.ndarray:
    image = drawn(height, width, ["k7Xq2"], 40).convert("L")
    return np.asarray(image, np.float32)[None, None] / 255


def scene_image(size: int) -> Image.Image:
    """Discs and a bar before a gradient."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    picture = np.stack([rows, columns, 1 - rows], -1)
    for x, y, radius, colour in [(0.3, 0.4, 0.2, (0.9, 0.7, 0.6)), (0.7, 0.6, 0.15, (0.2, 0.3, 0.8))]:
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour
    picture[int(0.85 * size) : int(0.9 * size)] = (0.1, 0.1, 0.1)
    return Image.fromarray((picture * 255).astype(np.uint8))


def scene(size: int) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(scene_image(size), np.float32).transpose(2, 0, 1)[None] / 255)


def channels_last(size: int) -> np.ndarray:
    """As Caffe's networks have it: blue first, less the mean."""
    values = np.asarray(scene_image(size), np.float32)[:, :, ::-1]
    return np.ascontiguousarray(values - np.float32([104, 117, 123]))[None]


def speech(samples: int) -> np.ndarray:
    """A voice: harmonics of a falling pitch, through three formants, in syllables."""
    time = np.arange(samples) / RATE
    pitch = 140 - 30 * time / max(time[-1], 1e-9)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.zeros(samples)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - formant) / 90) ** 2) for formant in (600, 1100, 2400))
        voice += gain * np.sin(harmonic * phase)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time)
    noise = np.random.default_rng(5).normal(size=samples) * 0.003
    voice = voice * syllables
    return (0.3 * voice / np.abs(voice).max() + noise).astype(np.float32)


def frames(count: int, size: int = 512) -> np.ndarray:
    hop = 160
    wave = speech(size + hop * (count - 1))
    return np.stack([wave[at * hop : at * hop + size] for at in range(count)]) * np.hanning(size)


def spectrum(rows: int, columns: int) -> np.ndarray:
    """Logarithms of a voice's spectra, about as large as features are."""
    power = np.abs(np.fft.rfft(frames(rows, 2 * columns))[:, :columns]) ** 2
    logs = np.log10(power + 1e-7)
    return ((logs - logs.mean()) / logs.std()).astype(np.float32)


def three_spectra(rows: int, columns: int) -> np.ndarray:
    one = spectrum(rows, columns)
    return np.stack([one, np.roll(one, 3, 0), one * 0.5])[None]


def frame() -> np.ndarray:
    """One complex spectrum, [1, 257, 1, 2]."""
    values = np.fft.rfft(frames(1)[0])
    return np.stack([values.real, values.imag], -1)[None, :, None].astype(np.float32)


def file_bytes() -> np.ndarray:
    """The first and last 1,024 bytes of a small program, as magika takes them."""
    program = ("def double(x):\n    return x + x\n\n\nprint([double(i) for i in range(10)])\n" * 20).encode()
    first, last = list(program[:1024]), list(program[-1024:])
    return np.array([first + [256] * (1024 - len(first)) + last], np.int32)


def sentence() -> dict[str, np.ndarray]:
    """`the cat sat on the mat .` in BERT's vocabulary, with three tokens of padding."""
    ids = [101, 1996, 4937, 2938, 2006, 1996, 13523, 1012, 102, 0, 0, 0]
    mask = [1] * 9 + [0] * 3
    return {
        "input_ids": np.array([ids], np.int64),
        "attention_mask": np.array([mask], np.int64),
        "token_type_ids": np.zeros((1, len(ids)), np.int64),
    }


def characters() -> dict[str, np.ndarray]:
    """Letters by their numbers, no marks yet."""
    letters = [[3, 17, 9, 22, 5, 11, 30, 8, 14, 6, 19, 2]]
    return {
        "char_inputs": np.array(letters, np.int64),
        "diac_inputs": np.zeros((1, len(letters[0])), np.int64),
        "input_lengths": np.array([len(letters[0])], np.int64),
    }
