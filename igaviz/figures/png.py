"""PNG files of drawings: half the time and two thirds of the bytes of a general encoder.

A drawing is flat colour and rows like the row above. Filters, made for photographs, cost time and
make such rows harder to compress: here there are none (type 0), and no alpha, which is always full.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 2  # 1 is no faster; 6 takes twice the time, for a tenth of the bytes
_INCH = 0.0254  # metres


def encode(pixels: npt.NDArray[np.uint8], dpi: float) -> bytes:
    """The PNG file of opaque `pixels` [rows, columns, 4] (RGBA), `dpi` of them an inch.

    By the PNG specification, third edition: 8 bits, colour type 2 (RGB), not interlaced.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each led by its filter's type
    for channel in range(3):  # each on its own: seven times as fast as all at once
        rows[:, 1 + channel :: 3] = pixels[..., channel]
    per_metre = round(dpi / _INCH)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
            _chunk(b"IDAT", zlib.compress(rows.data, _LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
