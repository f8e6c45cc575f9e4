/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - names what fvlm does not read, and tells what to do about it: one table of first bytes. */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>

#include "format/base/utf8.h"
#include "reference/image/formats.h"

#define CONVERT(from) "convert it first: magick " from " out.png"
#define FRAME "take a frame of it first: ffmpeg -i in.mp4 -frames:v 1 out.png"
#define HEIF                                                                                                           \
    "convert it first: heif-convert in.heic out.jpg (on an iPhone: Settings > Camera > Formats > Most Compatible)"
#define RAW "develop it first, or take the JPEG that the camera keeps in it: exiftool -b -JpgFromRaw in > out.jpg"
#define MODEL "the picture comes after the model: fvlm run MODEL.fvlm PICTURE \"PROMPT\""
#define UNPACK "unpack it first"

#define MAGIC(text) text, sizeof text - 1

static const struct {
    size_t offset;
    const char *magic;
    size_t n_magic;
    const char *name, *advice;
} kinds[] = {
    {0, MAGIC("GIF8"), "a GIF image", CONVERT("'in.gif[0]'")},
    {6, MAGIC("\0\0\0\0"), "a BMP image", CONVERT("in.bmp")}, /* with "BM" before: see kind_of */
    {8, MAGIC("CR\2"), "a camera raw image (CR2)", RAW},
    {0, MAGIC("II*\0"), "a TIFF or camera raw image", CONVERT("'in.tif[0]'")},
    {0, MAGIC("MM\0*"), "a TIFF or camera raw image", CONVERT("'in.tif[0]'")},
    {0, MAGIC("II+\0"), "a BigTIFF image", CONVERT("'in.tif[0]'")},
    {0, MAGIC("MM\0+"), "a BigTIFF image", CONVERT("'in.tif[0]'")},
    {0, MAGIC("FUJIFILMCCD-RAW"), "a camera raw image (RAF)", RAW},
    {0, MAGIC("IIRO"), "a camera raw image (ORF)", RAW},
    {0, MAGIC("IIRS"), "a camera raw image (ORF)", RAW},
    {0, MAGIC("IIU\0"), "a camera raw image (RW2)", RAW},
    {0, MAGIC("FOVb"), "a camera raw image (X3F)", RAW},
    {6, MAGIC("HEAPCCDR"), "a camera raw image (CRW)", RAW},
    {0, MAGIC("\xff\x0a"), "a JPEG XL image", "convert it first: djxl in.jxl out.png"},
    {0, MAGIC("\0\0\0\x0cJXL "), "a JPEG XL image", "convert it first: djxl in.jxl out.png"},
    {0, MAGIC("\0\0\0\x0cjP  "), "a JPEG 2000 image", CONVERT("in.jp2")},
    {0, MAGIC("\xff\x4f\xff\x51"), "a JPEG 2000 image", CONVERT("in.j2k")},
    {0, MAGIC("8BPS"), "a Photoshop document", CONVERT("'in.psd[0]'")},
    {0, MAGIC("gimp xcf"), "a GIMP document", CONVERT("in.xcf -flatten")},
    {0, MAGIC("\0\0\1\0"), "an icon (ICO)", CONVERT("'in.ico[0]'")},
    {0, MAGIC("icns"), "an icon (ICNS)", CONVERT("'in.icns[0]'")},
    {0, MAGIC("qoif"), "a QOI image", CONVERT("in.qoi")},
    {0, MAGIC("v/1\x01"), "an OpenEXR image", CONVERT("in.exr")},
    {0, MAGIC("#?RADIANCE"), "a Radiance HDR image", CONVERT("in.hdr")},
    {0, MAGIC("DDS "), "a DirectDraw texture", CONVERT("in.dds")},
    {0, MAGIC("BPG\xfb"), "a BPG image", "convert it first: bpgdec -o out.png in.bpg"},
    {0, MAGIC("AT&TFORM"), "a DjVu document", "convert a page first: ddjvu -format=tiff in.djvu out.tif, then that"},
    {128, MAGIC("DICM"), "a DICOM image", CONVERT("in.dcm")},
    {0, MAGIC("P1\n"), "a PBM image", CONVERT("in.pbm")},
    {0, MAGIC("P2\n"), "a PGM image", CONVERT("in.pgm")},
    {0, MAGIC("P3\n"), "a PPM image", CONVERT("in.ppm")},
    {0, MAGIC("P4\n"), "a PBM image", CONVERT("in.pbm")},
    {0, MAGIC("P5"), "a PGM image", CONVERT("in.pgm")},
    {0, MAGIC("P6"), "a PPM image", CONVERT("in.ppm")},
    {0, MAGIC("P7\n"), "a PAM image", CONVERT("in.pam")},
    {0, MAGIC("\x8aMNG"), "an MNG animation", CONVERT("'in.mng[0]'")},
    {0, MAGIC("%PDF"), "a PDF document", "convert a page first: pdftoppm -png -r 150 -f 1 -l 1 in.pdf page"},
    {0, MAGIC("%!PS"), "a PostScript document", CONVERT("-density 150 'in.ps[0]'")},
    {0, MAGIC("<svg"), "an SVG drawing", "convert it first: rsvg-convert in.svg -o out.png"},
    {8, MAGIC("AVI "), "a video (AVI)", FRAME},
    {0, MAGIC("\x1a\x45\xdf\xa3"), "a video (WebM or Matroska)", FRAME},
    {0, MAGIC("\0\0\1\xba"), "a video (MPEG)", FRAME},
    {0, MAGIC("FLV\1"), "a video (FLV)", FRAME},
    {4, MAGIC("moov"), "a video (QuickTime)", FRAME},
    {4, MAGIC("mdat"), "a video (QuickTime)", FRAME},
    {4, MAGIC("wide"), "a video (QuickTime)", FRAME},
    {0,
     MAGIC("\x89"
           "FVLM"),
     "an .fvlm model", MODEL},
    {0, MAGIC("GGUF"), "a GGUF model", MODEL},
    {8, MAGIC("{\""), "a safetensors file", MODEL},
    {0, MAGIC("\x80\2"), "a pickled Python object", MODEL},
    {0, MAGIC("\x93NUMPY"), "a NumPy array", "save it as PNG first: PIL.Image.fromarray(array).save(\"out.png\")"},
    {0, MAGIC("PK\3\4"), "a ZIP archive or an office document", UNPACK},
    {0, MAGIC("\x1f\x8b"), "a gzip file", UNPACK},
    {0, MAGIC("BZh"), "a bzip2 file", UNPACK},
    {0,
     MAGIC("\xfd"
           "7zXZ"),
     "an xz file", UNPACK},
    {0, MAGIC("7z\xbc\xaf"), "a 7-Zip archive", UNPACK},
    {0, MAGIC("Rar!"), "a RAR archive", UNPACK},
    {0, MAGIC("\x28\xb5\x2f\xfd"), "a Zstandard file", UNPACK},
    {0,
     MAGIC("\x7f"
           "ELF"),
     "a program", "name a picture"},
    {0, MAGIC("version https://git-lfs"), "a Git LFS pointer, not the picture itself", "fetch it first: git lfs pull"},
    {0, MAGIC("data:image/"), "a data: URL in a text file", "decode it first: base64 -d"},
};

/* Brands of ISO media files (ISO 14496-12, 23008-12), in order of preference: a file lists several. */
static const struct {
    const char brands[48], *name, *advice;
} media[] = {
    {"avif avis avio", "an AVIF image", "convert it first: avifdec in.avif out.png"},
    {"heic heix heim heis hevc hevx hevm hevs", "an HEIC image", HEIF},
    {"mif1 mif2 msf1 jpeg jpgs j2ki", "an HEIF image", HEIF},
    {"crx ", "a camera raw image (CR3)", RAW},
    {"", "a video (MP4 or QuickTime)", FRAME},
};

/* The row of media[] whose brand the ftyp box lists, major brand included. */
static size_t medium_of(const uint8_t *b, size_t n)
{
    const size_t box = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    const size_t end = box < n ? box : n, last = sizeof media / sizeof *media - 1;
    for (size_t i = 0; i < last; i++)
        for (const char *brand = media[i].brands; *brand; brand += brand[4] ? 5 : 4)
            for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) /* a version stands between */
                if (!memcmp(b + at, brand, 4)) return i;
    return last;
}

static bool begins_with(const uint8_t *b, size_t n, const char *text)
{
    for (; *text; text++, b++, n--)
        if (!n || (*b | 0x20) != (*text | 0x20)) return false;
    return true;
}

/* The first kilobyte is UTF-8 without control characters. Its last character may be cut. */
static bool is_text(const uint8_t *b, size_t n)
{
    const size_t head = n < 1024 ? n : 1024;
    for (size_t i = 0; i < head;) {
        int32_t c;
        const size_t taken = fvlm_utf8_next(b + i, head - i, &c);
        if (c < 0) return head - i < 4 && i > 0;
        if (c == 0x7f || (c < ' ' && (c < '\t' || c > '\r'))) return false;
        i += taken;
    }
    return true;
}

static fvlm_status refuse(fvlm_err *err, const char *name, const char *advice)
{
    return fvlm_fail(err, FVLM_UNSUPPORTED, "%s, not JPEG, PNG or WebP; %s", name, advice);
}

static fvlm_status refuse_text(const uint8_t *b, size_t n, fvlm_err *err)
{
    while (n && (*b <= ' ' || *b == 0xef || *b == 0xbb || *b == 0xbf)) b++, n--; /* a byte order mark too */
    const size_t head = n < 1024 ? n : 1024;
    if (memmem(b, head, "<svg", 4))
        return refuse(err, "an SVG drawing", "convert it first: rsvg-convert in.svg -o out.png");
    if (begins_with(b, n, "<!doctype html") || begins_with(b, n, "<html"))
        return refuse(err, "a web page", "the download went wrong: get the picture's own address");
    return refuse(err, "a text file", "name a picture");
}

/* How a PNG or a JPEG begins after a transfer or a program took its bytes for text. */
static bool is_mangled(const uint8_t *b, size_t n)
{
    static const struct {
        const char *bytes;
        size_t n;
    } starts[] = {
        {MAGIC("\x89PNG\n")},       /* line ends changed */
        {MAGIC("\x89PNG\r\r")},     /* or the other way */
        {MAGIC("\tPNG\r\n")},       /* seven bits a byte */
        {MAGIC("\xef\xbf\xbdPNG")}, /* decoded as UTF-8 */
        {MAGIC("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {MAGIC("\xc2\x89PNG")}, /* Latin-1 written as UTF-8 */
        {MAGIC("\xc3\xbf\xc3\x98\xc3\xbf\xc3")},
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (n >= starts[i].n && !memcmp(b, starts[i].bytes, starts[i].n)) return true;
    return false;
}

fvlm_status fvlm_image_refuse_foreign(const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    if (!n_bytes) return fvlm_fail(err, FVLM_BAD_INPUT, "an empty file");
    if (n_bytes >= 12 && !memcmp(bytes + 4, "ftyp", 4)) {
        const size_t i = medium_of(bytes, n_bytes);
        return refuse(err, media[i].name, media[i].advice);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t at = kinds[i].offset, n = kinds[i].n_magic;
        if (n_bytes < at + n || memcmp(bytes + at, kinds[i].magic, n) != 0) continue;
        if (at == 6 && n == 4 && memcmp(bytes, "BM", 2)) continue; /* zeros alone say nothing */
        return refuse(err, kinds[i].name, kinds[i].advice);
    }
    if (is_mangled(bytes, n_bytes))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "a picture whose bytes were changed as if they were text; get it again in binary mode");
    if (is_text(bytes, n_bytes)) return refuse_text(bytes, n_bytes, err);
    return fvlm_fail(err, FVLM_UNSUPPORTED,
                     "not a picture that fvlm knows; convert it to PNG first: magick in out.png");
}
