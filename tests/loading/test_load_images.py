"""Images: sent on as they are where they are fit, else smaller, upright and without metadata; bombs and damage."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from cardanalysis._documents import Media
from cardanalysis._errors import DocumentError
from cardanalysis.loading import _images
from cardanalysis.loading._formats import Limits, Source

SECRET = b"52.5200 N 13.4050 E"


def picture(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """A picture of which the upper left quarter is black and the rest white."""
    image = Image.new("L", (width, height), 255)
    ImageDraw.Draw(image).rectangle((0, 0, width // 2 - 1, height // 2 - 1), fill=0)
    return image.convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def fit(data: bytes, limits: Limits | None = None) -> Media:
    return _images.fit(data, Source.of(data, "a.png", limits))


def shown(media: Media) -> Image.Image:
    """What is sent on, decoded."""
    image = Image.open(BytesIO(media.data))
    assert Image.MIME[image.format or ""] == media.media_type
    assert image.size == (media.width, media.height)
    return image.convert("RGB")


def corners(media: Media) -> str:
    """The colours in the middles of the quarters: upper left, upper right, lower left, lower right."""
    image = shown(media)
    across, down = (image.width // 4, image.width * 3 // 4), (image.height // 4, image.height * 3 // 4)
    return "".join("-" if sum(image.getpixel((x, y))) > 600 else "#" for y in down for x in across)


def refused(data: bytes, limits: Limits | None = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        fit(data, limits)
    return caught.value


def located() -> Image.Exif:
    """EXIF metadata that tells a place."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    return exif


# -- The document of an image


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg"), ("WEBP", "a.webp"), ("GIF", "a.gif")])
def test_an_image_is_one_block(read, kind, name):
    """An image is a document of one block that says what it is and holds the same bytes."""
    data = saved(picture(), kind)
    document = read(data, name)
    (block,) = document.blocks

    assert document.media_type == f"image/{kind.lower()}"
    assert document.notes == ()
    assert block.kind == "image"
    assert block.text == f"[{name} is a picture of 60 x 40 pixels]"
    assert block.media == Media(media_type=document.media_type, data=data, width=60, height=40)


def test_a_shrunk_image_says_so(read):
    """The text tells the picture's own size, the media that of what is sent, and a note both."""
    document = read(saved(picture(3000, 1500)), "a.png")
    (block,) = document.blocks

    assert block.text == "[a.png is a picture of 3000 x 1500 pixels]"
    assert (block.media.width, block.media.height) == (2000, 1000)
    assert document.notes == ("It was shrunk from 3000 x 1500 to 2000 x 1000 pixels.",)


@pytest.mark.parametrize(("kind", "name"), [("GIF", "a.gif"), ("WEBP", "a.webp"), ("PNG", "a.png")])
def test_of_an_animation_the_first_picture(read, kind, name):
    """Of an animation the first picture is sent, and a note counts the others."""
    others = [picture(mode="L").point(lambda value: 255 - value).convert("RGB"), Image.new("RGB", (60, 40), "red")]
    document = read(saved(picture(), kind, save_all=True, append_images=others), name)
    (block,) = document.blocks

    assert corners(block.media) == "#---"
    assert getattr(Image.open(BytesIO(block.media.data)), "n_frames", 1) == 1
    assert document.notes == ("It is animated: its first picture was kept, the other 2 were left out.",)


# -- What is sent


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_kinds_of_png_are_shrunk(mode):
    """Pictures of every kind of pixels keep what they show when they are made smaller."""
    image = picture(2400, 1200).convert("L").convert("I").point(lambda value: value * 257) if mode == "I;16" else None
    media = fit(saved(image.convert("I;16") if image else picture(2400, 1200, mode)))

    assert (media.width, media.height) == (2000, 1000)
    assert corners(media) == "#---"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_kinds_of_jpeg_are_shrunk(mode):
    """JPEG images stay JPEG images when they are made smaller, those in the colours of printers too."""
    media = fit(saved(picture(2400, 1200, mode), "JPEG"))

    assert media.media_type == "image/jpeg"
    assert (media.width, media.height) == (2000, 1000)
    assert corners(media) == "#---"


def test_transparency_is_kept():
    """A transparent picture stays transparent when it is made smaller."""
    image = picture(2400, 1200, "RGBA")
    image.putpixel((2399, 1199), (0, 0, 0, 0))
    image.paste((0, 0, 0, 0), (1200, 600, 2400, 1200))

    assert Image.open(BytesIO(fit(saved(image)).data)).getpixel((1900, 900))[3] == 0


def test_transparency_of_palettes():
    """A palette image with a transparent colour is made smaller like any other."""
    image = picture(2400, 1200, "L").convert("P")

    assert corners(fit(saved(image, transparency=7))) == "#---"


def test_too_many_bytes():
    """A picture of more bytes than every way to the API takes becomes a JPEG image that is small enough."""
    image = Image.frombytes("RGBA", (1500, 1500), Random(1).randbytes(9_000_000))
    media = fit(saved(image, compress_level=1))

    assert media.media_type == "image/jpeg"
    assert len(media.data) <= 3_750_000
    assert (media.width, media.height) == (1500, 1500)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(orientation):
    """A photo is sent as its camera held it, whatever way its pixels are stored."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's numbers of the transpositions
    image = picture(96, 64)
    stored = image if orientation == 1 else image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    media = fit(saved(stored, "JPEG", exif=exif))

    assert (media.width, media.height) == (96, 64)
    assert corners(media) == "#---"


def test_large_photos_are_turned_and_shrunk(read):
    """A large photo that lies on its side is told, and sent, upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (block,) = read(saved(picture(4000, 3000), "JPEG", exif=exif), "a.jpg").blocks

    assert block.text == "[a.jpg is a picture of 3000 x 4000 pixels]"
    assert (block.media.width, block.media.height) == (1500, 2000)


def test_what_metadata_tells_is_not_sent():
    """Where and by whom a picture was made is not sent on, wherever the file says it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Location", SECRET.decode())
    photo = saved(picture(), "JPEG")
    for data in (
        saved(picture(), "JPEG", exif=located()),
        saved(picture(), "JPEG", comment=SECRET),
        saved(picture(), "JPEG", xmp=SECRET),
        photo[:2] + b"\xff\xed" + struct.pack(">H", 2 + len(SECRET)) + SECRET + photo[2:],
        photo + SECRET,  # some phones put a video there
        saved(picture(), "PNG", exif=located()),
        saved(picture(), "PNG", pnginfo=text),
        saved(picture()) + SECRET,
        saved(picture(), "WEBP", exif=located()),
        saved(picture(), "WEBP", xmp=SECRET),
        saved(picture(), "GIF", comment=SECRET),
        saved(picture(), "GIF") + SECRET,
    ):
        media = fit(data)
        assert SECRET in data
        assert SECRET not in media.data
        assert corners(media) == "#---"


def test_a_colour_profile_is_no_metadata():
    """An image that has a colour profile besides its pixels is sent as it is."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("PNG", "JPEG", "WEBP"):
        data = saved(picture(), kind, icc_profile=profile)
        assert fit(data).data == data


# -- What cannot be read


def bomb(width: int, height: int) -> bytes:
    """A PNG image that says how large it is, of very few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_001, 14_000, 60_000])
def test_an_image_bomb_is_not_decoded(side):
    """An image of more pixels than the limit is refused by what its head says."""
    error = refused(bomb(side, side))

    assert (error.code, error.problem) == ("too_large", "it has more than 100,000,000 pixels")


def test_more_pixels_than_memory():
    """An image that is within the limit of pixels, but not of memory, is refused before it is decoded."""
    error = refused(bomb(9_000, 9_000))

    assert (error.code, error.remedy) == ("too_large", "Save it in a smaller size, or raise Limits.memory_bytes.")


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": located()}], ids=["lossy", "lossless", "extended"]
)
def test_webp_is_not_even_opened(options):
    """A WebP image tells its size in one of three ways; beyond the limits it is refused by it."""
    data = saved(picture(300, 200), "WEBP", **options)

    assert refused(data, Limits(pixels=59_999)).code == "too_large"
    assert fit(data, Limits(pixels=60_000)).width == 300


def test_photos_of_many_pixels_take_little_memory():
    """A JPEG photo is decoded in a smaller size; one that was saved in passes needs all of its pixels at once."""
    photo = picture(4200, 4200)

    assert fit(saved(photo, "JPEG"), Limits(memory_bytes=40_000_000)).width == 2000
    assert refused(saved(photo, "JPEG", progressive=True), Limits(memory_bytes=40_000_000)).code == "too_large"


@pytest.mark.parametrize(
    ("mode", "kind", "side"),
    [("RGB", "PNG", 6900), ("L", "PNG", 9900), ("P", "GIF", 9900), ("RGB", "WEBP", 3400), ("RGB", "JPEG", 9900)],
)
def test_the_largest_that_are_allowed_fit_the_memory(read, mode, kind, side):
    """Images that are nearly too large for the memory, as that is checked ahead, can be decoded within it."""
    assert read(saved(Image.new(mode, (side, side)), kind), "a").blocks[0].media.width == 2000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_truncated_images(kind, part):
    """An image that ends in the middle is refused, not shown in part."""
    data = saved(Image.frombytes("RGB", (80, 80), Random(2).randbytes(19_200)), kind)
    error = refused(data[: max(12, int(len(data) * part))])

    assert error.code == "malformed"


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM"])
def test_other_images(kind):
    """Images of other formats are refused with what to save them as."""
    error = refused(saved(picture(), kind))

    assert (error.code, error.remedy) == ("unknown_type", "Save it as a PNG or JPEG file.")


def test_text_is_no_image():
    """What is no image at all is refused in the same way."""
    assert refused(b"<svg></svg>").code == "unknown_type"


@settings(max_examples=200)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]), st.lists(st.tuples(st.integers(0, 9999), st.binary(max_size=4)))
)
def test_damaged_images(kind, damage):
    """Of a damaged image either a picture that can be shown comes back, or a typed error."""
    data = bytearray(saved(picture(), kind))
    for at, what in damage:
        data[at % len(data) : at % len(data) + len(what)] = what
    with suppress(DocumentError):
        shown(fit(bytes(data)))
