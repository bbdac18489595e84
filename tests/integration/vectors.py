"""OAEP, RSA_AES_KEY_WRAP and AES of the module against python3-cryptography and NIST's vectors; needs the vault `vectors` with k2048, k3072 and k4096."""
import glob
import os
import random

import cryptoki as ck
from cryptography.hazmat.primitives import hashes, keywrap, padding as block_padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

t = ck.Checks("vectors")
m = ck.Module()
m.start()
s = m.login("vectors", os.environ["CMK11_PIN"])
HASHES = {"sha1": (hashes.SHA1, ck.CKM_SHA_1, ck.CKG_MGF1_SHA1, 20), "sha224": (hashes.SHA224, ck.CKM_SHA224, ck.CKG_MGF1_SHA224, 28),
          "sha256": (hashes.SHA256, ck.CKM_SHA256, ck.CKG_MGF1_SHA256, 32), "sha384": (hashes.SHA384, ck.CKM_SHA384, ck.CKG_MGF1_SHA384, 48),
          "sha512": (hashes.SHA512, ck.CKM_SHA512, ck.CKG_MGF1_SHA512, 64)}
SIZES = (2048, 3072, 4096)
keks = {bits: s.kek("k%d" % bits) for bits in SIZES}
public = {bits: serialization.load_der_public_key(s.get(keks[bits][0], ck.CKA_PUBLIC_KEY_INFO)) for bits in SIZES}


def value_of(obj):
    return s.get(obj, ck.CKA_VALUE)


def their_oaep(bits, hash_, mgf, label, data):
    return public[bits].encrypt(data, padding.OAEP(padding.MGF1(HASHES[mgf][0]()), HASHES[hash_][0](), label or None))


def make(value, kind=ck.CKK_AES):
    return s.create(ck.changed(ck.DEK, (ck.CKA_KEY_TYPE, kind), (ck.CKA_VALUE, value), (ck.CKA_ENCRYPT, True), (ck.CKA_DECRYPT, True)))


def refusal(function, *args):
    try:
        function(*args)
    except ck.Refused as e:
        return e.name
    return "OK"


# ---- the public key that is shown ----
for bits in SIZES:
    pub, prv = keks[bits]
    numbers = public[bits].public_numbers()
    t.equal("public-key/%d/modulus" % bits, int.from_bytes(s.get(pub, ck.CKA_MODULUS), "big"), numbers.n)
    t.equal("public-key/%d/exponent" % bits, int.from_bytes(s.get(pub, ck.CKA_PUBLIC_EXPONENT), "big"), numbers.e)
    t.equal("public-key/%d/bits" % bits, s.number(pub, ck.CKA_MODULUS_BITS), bits)
    t.equal("public-key/%d/same-on-both-halves" % bits, s.get(pub, ck.CKA_PUBLIC_KEY_INFO), s.get(prv, ck.CKA_PUBLIC_KEY_INFO))


# ---- OAEP, all 25 pairs, three sizes ----
def oaep_pair(bits, hash_, mgf):
    mech_of = lambda label: ck.oaep(HASHES[hash_][1], HASHES[mgf][2], label)  # noqa: E731
    pub, prv = keks[bits]
    for label in (b"", b"cmk11", bytes(range(256)) * 4):
        for length in (16, 24, 32):
            dek = os.urandom(length)
            assert value_of(s.unwrap(prv, their_oaep(bits, hash_, mgf, label, dek), mech_of(label))) == dek, "their %d bytes" % length
        ours = s.wrap(pub, make(dek), mech_of(label))
        assert len(ours) == bits // 8, "length of the wrapped key"
        assert ours != s.wrap(pub, make(dek), mech_of(label)), "OAEP is randomised"
        assert value_of(s.unwrap(prv, ours, mech_of(label))) == dek, "our own"
        assert refusal(s.unwrap, prv, ours, mech_of(label + b"x")) == "WRAPPED_KEY_INVALID", "another label"
    room = bits // 8 - 2 * HASHES[hash_][3] - 2
    secret = os.urandom(room)
    longest = s.unwrap(prv, their_oaep(bits, hash_, mgf, b"", secret), mech_of(b""), ck.GENERIC)
    assert value_of(longest) == secret, "as long as fits"
    assert value_of(s.unwrap(prv, s.wrap(pub, longest, mech_of(b"")), mech_of(b""), ck.GENERIC)) == secret, "as long as fits, our own"
    if hash_ != "sha1":
        assert refusal(s.unwrap, prv, ours, ck.oaep(ck.CKM_SHA_1, HASHES[mgf][2], label)) == "WRAPPED_KEY_INVALID", "another hash"


for bits in SIZES:
    for hash_ in HASHES:
        for mgf in HASHES:
            t.works("oaep/%d/%s-mgf1-%s" % (bits, hash_, mgf), oaep_pair, bits, hash_, mgf)

pub, prv = keks[2048]
dek = os.urandom(32)
key = make(dek)
null = ck.Mechanism(ck.CKM_RSA_PKCS_OAEP)
t.works("oaep/null-parameter-is-sha256", lambda: t.equal("oaep/null-parameter-value", value_of(s.unwrap(prv, their_oaep(2048, "sha256", "sha256", b"", dek), null)), dek))
t.works("oaep/null-parameter-wraps-sha256", lambda: s.unwrap(prv, s.wrap(pub, key, null), ck.oaep()))
t.works("oaep/source-0-without-data", lambda: s.unwrap(prv, s.wrap(pub, key, ck.oaep(source=0)), ck.oaep()))
t.works("oaep/mgf-0-is-the-hash", lambda: s.unwrap(prv, s.wrap(pub, key, ck.oaep(ck.CKM_SHA384, 0)), ck.oaep(ck.CKM_SHA384, ck.CKG_MGF1_SHA384)))


def longer_than_fits(bits):
    return s.create(ck.changed(ck.GENERIC, (ck.CKA_VALUE, os.urandom(bits // 8 - 65))))


for bits in SIZES:
    t.refused("oaep/too-long-to-wrap/%d" % bits, "KEY_SIZE_RANGE", lambda: s.wrap(keks[bits][0], longer_than_fits(bits), ck.oaep()))
for length in (0, 1, 15, 17, 33, 64):
    t.refused("oaep/not-an-aes-key/%d" % length, "WRAPPED_KEY_INVALID", s.unwrap, prv, their_oaep(2048, "sha256", "sha256", b"", os.urandom(length)), ck.oaep())
t.refused("oaep/empty-secret", "WRAPPED_KEY_INVALID", s.unwrap, prv, their_oaep(2048, "sha256", "sha256", b"", b""), ck.oaep(), ck.GENERIC)

# ---- parameters that say nothing sensible ----
good = ck.oaep_params(ck.CKM_SHA256, ck.CKG_MGF1_SHA256)
wrapped = their_oaep(2048, "sha256", "sha256", b"", dek)


def bad_oaep(**fields):
    p = ck.oaep_params(ck.CKM_SHA256, ck.CKG_MGF1_SHA256)
    for name, value in fields.items():
        setattr(p, name, value)
    return ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, p)


label, keep_label = ck.address(b"label")
malformed = {
    "null-with-length": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, None, 40),
    "pointer-without-length": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, good, 0),
    "one-byte": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, good, 1),
    "one-byte-short": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, good, 39),
    "one-byte-long": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, good, 41),
    "huge-length": ck.Mechanism(ck.CKM_RSA_PKCS_OAEP, good, 2**64 - 1),
    "hash-0": bad_oaep(hash=0), "hash-md5": bad_oaep(hash=ck.CKM_MD5), "hash-is-no-hash": bad_oaep(hash=ck.CKM_RSA_PKCS_OAEP),
    "hash-beyond": bad_oaep(hash=2**64 - 1), "mgf-6": bad_oaep(mgf=6), "mgf-beyond": bad_oaep(mgf=2**64 - 1), "mgf-1-and-high-bit": bad_oaep(mgf=2**32 + 1),
    "source-2": bad_oaep(source=2), "source-beyond": bad_oaep(source=2**64 - 1), "source-0-with-data": bad_oaep(source=0, data=label, data_len=5),
    "null-label-with-length": bad_oaep(data=None, data_len=5), "label-of-all-memory": bad_oaep(data=label, data_len=2**64 - 1),
}
for name, mech in malformed.items():
    t.refused("oaep/parameters/%s/unwrap" % name, "MECHANISM_PARAM_INVALID", s.unwrap, prv, wrapped, mech)
    t.refused("oaep/parameters/%s/wrap" % name, "MECHANISM_PARAM_INVALID", s.wrap, pub, key, mech)

# ---- RSA_AES_KEY_WRAP: RSA-OAEP of an AES key ‖ KWP of the target under it ----


def rsa_aes(bits, aes, hash_):
    pub, prv = keks[bits]
    mech_of = lambda label=b"": ck.rsa_aes(aes, HASHES[hash_][1], HASHES[hash_][2], label)  # noqa: E731
    for length in (1, 7, 8, 9, 16, 24, 32, 100, 512):
        secret = os.urandom(length)
        template = ck.DEK if length in (16, 24, 32) else ck.GENERIC
        for label in (b"", b"some label"):
            temporary = os.urandom(aes // 8)
            theirs = their_oaep(bits, hash_, hash_, label, temporary) + keywrap.aes_key_wrap_with_padding(temporary, secret)
            got = s.unwrap(prv, theirs, mech_of(label), template)
            assert value_of(got) == secret, "their wrap of %d bytes" % length
            ours = s.wrap(pub, got, mech_of(label))
            assert len(ours) == bits // 8 + 8 + (length + 7) // 8 * 8, "%d bytes of structure" % len(ours)
            assert value_of(s.unwrap(prv, ours, mech_of(label), template)) == secret, "our own of %d bytes" % length
            assert refusal(s.unwrap, prv, ours, mech_of(label + b"x"), template) == "WRAPPED_KEY_INVALID", "another label"
            for position in (0, bits // 8 - 1, bits // 8, len(ours) - 1):
                broken = bytearray(ours)
                broken[position] ^= 1
                assert refusal(s.unwrap, prv, broken, mech_of(label), template) == "WRAPPED_KEY_INVALID", "bit flipped at %d" % position
    assert refusal(s.unwrap, prv, ours[:-8], mech_of(label), template) == "WRAPPED_KEY_INVALID", "cut"
    theirs = their_oaep(bits, hash_, hash_, b"", temporary) + keywrap.aes_key_wrap_with_padding(temporary, os.urandom(513))
    assert refusal(s.unwrap, prv, theirs, mech_of(), ck.GENERIC) == "WRAPPED_KEY_INVALID", "longer than a secret may be"
    # a temporary key of another size than the parameters say is another mechanism
    other = os.urandom(32 if aes != 256 else 16)
    theirs = their_oaep(bits, hash_, hash_, b"", other) + keywrap.aes_key_wrap_with_padding(other, dek)
    assert refusal(s.unwrap, prv, theirs, mech_of()) == "WRAPPED_KEY_INVALID", "temporary key of another size"


for bits in SIZES:
    for aes in (128, 192, 256):
        for hash_ in ("sha1", "sha256") if bits > 2048 else HASHES:
            t.works("rsa-aes/%d/aes-%d/%s" % (bits, aes, hash_), rsa_aes, bits, aes, hash_)
ours = s.wrap(pub, key, ck.rsa_aes())
for length in (1, 255, 256, 257, 263, 264, 271, 273):
    t.refused("rsa-aes/length-%d" % length, "WRAPPED_KEY_LEN_RANGE WRAPPED_KEY_INVALID", s.unwrap, prv, (ours * 2)[:length], ck.rsa_aes())
for name, mech in {"null": ck.Mechanism(ck.CKM_RSA_AES_KEY_WRAP), "bits-0": ck.rsa_aes(0), "bits-512": ck.rsa_aes(512), "bits-255": ck.rsa_aes(255),
                   "null-oaep": ck.Mechanism(ck.CKM_RSA_AES_KEY_WRAP, ck.RsaAesParams(256, None)), "hash-md5": ck.rsa_aes(256, ck.CKM_MD5),
                   "short": ck.Mechanism(ck.CKM_RSA_AES_KEY_WRAP, ck.rsa_aes().keep[0], 8)}.items():
    t.refused("rsa-aes/parameters/%s/unwrap" % name, "MECHANISM_PARAM_INVALID", s.unwrap, prv, ours, mech)
    t.refused("rsa-aes/parameters/%s/wrap" % name, "MECHANISM_PARAM_INVALID", s.wrap, pub, key, mech)


# ---- AES ----
def aes_cbc(length):
    for size in range(0, 80):
        key, iv, data = os.urandom(length), os.urandom(16), os.urandom(size)
        h = make(key)
        mech = lambda kind: ck.Mechanism(kind, iv)  # noqa: E731
        padder = block_padding.PKCS7(128).padder()
        padded = padder.update(data) + padder.finalize()
        e = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        theirs = e.update(padded) + e.finalize()
        assert s.crypt("Encrypt", h, mech(ck.CKM_AES_CBC_PAD), data) == theirs, "CBC_PAD of %d" % size
        assert s.crypt("Decrypt", h, mech(ck.CKM_AES_CBC_PAD), theirs) == data
        step = random.randrange(1, 40)
        assert s.crypt_parts("Encrypt", h, mech(ck.CKM_AES_CBC_PAD), data, step) == theirs, "CBC_PAD of %d by %d" % (size, step)
        assert s.crypt_parts("Decrypt", h, mech(ck.CKM_AES_CBC_PAD), theirs, step) == data, "CBC_PAD of %d by %d back" % (size, step)
        if size % 16 == 0 and size:
            e = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
            plain = e.update(data) + e.finalize()
            assert s.crypt("Encrypt", h, mech(ck.CKM_AES_CBC), data) == plain, "CBC of %d" % size
            assert s.crypt("Decrypt", h, mech(ck.CKM_AES_CBC), plain) == data
            assert s.crypt_parts("Decrypt", h, mech(ck.CKM_AES_CBC), plain, step) == data
        elif size:
            assert refusal(s.crypt, "Encrypt", h, mech(ck.CKM_AES_CBC), data) == "DATA_LEN_RANGE", "CBC of %d" % size
        s.destroy(h)


def aes_gcm(length):
    for size in list(range(0, 40)) + [1000, 4096, 70001]:
        key, iv, data, aad = os.urandom(length), os.urandom(random.choice((12, 12, 8, 16, 60, 128))), os.urandom(size), os.urandom(size % 30)
        h = make(key)
        theirs = AESGCM(key).encrypt(iv, data, aad)
        step = random.randrange(1, 40 if size < 1000 else 5000)
        assert s.crypt("Encrypt", h, ck.gcm(iv, aad), data) == theirs, "GCM of %d, IV %d" % (size, len(iv))
        assert s.crypt("Decrypt", h, ck.gcm(iv, aad), theirs) == data
        assert s.crypt_parts("Encrypt", h, ck.gcm(iv, aad), data, step) == theirs, "GCM of %d by %d" % (size, step)
        assert s.crypt_parts("Decrypt", h, ck.gcm(iv, aad), theirs, step) == data
        broken = bytearray(theirs)
        broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
        assert refusal(s.crypt, "Decrypt", h, ck.gcm(iv, aad), broken) in ("ENCRYPTED_DATA_INVALID",), "forged"
        assert refusal(s.crypt, "Decrypt", h, ck.gcm(iv, aad + b"x"), theirs) == "ENCRYPTED_DATA_INVALID", "other AAD"
        assert refusal(s.crypt, "Decrypt", h, ck.gcm(iv, aad), theirs[:12]) in ("ENCRYPTED_DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"), "shorter than the tag"
        s.destroy(h)


for length in (16, 24, 32):
    t.works("aes/cbc/%d" % length, aes_cbc, length)
    t.works("aes/gcm/%d" % length, aes_gcm, length)
aes = make(os.urandom(32))
for name, mech in {"cbc-null-iv": ck.Mechanism(ck.CKM_AES_CBC), "cbc-short-iv": ck.Mechanism(ck.CKM_AES_CBC_PAD, bytes(15)), "cbc-long-iv": ck.Mechanism(ck.CKM_AES_CBC, bytes(17)),
                   "gcm-null": ck.Mechanism(ck.CKM_AES_GCM), "gcm-short": ck.Mechanism(ck.CKM_AES_GCM, bytes(47)), "gcm-no-iv": ck.gcm(b""),
                   "gcm-tag-0": ck.gcm(bytes(12), b"", 0), "gcm-tag-1": ck.gcm(bytes(12), b"", 1), "gcm-tag-8": ck.gcm(bytes(12), b"", 8),
                   "gcm-tag-100": ck.gcm(bytes(12), b"", 100), "gcm-tag-136": ck.gcm(bytes(12), b"", 136), "gcm-huge-iv": ck.gcm(bytes(100000))}.items():
    for way in ("Encrypt", "Decrypt"):
        t.equal("aes/parameters/%s/%s" % (name, way.lower()), s.name("C_%sInit" % way, ck.byref(mech.raw), aes), "MECHANISM_PARAM_INVALID")


# ---- NIST's AES-GCM vectors ----
def nist_cases(path):
    header, case = {}, {}
    for line in open(path):
        line = line.strip()
        if line.startswith("["):
            name, value = line[1:-1].split(" = ")
            header[name] = int(value)
        elif line == "FAIL":
            case["FAIL"] = True
        elif " = " in line or line.endswith(" ="):
            name, _, value = line.partition(" =")
            if name == "Count":
                if case:
                    yield dict(case, **header_then)
                case, header_then = {}, dict(header)
            else:
                case[name] = bytes.fromhex(value.strip())
    if case:
        yield dict(case, **header_then)


def nist_gcm(path):
    done = refused = 0
    decrypt = "Decrypt" in path
    for i, c in enumerate(nist_cases(path)):
        tags = c["Taglen"]
        if (i % 3 and c["IVlen"] == 96) or c["PTlen"] == 0 and i % 2:  # every parameter set, a part of the cases of each
            continue
        h = make(c["Key"])
        mech = ck.gcm(c["IV"], c["AAD"], tags)
        if decrypt and c.get("FAIL"):
            assert refusal(s.crypt, "Decrypt", h, mech, c["CT"] + c["Tag"]) == "ENCRYPTED_DATA_INVALID", c
            refused += 1
        elif decrypt:
            assert s.crypt("Decrypt", h, mech, c["CT"] + c["Tag"]) == c["PT"], c
        else:
            assert s.crypt("Encrypt", h, mech, c["PT"]) == c["CT"] + c["Tag"], c
        done += 1
        s.destroy(h)
    assert done > 1000 and (refused > 100 or not decrypt), "%d cases" % done
    print("    %d of NIST's cases, %d of them forged" % (done, refused))


import cryptography_vectors  # noqa: E402

files = sorted(glob.glob(os.path.join(os.path.dirname(cryptography_vectors.__file__), "ciphers/AES/GCM/*.rsp")))
t.equal("nist-gcm/files", len(files), 6)
for path in files:
    t.works("nist-gcm/" + os.path.basename(path)[:-4], nist_gcm, path)
m.stop()
t.finish()
