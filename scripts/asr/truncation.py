"""Whether a sound file was cut off, where its decoder would give what is left without a word.

    missing_end(content, "MP3")     # "" or "its last frame ends 133 bytes after the file"

MP3 without a Xing header and Ogg do not say how long they are; but a cut nearly always falls inside of a frame or a page,
which says how many bytes it has. Source: ISO/IEC 11172-3, 2.4.1.3 and 13818-3; RFC 3533, section 6.
"""

# Kilobits a second by index, layer III: MPEG 1, and MPEG 2 and 2.5.
BITRATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
PAGE = b"OggS"


def missing_end(content: bytes, form: str) -> str:
    """How the end is missing, "" where nothing says so. `form` is libsndfile's: "MP3" or "OGG"."""
    end = _end_of_mp3(content) if form == "MP3" else _end_of_ogg(content) if form == "OGG" else 0
    return f"its last frame ends {end - len(content)} bytes after the file" if end > len(content) else ""


def _end_of_mp3(content: bytes) -> int:
    """Where the last frame ends by its header; 0 where the frames do not follow one another."""
    place = 0
    if content[:3] == b"ID3" and len(content) > 10:
        place = 10 + sum(byte << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    while place + 4 <= len(content):
        if not (size := _frame_bytes(content[place : place + 4])):
            return 0  # a tag at the end, or something that is no frame
        place += size
    return place


def _frame_bytes(header: bytes) -> int:
    """Bytes of a layer III frame, 0 if this is no header of one."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = 1000 * BITRATES[3 if version == 3 else 2][bitrate]
    return (144 if version == 3 else 72) * bits // RATES[version][rate] + (header[2] >> 1 & 1)


def _end_of_ogg(content: bytes) -> int:
    place = content.rfind(PAGE)
    if place < 0 or place + 27 > len(content):
        return len(content) + 1 if place >= 0 else 0
    segments = content[place + 26]
    return place + 27 + segments + sum(content[place + 27 : place + 27 + segments])
