"""A small PKCS#11 client on ctypes, for what PyKCS11 can't say: NULL and malformed parameters, wrong lengths, RSA_AES_KEY_WRAP, version 3.0.

Structures are those of 64-bit Linux: CK_ULONG is 8 bytes, no packing. Nothing here checks arguments: the module under test has to.
"""
import ctypes
import os
from ctypes import POINTER, Structure, byref, c_char_p, c_ubyte, c_ulong, c_void_p, cast, create_string_buffer, pointer

UNAVAILABLE = 2**64 - 1
FUNCTIONS = """C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList C_GetMechanismInfo
C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout
C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue C_FindObjectsInit C_FindObjects C_FindObjectsFinal
C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest C_DigestUpdate
C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal
C_VerifyRecoverInit C_VerifyRecover C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey C_GenerateKeyPair
C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus C_CancelFunction C_WaitForSlotEvent""".split()
FUNCTIONS_3 = """C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin
C_EncryptMessageNext C_MessageEncryptFinal C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal
C_MessageSignInit C_SignMessage C_SignMessageBegin C_SignMessageNext C_MessageSignFinal C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin
C_VerifyMessageNext C_MessageVerifyFinal""".split()


def constants(prefix, text):
    for word in text.split():
        name, number = word.split("=")
        globals()[prefix + name] = int(number, 16)


constants("CKO_", "DATA=0 CERTIFICATE=1 PUBLIC_KEY=2 PRIVATE_KEY=3 SECRET_KEY=4")
constants("CKK_", "RSA=0 GENERIC_SECRET=10 AES=1f DES3=15")
constants("CKU_", "SO=0 USER=1 CONTEXT=2")
constants("CKF_", "RW=2 SERIAL=4 WRAP=20000 UNWRAP=40000 ENCRYPT=100 DECRYPT=200")
constants("CKM_", """RSA_PKCS_KEY_PAIR_GEN=0 RSA_PKCS=1 RSA_X_509=3 RSA_PKCS_OAEP=9 RSA_AES_KEY_WRAP=1054 SHA_1=220 SHA224=255 SHA256=250 SHA384=260 SHA512=270
MD5=210 GENERIC_SECRET_KEY_GEN=350 AES_KEY_GEN=1080 AES_ECB=1081 AES_CBC=1082 AES_CBC_PAD=1085 AES_GCM=1087 AES_KEY_WRAP=2109 AES_KEY_WRAP_PAD=210a
CONCATENATE_BASE_AND_KEY=360 XOR_BASE_AND_DATA=364 SHA256_RSA_PKCS=40 EXTRACT_KEY_FROM_KEY=365""")
constants("CKG_", "MGF1_SHA1=1 MGF1_SHA256=2 MGF1_SHA384=3 MGF1_SHA512=4 MGF1_SHA224=5")
constants("CKA_", """CLASS=0 TOKEN=1 PRIVATE=2 LABEL=3 UNIQUE_ID=4 APPLICATION=10 VALUE=11 CERTIFICATE_TYPE=80 ISSUER=81 SERIAL_NUMBER=82 TRUSTED=86
CHECK_VALUE=90 KEY_TYPE=100 SUBJECT=101 ID=102 SENSITIVE=103 ENCRYPT=104 DECRYPT=105 WRAP=106 UNWRAP=107 SIGN=108 SIGN_RECOVER=109 VERIFY=10a
VERIFY_RECOVER=10b DERIVE=10c START_DATE=110 END_DATE=111 MODULUS=120 MODULUS_BITS=121 PUBLIC_EXPONENT=122 PRIVATE_EXPONENT=123 PRIME_1=124 PRIME_2=125
EXPONENT_1=126 EXPONENT_2=127 COEFFICIENT=128 PUBLIC_KEY_INFO=129 VALUE_LEN=161 EXTRACTABLE=162 LOCAL=163 NEVER_EXTRACTABLE=164 ALWAYS_SENSITIVE=165
KEY_GEN_MECHANISM=166 MODIFIABLE=170 COPYABLE=171 DESTROYABLE=172 ALWAYS_AUTHENTICATE=202 WRAP_WITH_TRUSTED=210 WRAP_TEMPLATE=40000211
UNWRAP_TEMPLATE=40000212 ALLOWED_MECHANISMS=40000600""")
CKA_CMK = 0x80000000 | 0x034D4B00
for _i, _name in enumerate("""VERSION CURRENT ENABLED CREATED NOT_BEFORE EXPIRES DELETED DELETED_AT PURGE_AT PURGE_PROTECTED ALL_VERSIONS
ROTATE_EVERY""".split()):
    globals()["CKA_CMK_" + _name] = CKA_CMK + 1 + _i
CKR = {}
for _word in """OK=0 HOST_MEMORY=2 SLOT_ID_INVALID=3 GENERAL_ERROR=5 FUNCTION_FAILED=6 ARGUMENTS_BAD=7 NO_EVENT=8 ATTRIBUTE_READ_ONLY=10
ATTRIBUTE_SENSITIVE=11 ATTRIBUTE_TYPE_INVALID=12 ATTRIBUTE_VALUE_INVALID=13 ACTION_PROHIBITED=1b DATA_INVALID=20 DATA_LEN_RANGE=21 DEVICE_ERROR=30
DEVICE_MEMORY=31 DEVICE_REMOVED=32 ENCRYPTED_DATA_INVALID=40 ENCRYPTED_DATA_LEN_RANGE=41 FUNCTION_NOT_SUPPORTED=54 KEY_HANDLE_INVALID=60 KEY_SIZE_RANGE=62
KEY_TYPE_INCONSISTENT=63 KEY_INDIGESTIBLE=67 KEY_FUNCTION_NOT_PERMITTED=68 KEY_NOT_WRAPPABLE=69 KEY_UNEXTRACTABLE=6a MECHANISM_INVALID=70
MECHANISM_PARAM_INVALID=71 OBJECT_HANDLE_INVALID=82 OPERATION_ACTIVE=90 OPERATION_NOT_INITIALIZED=91 PIN_INCORRECT=a0 PIN_INVALID=a1 PIN_LEN_RANGE=a2
PIN_LOCKED=a4 SESSION_CLOSED=b0 SESSION_COUNT=b1 SESSION_HANDLE_INVALID=b3 SESSION_PARALLEL_NOT_SUPPORTED=b4 SESSION_READ_ONLY=b5 SESSION_EXISTS=b6
SESSION_READ_ONLY_EXISTS=b7 SESSION_READ_WRITE_SO_EXISTS=b8 TEMPLATE_INCOMPLETE=d0 TEMPLATE_INCONSISTENT=d1 TOKEN_NOT_PRESENT=e0 TOKEN_NOT_RECOGNIZED=e1
TOKEN_WRITE_PROTECTED=e2 UNWRAPPING_KEY_HANDLE_INVALID=f0 UNWRAPPING_KEY_SIZE_RANGE=f1 UNWRAPPING_KEY_TYPE_INCONSISTENT=f2 USER_ALREADY_LOGGED_IN=100
USER_NOT_LOGGED_IN=101 USER_PIN_NOT_INITIALIZED=102 USER_TYPE_INVALID=103 USER_ANOTHER_ALREADY_LOGGED_IN=104 USER_TOO_MANY_TYPES=105 WRAPPED_KEY_INVALID=110
WRAPPED_KEY_LEN_RANGE=112 WRAPPING_KEY_HANDLE_INVALID=113 WRAPPING_KEY_SIZE_RANGE=114 WRAPPING_KEY_TYPE_INCONSISTENT=115 BUFFER_TOO_SMALL=150
CRYPTOKI_NOT_INITIALIZED=190 CRYPTOKI_ALREADY_INITIALIZED=191""".split():
    _name, _number = _word.split("=")
    CKR[int(_number, 16)] = _name
RV = {v: k for k, v in CKR.items()}


class Attribute(Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class RawMechanism(Structure):
    _fields_ = [("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]


class OaepParams(Structure):
    _fields_ = [("hash", c_ulong), ("mgf", c_ulong), ("source", c_ulong), ("data", c_void_p), ("data_len", c_ulong)]


class RsaAesParams(Structure):
    _fields_ = [("aes_bits", c_ulong), ("oaep", c_void_p)]


class GcmParams(Structure):
    _fields_ = [("iv", c_void_p), ("iv_len", c_ulong), ("iv_bits", c_ulong), ("aad", c_void_p), ("aad_len", c_ulong), ("tag_bits", c_ulong)]


class TokenInfo(Structure):
    _fields_ = [("label", c_ubyte * 32), ("manufacturer", c_ubyte * 32), ("model", c_ubyte * 16), ("serial", c_ubyte * 16), ("flags", c_ulong)] + [
        (n, c_ulong) for n in "max_sessions sessions max_rw rw max_pin min_pin pub_total pub_free priv_total priv_free".split()] + [
        ("hardware", c_ubyte * 2), ("firmware", c_ubyte * 2), ("time", c_ubyte * 16)]


class SessionInfo(Structure):
    _fields_ = [("slot", c_ulong), ("state", c_ulong), ("flags", c_ulong), ("error", c_ulong)]


class MechanismInfo(Structure):
    _fields_ = [("min", c_ulong), ("max", c_ulong), ("flags", c_ulong)]


class Interface(Structure):
    _fields_ = [("name", c_char_p), ("functions", c_void_p), ("flags", c_ulong)]


class InitArgs(Structure):
    _fields_ = [("create", c_void_p), ("destroy", c_void_p), ("lock", c_void_p), ("unlock", c_void_p), ("flags", c_ulong), ("reserved", c_void_p)]


class Refused(Exception):
    def __init__(self, function, rv):
        super().__init__("%s: CKR_%s" % (function, CKR.get(rv, hex(rv))))
        self.rv, self.name = rv, CKR.get(rv, hex(rv))


def address(b):
    """A pointer to a copy of bytes, and what keeps it alive; None is NULL."""
    if b is None:
        return None, None
    buffer = create_string_buffer(bytes(b), max(len(b), 1))
    return cast(buffer, c_void_p), buffer


class Mechanism:
    """A CK_MECHANISM; parameter is None, bytes or a structure, length what the application claims."""

    def __init__(self, number, parameter=None, length=None, keep=()):
        self.keep = [parameter, *keep]
        if isinstance(parameter, Structure):
            where, size = cast(pointer(parameter), c_void_p), ctypes.sizeof(parameter)
        else:
            where, buffer = address(parameter)
            self.keep.append(buffer)
            size = len(parameter) if parameter is not None else 0
        self.raw = RawMechanism(number, where, size if length is None else length)


def oaep_params(hash_, mgf, label=b"", source=1):
    where, buffer = address(label if label else None)
    p = OaepParams(hash_, mgf, source, where, len(label or b""))
    p.keep = buffer
    return p


def oaep(hash_=CKM_SHA256, mgf=CKG_MGF1_SHA256, label=b"", source=1):
    return Mechanism(CKM_RSA_PKCS_OAEP, oaep_params(hash_, mgf, label, source))


def rsa_aes(bits=256, hash_=CKM_SHA256, mgf=CKG_MGF1_SHA256, label=b""):
    p = oaep_params(hash_, mgf, label)
    return Mechanism(CKM_RSA_AES_KEY_WRAP, RsaAesParams(bits, cast(pointer(p), c_void_p)), keep=[p])


def gcm(iv, aad=b"", tag_bits=128):
    a, k1 = address(iv)
    b, k2 = address(aad if aad else None)
    return Mechanism(CKM_AES_GCM, GcmParams(a, len(iv), len(iv) * 8, b, len(aad), tag_bits), keep=[k1, k2])


class Template:
    """[(type, value)]: bool, int, bytes, str, a list (an attribute array), or an Attribute as it is."""

    def __init__(self, items):
        self.keep = []
        self.array = (Attribute * max(len(items), 1))()
        self.count = len(items)
        for i, (kind, value) in enumerate(items):
            if isinstance(value, Attribute):
                self.array[i] = value
                continue
            if isinstance(value, list):
                inner = Template(value)
                self.keep.append(inner)
                self.array[i] = Attribute(kind, cast(inner.array, c_void_p), ctypes.sizeof(Attribute) * inner.count)
                continue
            if isinstance(value, bool):
                value = bytes([value])
            elif isinstance(value, int):
                value = value.to_bytes(8, "little")
            elif isinstance(value, str):
                value = value.encode()
            where, buffer = address(value)
            self.keep.append(buffer)
            self.array[i] = Attribute(kind, where, len(value))


class Module:
    def __init__(self, path=None):
        self.path = path or os.environ["CMK11_MODULE"]
        self.lib = ctypes.CDLL(self.path)
        table = c_void_p()
        get = self.lib.C_GetFunctionList
        get.restype = c_ulong
        if get(byref(table)) != 0:
            raise RuntimeError("no function list")
        start = cast(table.value + 8, POINTER(c_void_p * len(FUNCTIONS))).contents
        prototype = ctypes.CFUNCTYPE(c_ulong)
        self.functions = {name: prototype(start[i]) for i, name in enumerate(FUNCTIONS)}
        for f in self.functions.values():
            f.argtypes = None

    def rv(self, name, *args):
        """Calls, and returns the CKR_ number."""
        f = self.functions.get(name)
        if f is None:
            f = self.functions[name] = getattr(self.lib, name)
            f.restype = c_ulong
        return f(*[c_ulong(a) if isinstance(a, int) else a for a in args])

    def name(self, function, *args):
        rv = self.rv(function, *args)
        return CKR.get(rv, hex(rv))

    def call(self, function, *args):
        rv = self.rv(function, *args)
        if rv != 0:
            raise Refused(function, rv)

    def start(self):
        self.call("C_Initialize", None)

    def stop(self):
        self.call("C_Finalize", None)

    def restart(self):
        self.rv("C_Finalize", None)
        self.start()

    def slots(self, present=1):
        n = c_ulong(0)
        present = c_ubyte(present)
        self.call("C_GetSlotList", present, None, byref(n))
        ids = (c_ulong * max(n.value, 1))()
        self.call("C_GetSlotList", present, ids, byref(n))
        return list(ids[: n.value])

    def token_info(self, slot):
        info = TokenInfo()
        self.call("C_GetTokenInfo", slot, byref(info))
        return info

    def slot_of(self, label):
        for slot in self.slots():
            info = self.token_info(slot)
            if info.flags & 0x400 and bytes(info.label).decode().rstrip() == label:
                return slot
        raise LookupError("no token %s" % label)

    def open(self, slot, rw=True):
        h = c_ulong(0)
        self.call("C_OpenSession", slot, CKF_SERIAL | (CKF_RW if rw else 0), None, None, byref(h))
        return Session(self, h.value)

    def login(self, label, pin, rw=True, user=CKU_USER):
        s = self.open(self.slot_of(label), rw)
        s.login(pin, user)
        return s


DEK = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_AES), (CKA_TOKEN, False), (CKA_SENSITIVE, False), (CKA_EXTRACTABLE, True)]
GENERIC = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_GENERIC_SECRET), (CKA_TOKEN, False), (CKA_SENSITIVE, False), (CKA_EXTRACTABLE, True)]


def changed(template, *items):
    """template with items replaced or added."""
    new = dict(items)
    return [(k, v) for k, v in template if k not in new] + list(items)


class Session:
    def __init__(self, module, handle):
        self.m, self.h = module, handle

    def rv(self, function, *args):
        return self.m.rv(function, self.h, *args)

    def name(self, function, *args):
        return self.m.name(function, self.h, *args)

    def call(self, function, *args):
        self.m.call(function, self.h, *args)

    def close(self):
        self.call("C_CloseSession")

    def login(self, pin, user=CKU_USER):
        pin = pin.encode() if isinstance(pin, str) else pin
        self.call("C_Login", user, pin, len(pin))

    def logout(self):
        self.call("C_Logout")

    def state(self):
        info = SessionInfo()
        self.call("C_GetSessionInfo", byref(info))
        return info.state

    def find(self, template):
        t = Template(template)
        self.call("C_FindObjectsInit", t.array if t.count else None, t.count)
        found, room, n = [], (c_ulong * 100)(), c_ulong(0)
        try:
            while True:
                self.call("C_FindObjects", room, 100, byref(n))
                if n.value == 0:
                    return found
                found += list(room[: n.value])
        finally:
            self.rv("C_FindObjectsFinal")

    def one(self, template):
        found = self.find(template)
        if len(found) != 1:
            raise LookupError("%d objects instead of one" % len(found))
        return found[0]

    def kek(self, label):
        """(public, private) of the current version."""
        return (self.one([(CKA_CLASS, CKO_PUBLIC_KEY), (CKA_LABEL, label), (CKA_TOKEN, True)]),
                self.one([(CKA_CLASS, CKO_PRIVATE_KEY), (CKA_LABEL, label), (CKA_TOKEN, True)]))

    def get_rv(self, obj, kind):
        """(CKR name, value or the claimed length)."""
        a = (Attribute * 1)(Attribute(kind, None, 0))
        rv = self.rv("C_GetAttributeValue", obj, a, 1)
        if rv != 0:
            return CKR.get(rv, hex(rv)), a[0].length
        buffer = create_string_buffer(max(a[0].length, 1))
        a[0].value = cast(buffer, c_void_p)
        rv = self.rv("C_GetAttributeValue", obj, a, 1)
        return CKR.get(rv, hex(rv)), buffer.raw[: a[0].length] if rv == 0 else a[0].length

    def get(self, obj, kind):
        name, value = self.get_rv(obj, kind)
        if name != "OK":
            raise Refused("C_GetAttributeValue", RV[name])
        return value

    def number(self, obj, kind):
        return int.from_bytes(self.get(obj, kind), "little")

    def object_call(self, function, *args):
        h = c_ulong(0)
        self.call(function, *args, byref(h))
        return h.value

    def create(self, template):
        t = Template(template)
        return self.object_call("C_CreateObject", t.array, t.count)

    def copy(self, obj, template):
        t = Template(template)
        return self.object_call("C_CopyObject", obj, t.array, t.count)

    def set(self, obj, template):
        t = Template(template)
        self.call("C_SetAttributeValue", obj, t.array, t.count)

    def destroy(self, obj):
        self.call("C_DestroyObject", obj)

    def generate(self, template, mechanism=CKM_AES_KEY_GEN):
        t = Template(template)
        return self.object_call("C_GenerateKey", byref(Mechanism(mechanism).raw), t.array, t.count)

    def pair(self, label, bits=2048, public=(), private=()):
        names = [(CKA_LABEL, label)] if label is not None else []
        pub = Template([(CKA_TOKEN, True), (CKA_MODULUS_BITS, bits), (CKA_PUBLIC_EXPONENT, b"\1\0\1"), *names, *public])
        prv = Template([(CKA_TOKEN, True), *names, *private])
        a, b = c_ulong(0), c_ulong(0)
        self.call("C_GenerateKeyPair", byref(Mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN).raw), pub.array, pub.count, prv.array, prv.count, byref(a), byref(b))
        return a.value, b.value

    def wrap(self, kek, key, mechanism):
        n = c_ulong(0)
        self.call("C_WrapKey", byref(mechanism.raw), kek, key, None, byref(n))
        out = create_string_buffer(n.value)
        self.call("C_WrapKey", byref(mechanism.raw), kek, key, out, byref(n))
        return out.raw[: n.value]

    def unwrap(self, kek, wrapped, mechanism, template=None):
        t = Template(DEK if template is None else template)
        return self.object_call("C_UnwrapKey", byref(mechanism.raw), kek, bytes(wrapped), len(wrapped), t.array, t.count)

    def crypt(self, which, key, mechanism, data):
        """which is Encrypt or Decrypt, in one shot."""
        self.call("C_%sInit" % which, byref(mechanism.raw), key)
        out, n = create_string_buffer(len(data) + 1024), c_ulong(len(data) + 1024)
        self.call("C_" + which, bytes(data), len(data), out, byref(n))
        return out.raw[: n.value]

    def crypt_parts(self, which, key, mechanism, data, step):
        self.call("C_%sInit" % which, byref(mechanism.raw), key)
        result = b""
        for i in range(0, len(data), step):
            part = bytes(data[i : i + step])
            out, n = create_string_buffer(len(part) + 64), c_ulong(len(part) + 64)
            self.call("C_%sUpdate" % which, part, len(part), out, byref(n))
            result += out.raw[: n.value]
        out, n = create_string_buffer(len(data) + 64), c_ulong(len(data) + 64)
        self.call("C_%sFinal" % which, out, byref(n))
        return result + out.raw[: n.value]


class Checks:
    """PASS and FAIL lines, and the exit status."""

    def __init__(self, prefix):
        self.prefix, self.bad = prefix, 0

    def check(self, name, ok, detail=""):
        print("%s %s/%s" % ("PASS" if ok else "FAIL", self.prefix, name), flush=True)
        if not ok:
            self.bad += 1
            if detail != "":
                print("    %s" % (detail,), flush=True)
        return ok

    def equal(self, name, is_, want):
        return self.check(name, is_ == want, "%r instead of %r" % (is_, want))

    def refused(self, name, wanted, function, *args):
        """function(*args) must raise Refused with one of the CKR names in wanted."""
        wanted = wanted.split()
        try:
            result = function(*args)
        except Refused as e:
            return self.check(name, e.name in wanted, "CKR_%s instead of %s" % (e.name, " or ".join(wanted)))
        return self.check(name, False, "done (%r) instead of %s" % (result, " or ".join(wanted)))

    def works(self, name, function, *args):
        """Runs a test function; what it raises is the failure. Returns what it returns, or None."""
        try:
            result = function(*args)
        except Exception as e:  # noqa: the test must go on
            self.check(name, False, "%s: %s" % (type(e).__name__, e))
            return None
        self.check(name, True)
        return result

    def finish(self):
        raise SystemExit(1 if self.bad else 0)
