# SPDX-License-Identifier: Apache-2.0
"""A reader of .fvlm files written from format/SPEC.md alone: checks everything, decodes every tensor to float32.
f = Fvlm(path); f.names, f.config, f.meta, f.tokenizer, f.tensor(name), f.raw(name), f.check_model(). A bad file is a
ValueError. demanded(config) lists the tensors of section 6."""
import json, struct
from collections import namedtuple
import numpy as np, xxhash, zstandard

Section = namedtuple("Section", "kind encoding offset size raw hash zero")
Entry = namedtuple("Entry", "name_at name_size group kind bits asym layout rank zero d0 d1 d2 d3 offset size hash")
SECTION, ENTRY = struct.Struct("<IIQQQ16s16s"), struct.Struct("<IHH5B3s4QQQ16s")
# A matrix of n rows and k inputs in panels of 16 rows: where its parts begin, in bytes.
Matrix = namedtuple("Matrix", "shape n k panels group groups values scales offsets size")


def need(ok, why):
    if not ok:
        raise ValueError(why)


def ceil(a, m):
    return -(-a // m) * m


def digest(b):
    return xxhash.xxh3_128(b).digest()  # canonical: big-endian


def unique(pairs):
    need(len(dict(pairs)) == len(pairs), "duplicate key")
    return dict(pairs)


def demanded(config):
    """(name, layout, shape) of every tensor of section 6, in its order; 0 in a shape is a kernel's side."""
    v, p, l = config["vision"], config.get("projector"), config.get("llm")
    first, rows, panels, taps, out = v["stages"][0]["dim"], 1, 2, 3, []

    def module(name, layout, *shape, bias=True):
        out.append((name + ".weight", layout, list(shape)))
        if bias:
            out.append((name + ".bias", rows, [shape[0]]))

    depthwise = lambda name, c: module(name, taps, c, 1, 0, 0)
    conv1 = lambda name, n, k: module(name, panels, n, k, 1, 1)
    module("vision.stem.0", panels, first, 3, 3, 3)
    depthwise("vision.stem.1", first)
    conv1("vision.stem.2", first, first)
    for i, s in enumerate(v["stages"]):
        d, h, at = s["dim"], s["hidden"], f"vision.stage{i}."
        if i:
            depthwise(at + "downsample.dw", d)
            conv1(at + "downsample.pw", d, d)
        if s["pos"]:
            depthwise(at + "pos", d)
        for b in range(s["depth"]):
            block = f"{at}block{b}."
            if s["mixer"] == "repmixer":
                depthwise(block + "mixer", d)
            else:
                module(block + "attn.qkv", panels, 3 * d, d)
                module(block + "attn.proj", panels, d, d)
            depthwise(block + "ffn.dw", d)
            conv1(block + "ffn.fc1", h, d)
            conv1(block + "ffn.fc2", d, h)
    depthwise("vision.final.dw", v["out_dim"])
    conv1("vision.final.se.reduce", v["se_dim"], v["out_dim"])
    conv1("vision.final.se.expand", v["out_dim"], v["se_dim"])
    if p:
        module("projector.0", panels, p["hidden"], p["in"])
        module("projector.2", panels, p["out"], p["hidden"])
    if config.get("tiles", {}).get("merge") == "spatial_unpad":
        module("projector.newline", rows, p["out"], bias=False)
    if not l:
        return out
    w, q, g = l["hidden"], l["heads"] * l["head_dim"], l["kv_heads"] * l["head_dim"]
    module("llm.embed", panels, l["vocab"], w, bias=False)
    for i in range(l["layers"]):
        at = f"llm.layer{i}."
        module(at + "attn_norm", rows, w, bias=False)
        biased = l.get("bias", "qkv")
        for name, n in ("q", q), ("k", g), ("v", g):
            module(f"{at}attn.{name}", panels, n, w, bias=name in biased)
        module(at + "attn.o", panels, w, q, bias="o" in biased.replace("none", ""))
        module(at + "ffn_norm", rows, w, bias=False)
        module(at + "ffn.gate", panels, l["intermediate"], w, bias=False)
        module(at + "ffn.up", panels, l["intermediate"], w, bias=False)
        module(at + "ffn.down", panels, w, l["intermediate"], bias=False)
    module("llm.norm", rows, w, bias=False)
    if not l["tied"]:
        module("llm.head", panels, l["vocab"], w, bias=False)
    return out


Raw = namedtuple("Raw", "codes scales offsets group")


def bf16(x):
    return (x.view("<u2").astype("<u4") << 16).view("<f4")


def rows(x, m, cols):
    """Panels of 16 rows to [n, cols]."""
    return x.reshape(m.panels, cols, 16).transpose(0, 2, 1).reshape(-1, cols)[:m.n]


class Fvlm:
    """A model file, mapped: a mapping of names to float32 arrays. With verify=False only header, sections and padding are
    checked on opening, and the hash of a tensor when it is first read."""

    def __init__(self, path, verify=True):
        self.verify, self.checked = verify, set()
        self.b = b = np.memmap(path, dtype=np.uint8, mode="r")
        need(len(b) >= 4096, "too short")
        h = bytes(b[:4096])
        magic, version, n, must, _, size, zero = struct.unpack_from("<8sIIQQQQ", h)
        need(magic == b"\x89FVLM\r\n\x1a", "not a .fvlm file")
        need(digest(h[:4080]) == h[4080:], "header hash")
        need(version == 1 and not must & ~15 and zero == 0 and size == len(b) and 4 <= n <= 63, "version, features or size")
        need(not any(h[48 + 64 * n:4080]), "header padding")
        self.identity, self.covered, self.sections, end = h[4080:].hex(), [(0, 4096)], [], 4096
        for i in range(n):
            s = Section(*SECTION.unpack_from(h, 48 + 64 * i))
            self.check_section(i, s, end)
            self.sections.append(s)
            end = s.offset + s.size
        need(end == len(b), "bytes after the last section")
        self.read_index()
        self.meta = json.loads(self.text(self.sections[2], 16 << 20), object_pairs_hook=unique)
        self.config = self.meta["config"]
        keys = self.config.keys() & {"projector", "llm", "eos", "prompt"}
        need(len(keys) == 4 if not must & 1 else keys <= {"projector"}, "config and features")
        need(("tiles" in self.config) == bool(must & 8) and must & 9 != 9, "tiles and features")
        need(("family" in self.config.get("llm", {})) == bool(must & 4), "family and features")
        need(not must & 1 or self.sections[3].raw == 0, "a tokenizer without a language model")
        self.tokenizer = json.loads(self.text(self.sections[3], 64 << 20) or "null", object_pairs_hook=unique)
        need((next(iter(self.tokenizer or {"": 0})) == "kind") == bool(must & 2), "the tokenizer's kind and features")
        at = 0
        for begin, stop in sorted(self.covered):
            need(begin >= at and not b[at:begin].any(), "padding is not zero")
            at = stop

    def cover(self, s, what):
        need(digest(self.b[s.offset:s.offset + s.size]) == s.hash, f"{what}: hash")
        self.covered.append((s.offset, s.offset + s.size))

    def check_section(self, i, s, end):
        need(s.kind == i + 1 if i < 4 else s.kind >> 31, "section kind")
        need(s.encoding <= (i >= 2), "section encoding")
        need((s.encoding or s.raw == s.size) and not any(s.zero), "section entry")
        need(s.offset == ceil(end, 16384) and s.offset + s.size <= len(self.b), "section place")
        self.cover(s, f"section {i}") if i != 1 else need(not any(s.hash), "data section hash")

    def text(self, s, limit):
        stored = bytes(self.b[s.offset:s.offset + s.size])
        need(max(s.raw, s.size) <= limit, "section limit")
        if s.encoding == 0:
            return stored
        need(stored[:4] == b"\x28\xb5\x2f\xfd", "zstd frame")
        frame, z = zstandard.get_frame_parameters(stored), zstandard.ZstdDecompressor().decompressobj()
        out = z.decompress(stored) if frame.content_size == s.raw and not frame.dict_id else b""
        need(len(out) == s.raw and z.eof and not z.unused_data, "zstd frame")
        return out

    def read_index(self):
        s, data = self.sections[:2]
        x = bytes(self.b[s.offset:s.offset + s.size])
        n, names_size = struct.unpack_from("<QQ", x)
        need(1 <= n <= 65536 and s.size <= 32 << 20 and s.size == 16 + 80 * n + names_size, "index size")
        names, at, before, self.entries = x[16 + 80 * n:], 0, b"", {}
        for i in range(n):
            e = Entry(*ENTRY.unpack_from(x, 16 + 80 * i))
            raw = names[at:at + e.name_size]
            need(e.name_at == at and 1 <= e.name_size <= 255 and names[at + e.name_size:][:1] == b"\0", "name place")
            need(raw > before and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in raw.decode()), "name or order")
            need(1 <= e.rank <= 4 and all(e[9:9 + e.rank]) and not any(e[9 + e.rank:13]) and not any(e.zero), "shape")
            self.entries[raw.decode()], before, at = e, raw, at + e.name_size + 1
        need(at == names_size, "names")
        self.names, end = list(self.entries), data.offset
        for name, e in sorted(self.entries.items(), key=lambda item: item[1].offset):
            need(e.offset == ceil(end, 64) and e.size == self.matrix(e).size, f"{name}: place or size")
            if self.verify:
                self.cover(e, name)
                self.checked.add(name)
            else:
                self.covered.append((e.offset, e.offset + e.size))
            end = e.offset + e.size
        need(end == data.offset + data.size, "data section")

    def check_model(self):
        """Section 6: the file holds exactly the tensors that the config demands."""
        want = demanded(self.config)
        need(sorted(name for name, *_ in want) == sorted(self.names), "names of tensors")
        for name, layout, shape in want:
            e = self.entries[name]
            found = list(e[9:9 + e.rank])
            if layout == 3:
                need(e.rank == 4 and found[2] == found[3] and found[2] % 2 and found[2] <= 15, f"{name}: kernel")
                found[2:] = [0, 0]
            elif layout == 2 and {len(shape), len(found)} == {2, 4}:
                shape, found = (x + [1, 1] if len(x) == 2 else x for x in (shape, found))
            need((e.layout, found) == (layout, shape), f"{name}: layout or shape")

    def matrix(self, e):
        shape = list(e[9:9 + e.rank])
        n, k = shape[0], int(np.prod(shape[1:], dtype=object))
        panels = ceil(n, 16) // 16
        if e.kind != 4:
            need(e.kind in (1, 2, 3) and not (e.bits or e.asym or e.group) and e.layout in (1, 2, 3), "float type")
            need(e.layout != 3 or (e.rank == 4 and shape[1] == 1), "taps")
            stored = panels * 16 if e.layout == 2 else n
            return Matrix(shape, n, k, panels, 0, 0, 0, 0, 0, stored * k * (4 if e.kind == 1 else 2))
        need(e.bits in (4, 8) and e.asym in (0, 1) and e.group in (0, 32, 64, 128) and e.layout == 2, "integer type")
        group = e.group or k
        groups, values = ceil(k, group) // group, panels * 2 * e.bits * ceil(k, 32 // e.bits)
        scales = ceil(values, 64)
        offsets = scales + panels * groups * 32
        size = ceil(offsets, 64) + panels * groups * 32 if e.asym else offsets
        return Matrix(shape, n, k, panels, group, groups, values, scales, ceil(offsets, 64), size)

    def bytes_of(self, name):
        """The tensor's bytes as stored, with their hash checked once."""
        e = self.entries[name]
        if name not in self.checked:
            need(digest(self.b[e.offset:e.offset + e.size]) == e.hash, f"{name}: hash")
            self.checked.add(name)
        return np.asarray(self.b[e.offset:e.offset + e.size])

    def raw(self, name):
        """What an integer tensor stores, as a matrix [n, k]: codes (uint8), a float32 scale and, if it is asymmetric, an
        offset for each group of inputs [n, groups], and the inputs of a group. Section 4 has the order of a convolution's
        inputs and the formula."""
        e, b = self.entries[name], self.bytes_of(name)
        m = self.matrix(e)
        need(e.kind == 4, f"{name}: not quantized")
        q = b[:m.values].reshape(m.panels, -1, 16, 4)  # panel, tile of 4 inputs, row, input
        if e.bits == 4:
            q = np.stack([q & 15, q >> 4], axis=2).reshape(m.panels, -1, 16, 4)
        q = q.transpose(0, 2, 1, 3).reshape(m.panels * 16, -1)[:m.n, :m.k]
        part = lambda at: rows(bf16(b[at:][:m.panels * m.groups * 32]), m, m.groups)
        return Raw(q, part(m.scales), part(m.offsets) if e.asym else None, m.group)

    def tensor(self, name):
        """The values in logical order, as the executor computes with them in f32."""
        e, b = self.entries[name], self.bytes_of(name)
        m = self.matrix(e)
        if e.kind != 4:
            w = b.view("<f4") if e.kind == 1 else b.view("<f2").astype("<f4") if e.kind == 2 else bf16(b)
            if e.layout == 1:
                return w.reshape(m.shape)
            if e.layout == 3:
                return np.moveaxis(w.reshape(m.shape[2:] + m.shape[:2]), (2, 3), (0, 1))
            w = rows(w, m, m.k)
        else:
            r = self.raw(name)
            q, wide = r.codes.astype(np.float64), lambda x: x.repeat(m.group, 1)[:, :m.k]
            w = wide(r.scales) * (q if e.asym else q - 2 ** (e.bits - 1)) + (wide(r.offsets) if e.asym else -0.0)
        if e.rank > 2:  # inputs run channel fastest
            w = np.moveaxis(w.reshape(m.shape[:1] + m.shape[2:] + [m.shape[1]]), -1, 1)
        return np.ascontiguousarray(w.reshape(m.shape), np.float32)

    def type(self, name):
        """"bf16", "int4-asym-g64", ..."""
        e = self.entries[name]
        if e.kind != 4:
            return {1: "f32", 2: "f16", 3: "bf16"}[e.kind]
        return f"int{e.bits}-{'asym' if e.asym else 'sym'}-{f'g{e.group}' if e.group else 'row'}"

    def shape(self, name):
        e = self.entries[name]
        return tuple(e[9:9 + e.rank])

    __getitem__ = tensor

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)

    def __contains__(self, name):
        return name in self.entries
