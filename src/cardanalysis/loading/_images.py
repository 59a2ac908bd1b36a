"""Images: checked, and made fit to be looked at by a model. The one module that imports Pillow.

What is sent on has neither metadata, such as where a photo was taken, nor more pixels or bytes than every way to the
API takes. An image that is fit as it is stays as it is, byte by byte.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from .._documents import BlockKind, Media
from .._errors import DocumentError
from ._formats import Format, Parsed, Source
from ._writing import BlockWriter

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE = 2_000
"""Pixels. The API refuses a request of more than 20 images if a side of one is longer."""

MOST_BYTES = 3_750_000
"""Of one image: 5 MB in base64, as Amazon Bedrock and Google Cloud take it; the Claude API takes twice that."""

_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_SMALL_MODES = ("1", "L", "P")  # of one byte a pixel in memory; the others take four
_PALETTES = ("1", "P")
_BYTES_A_PIXEL_OF_WEBP = 16  # its decoder keeps a picture and the one before it, and copies twice
_ORIENTATION = 0x0112  # the EXIF tag
_QUALITY = 90

# What an image that is sent on as it is may consist of: nothing in these tells who made it, when or where.
_PNG_PARTS = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP bKGD pHYs sBIT hIST".split())
_WEBP_PARTS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"))
_JPEG_PARTS = frozenset(("APP0", "APP2", "APP14"))  # JFIF, colour profile, Adobe's colour transform
_GIF_METADATA = (b"XMP DataXMP", b"\x21\xfe")


class _Fitted(NamedTuple):
    """A fit image, the size of the one that it was made of, and what a person should know about it."""

    media: Media
    size: tuple[int, int]
    notes: list[str]


def fit(data: bytes, source: Source) -> Media:
    """Check an image and make it fit to be looked at.

    Args:
        data: A PNG, JPEG, WebP or GIF image.
        source: The document that it stands in, for limits and errors.

    Returns:
        The same bytes where they are fit. Else its first picture, upright, without metadata, no side longer than
        `LONGEST_SIDE`, at most `MOST_BYTES`: as JPEG if it was one or is too large as PNG, else as PNG.

    Raises:
        DocumentError: It has more pixels than the limits allow (``too_large``), is damaged (``malformed``) or no image
            of these formats (``unknown_type``).
    """
    return _fit(data, source).media


def jpeg(pixels: bytes, width: int, height: int, stride: int) -> Media:
    """Make a JPEG image of rows of pixels.

    Args:
        pixels: Four bytes each: red, green, blue and one that is not used.
        width: In pixels.
        height: In pixels.
        stride: Bytes from one row to the next.
    """
    from PIL import Image

    return _as_jpeg(Image.frombuffer("RGB", (width, height), pixels, "raw", "RGBX", stride, 1))


def _parse(source: Source) -> Parsed:
    fitted = _fit(source.data, source)
    writer = BlockWriter(source)
    width, height = fitted.size
    text = f"[{source.name} is a picture of {width} x {height} pixels]"
    writer.add(BlockKind.IMAGE, text, media=fitted.media)
    return writer.parsed(fitted.notes)


def _fit(data: bytes, source: Source) -> _Fitted:
    _check_webp(data, source)
    with _opened(data, source) as image:
        width, height = image.size
        _check_pixels(width * height, _bytes_a_pixel(image), source)
        kind = str(image.format)
        frames = 1 if kind == "MPO" else getattr(image, "n_frames", 1)
        size = image.size
        if kind in ("JPEG", "MPO"):
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # decodes a large one at half its size or less
        image.load()
        turned = _orientation(image)
        if turned >= 5:
            size = (size[1], size[0])
        clean = turned == 1 and frames == 1 and max(size) <= LONGEST_SIDE and len(data) <= MOST_BYTES
        if clean and not _has_metadata(image, kind, data):
            return _Fitted(Media(media_type=_TYPES[kind], data=data, width=size[0], height=size[1]), size, [])
        media = _encoded(image, kind)
    return _Fitted(media, size, _notes(size, media, frames))


@contextmanager
def _opened(data: bytes, source: Source) -> Generator[Image, None, None]:
    """Open an image, and tell what is wrong with it until the context ends."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about metadata, or sizes that are checked below
            with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF")) as image:
                yield image
    except UnidentifiedImageError:
        raise _no_image(data, source) from None
    except Image.DecompressionBombError:
        raise _too_many_pixels(source) from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error):
        raise source.malformed("its picture is damaged or ends in the middle") from None


def _no_image(data: bytes, source: Source) -> DocumentError:
    signatures = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
    if data.startswith(signatures):
        return source.malformed("its picture is damaged or ends in the middle")
    problem = "it is not a PNG, JPEG, WebP or GIF image"
    return DocumentError(source.name, problem, "Save it as a PNG or JPEG file.", code="unknown_type")


def _too_many_pixels(source: Source) -> DocumentError:
    found = f"it has more than {source.limits.pixels:,} pixels"
    return DocumentError(source.name, found, "Save it in a smaller size, or raise Limits.pixels.", code="too_large")


def _check_pixels(pixels: int, bytes_each: int, source: Source) -> None:
    """Check what an image comes to when it is decoded, before it is."""
    limits = source.limits
    if pixels > limits.pixels:
        raise _too_many_pixels(source)
    if bytes_each * pixels > limits.memory_bytes * 0.75:
        found = f"its {pixels:,} pixels take more than {limits.memory_bytes:,} bytes of memory"
        remedy = "Save it in a smaller size, or raise Limits.memory_bytes."
        raise DocumentError(source.name, found, remedy, code="too_large")


def _check_webp(data: bytes, source: Source) -> None:
    """Check the size that a WebP image tells: Pillow takes the memory for it when it opens one (RFC 9649, 2.5-2.7)."""
    if data[:4] != b"RIFF" or len(data) < 30:
        return
    match data[12:16]:
        case b"VP8X":
            width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    _check_pixels(width * height, _BYTES_A_PIXEL_OF_WEBP, source)


def _bytes_a_pixel(image: Image) -> int:
    """How much memory a pixel takes while an image is decoded, measured with Pillow 13."""
    match image.format:
        case "WEBP":
            return _BYTES_A_PIXEL_OF_WEBP
        case "JPEG" | "MPO":
            return 2 * len(image.getbands()) if image.info.get("progressive") else 1
        case _:
            return 1 if image.mode in _SMALL_MODES else 4


def _orientation(image: Image) -> int:
    """How a camera held the picture; 1 is upright, 5 to 8 lie on their side (EXIF 2.3, 4.6.4)."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _notes(size: tuple[int, int], media: Media, frames: int) -> list[str]:
    notes: list[str] = []
    if frames > 1:
        others = "the other one was" if frames == 2 else f"the other {frames - 1:,} were"
        notes.append(f"It is animated: its first picture was kept, {others} left out.")
    if size != (media.width, media.height):
        notes.append(f"It was shrunk from {size[0]} x {size[1]} to {media.width} x {media.height} pixels.")
    return notes


# -- Writing anew


def _encoded(image: Image, kind: str) -> Media:
    """Write an image anew: upright, without metadata, within the bounds."""
    from PIL import ImageOps

    # Smaller first: what comes then takes a copy or two. Of a palette no colours can be mixed yet.
    first = LONGEST_SIDE * (2 if image.mode in _PALETTES else 1)
    image.thumbnail((first, first), reducing_gap=1.0)  # in two steps, of which the first takes least memory
    shown = _in_plain_colours(image)
    shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    shown = ImageOps.exif_transpose(shown)
    if kind in ("JPEG", "MPO"):
        return _as_jpeg(shown)
    content = BytesIO()
    _bare(shown).save(content, "PNG")
    if content.tell() > MOST_BYTES:
        return _as_jpeg(shown)
    return Media(media_type="image/png", data=content.getvalue(), width=shown.width, height=shown.height)


def _in_plain_colours(image: Image) -> Image:
    """The image in grey or in red, green and blue, with its transparency."""
    from PIL import Image as Images

    if image.mode.startswith("I"):  # 16 bits a pixel, of which Pillow would cut off what is above 255
        return Images.frombytes("L", image.size, image.convert("I").tobytes()[1::4])
    if image.mode in ("L", "RGB", "RGBA"):
        return image.copy() if "transparency" not in image.info else image.convert("RGBA")
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _bare(image: Image) -> Image:
    """The image without what Pillow would write besides its pixels."""
    image.info = {}
    return image


def _as_jpeg(image: Image) -> Media:
    """A JPEG image on white, of a lower quality and then smaller until it is small enough."""
    image = _on_white(image)
    for quality in (_QUALITY, 75, 50):
        content = BytesIO()
        _bare(image).save(content, "JPEG", quality=quality)
        if content.tell() <= MOST_BYTES:
            break
    return Media(media_type="image/jpeg", data=content.getvalue(), width=image.width, height=image.height)


def _on_white(image: Image) -> Image:
    from PIL import Image as Images

    if image.mode != "RGBA":
        return image if image.mode == "L" else image.convert("RGB")
    white = Images.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


# -- Metadata


def _has_metadata(image: Image, kind: str, data: bytes) -> bool:
    """Whether an image holds anything but its picture, even behind its end."""
    match kind:
        case "PNG":
            return not _PNG_PARTS.issuperset(_png_parts(data))
        case "WEBP":
            return not _WEBP_PARTS.issuperset(_webp_parts(data))
        case "GIF":
            return "comment" in image.info or any(each in data for each in _GIF_METADATA) or not data.endswith(b";")
        case "JPEG":
            parts = {name for name, _ in getattr(image, "applist", ())}
            return not _JPEG_PARTS.issuperset(parts) or not data.endswith(b"\xff\xd9")
        case _:
            return True


def _png_parts(data: bytes) -> Iterator[bytes]:
    """The names of a PNG image's chunks, and of what may follow the last."""
    at = 8
    while at < len(data):
        name = data[at + 4 : at + 8]
        yield name
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if name == b"IEND" and at < len(data):
            yield b"more"


def _webp_parts(data: bytes) -> Iterator[bytes]:
    """The names of a WebP image's chunks, and of what may follow the last."""
    at = 12
    while at < len(data):
        yield data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


def _format(title: str, media_type: str, *endings: str, others: tuple[str, ...] = ()) -> Format:
    return Format(
        title=title,
        media_types=(media_type, *others),
        endings=endings,
        limit="gif_bytes" if media_type == "image/gif" else "image_bytes",
        parse=_parse,
        isolated=True,
    )


FORMATS = (
    _format("PNG", "image/png", ".png", others=("image/x-png", "image/apng")),
    _format("JPEG", "image/jpeg", ".jpg", ".jpeg", others=("image/jpg", "image/pjpeg")),
    _format("WebP", "image/webp", ".webp"),
    _format("GIF", "image/gif", ".gif"),
)
