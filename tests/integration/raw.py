"""Raw PKCS#11 calls against the vault `raw` with the key `orders`: raw.py PART."""
import datetime
import os
import subprocess
import sys
from ctypes import byref, c_ubyte, c_ulong, c_void_p, cast, create_string_buffer

import cryptoki as ck

PIN, SO_PIN = os.environ["CMK11_PIN"], os.environ["CMK11_SO_PIN"]
part = sys.argv[1]
t = ck.Checks("raw/" + part)
m = ck.Module()


def start(rw=True):
    m.start()
    return m.login("raw", PIN, rw)


def module():
    """Interfaces, C_Initialize, slots, tokens, mechanisms."""
    skip = {"C_Initialize", "C_GetFunctionList", "C_GetFunctionStatus", "C_CancelFunction"}
    before = {n: m.name(n, *[0] * 9) for n in ck.FUNCTIONS + [f for f in ck.FUNCTIONS_3 if not f.startswith("C_GetInterface")] if n not in skip}
    t.equal("nothing-before-initialize", {n: r for n, r in before.items() if r != "CRYPTOKI_NOT_INITIALIZED"}, {})
    n = c_ulong(0)
    t.equal("interface-count", (m.name("C_GetInterfaceList", None, byref(n)), n.value), ("OK", 2))
    list_ = (ck.Interface * 2)()
    t.equal("interface-list", (m.name("C_GetInterfaceList", list_, byref(n)), [i.name for i in list_]), ("OK", [b"PKCS 11"] * 2))
    n = c_ulong(1)
    t.equal("interface-list-too-small", (m.name("C_GetInterfaceList", list_, byref(n)), n.value), ("BUFFER_TOO_SMALL", 2))
    t.equal("interface-list-null", m.name("C_GetInterfaceList", None, None), "ARGUMENTS_BAD")

    def interface(name, version, flags=0):
        p = c_void_p()
        rv = m.name("C_GetInterface", name, bytes(version) if version else None, byref(p), flags)
        if rv != "OK":
            return rv
        i = cast(p, ck.POINTER(ck.Interface)).contents
        v = cast(i.functions, ck.POINTER(c_ubyte * 2)).contents
        return v[0], v[1]

    t.equal("interface-default", interface(None, None), (3, 0))
    t.equal("interface-by-name", interface(b"PKCS 11", None), (3, 0))
    t.equal("interface-2.40", interface(b"PKCS 11", (2, 40)), (2, 40))
    t.equal("interface-3.0", interface(None, (3, 0)), (3, 0))
    t.equal("interface-3.2", interface(b"PKCS 11", (3, 2)), "FUNCTION_FAILED")
    t.equal("interface-other-name", interface(b"Vendor X", None), "FUNCTION_FAILED")
    t.equal("interface-fork-safe", interface(None, None, 1), "FUNCTION_FAILED")
    t.equal("interface-null", m.name("C_GetInterface", None, None, None, 0), "ARGUMENTS_BAD")
    t.equal("function-list-null", m.name("C_GetFunctionList", None), "ARGUMENTS_BAD")

    args = ck.InitArgs(reserved=1)
    t.equal("initialize-reserved", m.name("C_Initialize", byref(args)), "ARGUMENTS_BAD")
    args = ck.InitArgs(create=1, destroy=1)
    t.equal("initialize-half-the-callbacks", m.name("C_Initialize", byref(args)), "ARGUMENTS_BAD")
    for flags in (0, 1, 2, 3):
        args = ck.InitArgs(flags=flags)
        t.equal("initialize-flags-%d" % flags, (m.name("C_Initialize", byref(args)), m.name("C_Finalize", None)), ("OK", "OK"))
    t.equal("initialize-null", m.name("C_Initialize", None), "OK")
    t.equal("initialize-twice", m.name("C_Initialize", None), "CRYPTOKI_ALREADY_INITIALIZED")
    t.equal("finalize-reserved", m.name("C_Finalize", b"x"), "ARGUMENTS_BAD")
    t.equal("finalize", (m.name("C_Finalize", None), m.name("C_Finalize", None)), ("OK", "CRYPTOKI_NOT_INITIALIZED"))
    m.start()
    all_slots, present = m.slots(0), m.slots(1)
    labels = {bytes(m.token_info(s).label).decode().rstrip(): s for s in all_slots}
    t.check("two-vaults-and-a-free-slot", {"raw", "second"} <= set(labels) and len(all_slots) == 3 and set(present) <= set(all_slots), labels)
    info = m.token_info(labels["raw"])
    RNG, LOGIN_REQUIRED, USER_PIN, RESTORE, INITIALIZED = 1, 4, 8, 0x20, 0x400
    t.equal("token-flags", info.flags, RNG | LOGIN_REQUIRED | USER_PIN | RESTORE | INITIALIZED)
    t.equal("pin-lengths", (info.min_pin, info.max_pin), (4, 255))
    free = [s for s in all_slots if s not in (labels["raw"], labels["second"])][0]
    t.equal("free-slot-is-uninitialised", m.token_info(free).flags & (INITIALIZED | USER_PIN), 0)
    t.check("serials-differ", bytes(info.serial) != bytes(m.token_info(labels["second"]).serial))
    for bad in (max(all_slots) + 1, 2**32, 2**64 - 1):
        t.equal("slot-%x" % bad, {m.name(f, bad, b"\0" * 512) for f in ("C_GetSlotInfo", "C_GetTokenInfo")}, {"SLOT_ID_INVALID"})
    n = c_ulong(1)
    ids = (c_ulong * 1)()
    t.equal("slot-list-too-small", (m.name("C_GetSlotList", c_ubyte(0), ids, byref(n)), n.value), ("BUFFER_TOO_SMALL", 3))
    n = c_ulong(0)
    m.call("C_GetMechanismList", labels["raw"], None, byref(n))
    mechs = (c_ulong * n.value)()
    m.call("C_GetMechanismList", labels["raw"], mechs, byref(n))
    must = {ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.CKM_RSA_PKCS_OAEP, ck.CKM_RSA_AES_KEY_WRAP, ck.CKM_AES_KEY_GEN, ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKM_AES_CBC,
            ck.CKM_AES_CBC_PAD, ck.CKM_AES_GCM}
    t.check("mechanisms", must <= set(mechs), sorted(map(hex, mechs)))
    t.check("no-pkcs1-v1.5-no-raw-rsa", not {ck.CKM_RSA_PKCS, ck.CKM_RSA_X_509} & set(mechs))
    info = ck.MechanismInfo()
    for name, mech in (("rsa-pkcs", ck.CKM_RSA_PKCS), ("rsa-x509", ck.CKM_RSA_X_509), ("unknown", 0x12345678)):
        t.equal("mechanism-info-" + name, m.name("C_GetMechanismInfo", labels["raw"], mech, byref(info)), "MECHANISM_INVALID")
    m.call("C_GetMechanismInfo", labels["raw"], ck.CKM_RSA_PKCS_OAEP, byref(info))
    t.equal("oaep-wraps-only", (info.min, info.max, info.flags), (2048, 4096, ck.CKF_WRAP | ck.CKF_UNWRAP))
    t.equal("slot-event", m.name("C_WaitForSlotEvent", 1, byref(n), None), "NO_EVENT")
    t.equal("slot-event-blocking", m.name("C_WaitForSlotEvent", 0, byref(n), None), "FUNCTION_NOT_SUPPORTED")


def sessions():
    """States, logins, read-only, random numbers."""
    RO_PUBLIC, RO_USER, RW_PUBLIC, RW_USER, RW_SO = range(5)
    m.start()
    slot = m.slot_of("raw")
    h = c_ulong(0)
    t.equal("without-serial", m.name("C_OpenSession", slot, ck.CKF_RW, None, None, byref(h)), "SESSION_PARALLEL_NOT_SUPPORTED")
    t.equal("null-handle", m.name("C_OpenSession", slot, ck.CKF_SERIAL, None, None, None), "ARGUMENTS_BAD")
    ro, rw = m.open(slot, False), m.open(slot)
    t.equal("public-states", (ro.state(), rw.state()), (RO_PUBLIC, RW_PUBLIC))
    t.refused("so-beside-read-only", "SESSION_READ_ONLY_EXISTS", rw.login, SO_PIN, ck.CKU_SO)
    ro.login(PIN)
    t.equal("user-states", (ro.state(), rw.state()), (RO_USER, RW_USER))
    t.refused("login-twice", "USER_ALREADY_LOGGED_IN", rw.login, PIN)
    t.refused("so-beside-user", "USER_ANOTHER_ALREADY_LOGGED_IN SESSION_READ_ONLY_EXISTS", rw.login, SO_PIN, ck.CKU_SO)
    t.equal("token-object-read-only", refusal(ro.generate, [(ck.CKA_VALUE_LEN, 16), (ck.CKA_TOKEN, True)]), "SESSION_READ_ONLY")
    t.equal("pair-read-only", refusal(ro.pair, "no"), "SESSION_READ_ONLY")
    t.equal("session-object-read-only", refusal(ro.generate, [(ck.CKA_VALUE_LEN, 16)]), "OK")
    ro.logout()
    t.equal("states-after-logout", (ro.state(), rw.state()), (RO_PUBLIC, RW_PUBLIC))
    t.equal("second-logout", rw.name("C_Logout"), "USER_NOT_LOGGED_IN")
    ro.close()
    t.equal("closed-session", ro.name("C_Logout"), "SESSION_HANDLE_INVALID")
    t.equal("invented-sessions", {m.name("C_CloseSession", x) for x in (0, 1, rw.h + 1, 2**32, 2**64 - 1)} - {"SESSION_HANDLE_INVALID"}, set())
    rw.login(SO_PIN, ck.CKU_SO)
    t.equal("so-state", rw.state(), RW_SO)
    t.equal("read-only-beside-so", m.name("C_OpenSession", slot, ck.CKF_SERIAL, None, None, byref(h)), "SESSION_READ_WRITE_SO_EXISTS")
    t.refused("so-makes-no-pair", "USER_NOT_LOGGED_IN ACTION_PROHIBITED", rw.pair, "no")
    t.equal("so-sees-public-only", {rw.number(o, ck.CKA_CLASS) for o in rw.find([])}, {ck.CKO_PUBLIC_KEY})
    rw.logout()
    for name, kind, pin, want in (("wrong", 1, b"not the pin", "PIN_INCORRECT"), ("empty", 1, b"", "PIN_INCORRECT"), ("long", 1, b"x" * 300, "PIN_INCORRECT"),
                                  ("unknown-name", 1, b"nobody:secret", "PIN_INCORRECT"), ("so-wrong", 0, b"not the pin", "PIN_INCORRECT"),
                                  ("context", 2, PIN.encode(), "OPERATION_NOT_INITIALIZED"), ("type-7", 7, PIN.encode(), "USER_TYPE_INVALID")):
        t.equal("login-" + name, rw.name("C_Login", kind, pin, len(pin)), want)
    t.equal("login-null-pin", rw.name("C_Login", 1, None, 4), "ARGUMENTS_BAD")
    t.equal("login-user-by-name", rw.name("C_LoginUser", 1, PIN.encode(), len(PIN), b"user", 4), "OK")
    other = m.open(m.slot_of("second"))
    t.equal("logins-are-of-one-token", other.state(), RW_PUBLIC)
    m.call("C_CloseAllSessions", slot)
    t.equal("all-closed", (rw.name("C_Logout"), other.state()), ("SESSION_HANDLE_INVALID", RW_PUBLIC))
    s = m.open(slot)
    t.equal("closing-all-logs-out", s.state(), RW_PUBLIC)
    t.refused("pin-with-colon", "PIN_INVALID", lambda: set_pin_as_user(s, "a:new:pin"))
    t.refused("short-pin", "PIN_LEN_RANGE", lambda: set_pin_as_user(s, "abc"))
    t.works("set-pin", lambda: set_pin_as_user(s, "another-pin-123", back=True))
    a, b = create_string_buffer(64), create_string_buffer(64)
    t.check("random", s.name("C_GenerateRandom", a, 64) == "OK" == s.name("C_GenerateRandom", b, 64) and a.raw != b.raw and a.raw != bytes(64))
    t.equal("random-null", s.name("C_GenerateRandom", None, 5), "ARGUMENTS_BAD")
    t.equal("operation-state", s.name("C_GetOperationState", None, byref(h)), "FUNCTION_NOT_SUPPORTED")
    handles = [m.open(slot, False) for _ in range(1000)]
    t.equal("thousand-sessions", len({x.h for x in handles}), 1000)
    more = []
    for _ in range(40):
        rv = m.name("C_OpenSession", slot, ck.CKF_SERIAL, None, None, byref(h))
        more.append(rv)
    t.equal("session-limit", more[-1], "SESSION_COUNT")
    m.stop()


def set_pin_as_user(s, new, back=False):
    s.login(PIN)
    try:
        s.call("C_SetPIN", PIN.encode(), len(PIN), new.encode(), len(new))
        if back:
            s.logout()
            s.login(new)
            s.call("C_SetPIN", new.encode(), len(new), PIN.encode(), len(PIN))
    finally:
        s.logout()


def refusal(function, *args):
    try:
        function(*args)
    except ck.Refused as e:
        return e.name
    return "OK"


def attributes():
    """What KEK objects are, who sees them, and that nothing of it can be changed."""
    m.start()
    s = m.open(m.slot_of("raw"))
    t.equal("before-login-public-only", {s.number(o, ck.CKA_CLASS) for o in s.find([])}, {ck.CKO_PUBLIC_KEY})
    t.equal("before-login-no-private-search", s.find([(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)]), [])
    s.login(PIN)
    pub, prv = s.kek("orders")
    T, F = b"\1", b"\0"
    id_, unique = s.get(prv, ck.CKA_ID), s.get(prv, ck.CKA_UNIQUE_ID)
    common = {"CLASS": None, "KEY_TYPE": (0).to_bytes(8, "little"), "TOKEN": T, "LABEL": b"orders", "ID": id_, "UNIQUE_ID": unique, "MODIFIABLE": T, "COPYABLE": F, "LOCAL": T,
              "DERIVE": F, "SUBJECT": b"", "START_DATE": b"", "END_DATE": b"", "PUBLIC_EXPONENT": b"\1\0\1", "KEY_GEN_MECHANISM": (0).to_bytes(8, "little")}
    private = dict(common, CLASS=(3).to_bytes(8, "little"), PRIVATE=T, SENSITIVE=T, ALWAYS_SENSITIVE=T, EXTRACTABLE=F, NEVER_EXTRACTABLE=T, UNWRAP=T, DECRYPT=F, SIGN=F,
                   SIGN_RECOVER=F, ALWAYS_AUTHENTICATE=F, WRAP_WITH_TRUSTED=F)
    public = dict(common, CLASS=(2).to_bytes(8, "little"), PRIVATE=F, WRAP=T, ENCRYPT=F, VERIFY=F, VERIFY_RECOVER=F, TRUSTED=F, MODULUS_BITS=(2048).to_bytes(8, "little"), DESTROYABLE=F)
    for half, obj, want in (("private", prv, private), ("public", pub, public)):
        got = {name: s.get_rv(obj, getattr(ck, "CKA_" + name)) for name in want}
        t.equal(half + "-attributes", {n: v for n, v in got.items() if v != ("OK", want[n])}, {})
        mechs = s.get(obj, ck.CKA_ALLOWED_MECHANISMS)
        t.equal(half + "-allowed-mechanisms", {int.from_bytes(mechs[i : i + 8], "little") for i in range(0, len(mechs), 8)}, {ck.CKM_RSA_PKCS_OAEP, ck.CKM_RSA_AES_KEY_WRAP})
        vendor = {n: s.number(obj, getattr(ck, "CKA_CMK_" + n)) for n in "VERSION NOT_BEFORE EXPIRES DELETED_AT PURGE_AT ROTATE_EVERY".split()}
        t.equal(half + "-vendor-numbers", vendor, dict.fromkeys(vendor, 0) | {"VERSION": 1})
        flags = {n: s.get(obj, getattr(ck, "CKA_CMK_" + n)) for n in "CURRENT ENABLED DELETED PURGE_PROTECTED".split()}
        t.equal(half + "-vendor-flags", flags, {"CURRENT": T, "ENABLED": T, "DELETED": F, "PURGE_PROTECTED": F})
        age = datetime.datetime.now().timestamp() - s.number(obj, ck.CKA_CMK_CREATED)
        t.check(half + "-created", -2 < age < 3600, age)
    t.equal("unique-id-is-the-version", unique.decode(), id_.hex())
    t.equal("modulus-on-both", s.get(pub, ck.CKA_MODULUS), s.get(prv, ck.CKA_MODULUS))
    t.equal("public-info-on-both", s.get(pub, ck.CKA_PUBLIC_KEY_INFO), s.get(prv, ck.CKA_PUBLIC_KEY_INFO))
    a = (ck.Attribute * 1)(ck.Attribute(ck.CKA_UNWRAP_TEMPLATE, None, 0))
    rv = s.name("C_GetAttributeValue", prv, a, 1)
    inner = (ck.Attribute * (a[0].length // 24))()
    a[0].value = cast(inner, c_void_p)
    rv = rv, s.name("C_GetAttributeValue", prv, a, 1)
    lengths = [i.length for i in inner]
    rooms = [create_string_buffer(8) for _ in inner]
    for i, room in zip(inner, rooms):
        i.value = cast(room, c_void_p)
    rv = rv + (s.name("C_GetAttributeValue", prv, a, 1),)
    got = {i.type: room.raw[: i.length] for i, room in zip(inner, rooms)}
    t.equal("unwrap-template", (rv, set(lengths), got), (("OK",) * 3, {1}, {ck.CKA_WRAP: F, ck.CKA_UNWRAP: F, ck.CKA_DERIVE: F, ck.CKA_TRUSTED: F}))
    for name in "PRIVATE_EXPONENT PRIME_1 PRIME_2 EXPONENT_1 EXPONENT_2 COEFFICIENT".split():
        t.equal("sensitive-" + name, s.get_rv(prv, getattr(ck, "CKA_" + name)), ("ATTRIBUTE_SENSITIVE", ck.UNAVAILABLE))
    dated = s.kek("dated")[1]
    t.equal("dates", (s.get(dated, ck.CKA_START_DATE), s.get(dated, ck.CKA_END_DATE)), (b"20260101", b"20991230"))
    day = int(datetime.datetime(2099, 12, 31, tzinfo=datetime.timezone.utc).timestamp())
    t.equal("expires", s.number(dated, ck.CKA_CMK_EXPIRES), day)

    # one bad attribute does not hide the others
    room = [create_string_buffer(64) for _ in range(4)]
    kinds = (ck.CKA_LABEL, ck.CKA_PRIVATE_EXPONENT, 0x61D, ck.CKA_KEY_TYPE)
    a = (ck.Attribute * 4)(*[ck.Attribute(k, cast(r, c_void_p), 64) for k, r in zip(kinds, room)])
    rv = s.name("C_GetAttributeValue", prv, a, 4)
    t.check("others-are-filled", rv in ("ATTRIBUTE_SENSITIVE", "ATTRIBUTE_TYPE_INVALID") and [x.length for x in a] == [6, ck.UNAVAILABLE, ck.UNAVAILABLE, 8]
            and room[0].raw[:6] == b"orders" and room[1].raw == bytes(64), (rv, [x.length for x in a]))
    a = (ck.Attribute * 2)(ck.Attribute(ck.CKA_LABEL, cast(room[0], c_void_p), 5), ck.Attribute(ck.CKA_ID, cast(room[1], c_void_p), 16))
    t.equal("buffer-too-small", (s.name("C_GetAttributeValue", prv, a, 2), a[0].length, a[1].length), ("BUFFER_TOO_SMALL", ck.UNAVAILABLE, 16))
    t.equal("null-template", s.name("C_GetAttributeValue", prv, None, 3), "ARGUMENTS_BAD")
    size = c_ulong(0)
    t.check("object-size", s.name("C_GetObjectSize", prv, byref(size)) in ("OK", "FUNCTION_NOT_SUPPORTED"))

    # nothing can be changed
    for name, value, want in (("label-same", "orders", "OK"), ("label-other", "other", "ATTRIBUTE_READ_ONLY")):
        t.equal("set-" + name, refusal(s.set, prv, [(ck.CKA_LABEL, value)]), want)
    t.equal("set-id-same", refusal(s.set, pub, [(ck.CKA_ID, id_)]), "OK")
    t.equal("set-id-other", refusal(s.set, pub, [(ck.CKA_ID, b"x")]), "ATTRIBUTE_READ_ONLY")
    t.equal("copy", refusal(s.copy, prv, []), "ACTION_PROHIBITED")
    t.equal("copy-public", refusal(s.copy, pub, [(ck.CKA_TOKEN, False)]), "ACTION_PROHIBITED")
    t.equal("destroy-public", refusal(s.destroy, pub), "ACTION_PROHIBITED")
    t.equal("destroy-not-made-here", refusal(s.destroy, prv), "ACTION_PROHIBITED")
    modulus, exponent = s.get(pub, ck.CKA_MODULUS), b"\1\0\1"
    mine = [(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_KEY_TYPE, ck.CKK_RSA), (ck.CKA_TOKEN, True), (ck.CKA_MODULUS, modulus), (ck.CKA_PUBLIC_EXPONENT, exponent)]
    again = s.create(mine + [(ck.CKA_LABEL, "orders"), (ck.CKA_ID, id_)])
    t.equal("create-the-same-public-key", (s.get(again, ck.CKA_UNIQUE_ID), len(s.find([(ck.CKA_LABEL, "orders"), (ck.CKA_CLASS, ck.CKO_PUBLIC_KEY)]))), (unique, 1))

    # other objects: private ones are not seen without a login
    data = {p: s.create([(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_TOKEN, True), (ck.CKA_PRIVATE, p), (ck.CKA_LABEL, "note"), (ck.CKA_VALUE, b"text%d" % p)]) for p in (False, True)}
    short = s.create([(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_LABEL, "short"), (ck.CKA_VALUE, b"session"), (ck.CKA_PRIVATE, False)])
    t.equal("both-notes", len(s.find([(ck.CKA_LABEL, "note")])), 2)
    s.logout()
    seen = s.find([(ck.CKA_LABEL, "note")])
    t.equal("one-note-without-login", [s.get(o, ck.CKA_VALUE) for o in seen], [b"text0"])
    t.equal("private-handle-is-dead", s.get_rv(data[True], ck.CKA_VALUE)[0], "OBJECT_HANDLE_INVALID")
    t.equal("public-handle-lives", s.get_rv(data[False], ck.CKA_VALUE), ("OK", b"text0"))
    t.equal("public-session-object-lives", s.get_rv(short, ck.CKA_VALUE), ("OK", b"session"))
    t.equal("no-private-object-without-login", refusal(s.create, [(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_PRIVATE, True)]), "USER_NOT_LOGGED_IN")
    t.equal("wrap-without-login", refusal(s.wrap, s.one([(ck.CKA_LABEL, "orders")]), short, ck.oaep()), "KEY_NOT_WRAPPABLE")
    dek = s.create([(ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_PRIVATE, False), (ck.CKA_VALUE, bytes(16)), (ck.CKA_EXTRACTABLE, True)])
    t.equal("wrap-key-without-login", refusal(s.wrap, s.one([(ck.CKA_LABEL, "orders")]), dek, ck.oaep()), "USER_NOT_LOGGED_IN")
    s.login(PIN)
    for o in s.find([(ck.CKA_LABEL, "note")]):
        s.destroy(o)
    m.stop()


def versions():
    """Rotation through C_GenerateKeyPair: what is in view, what goes on unwrapping, what templates are refused."""
    s = start()
    PRV = (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)
    a1, b1 = s.pair("rotated", private=[(ck.CKA_ID, b"first")])
    dek = s.generate([(ck.CKA_VALUE_LEN, 32), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SENSITIVE, False)])
    value = s.get(dek, ck.CKA_VALUE)
    w1 = s.wrap(a1, dek, ck.oaep())
    a2, b2 = s.pair("rotated", 3072)
    w2 = s.wrap(a2, dek, ck.oaep())
    t.equal("numbers", (s.number(b1, ck.CKA_CMK_VERSION), s.number(b2, ck.CKA_CMK_VERSION)), (1, 2))
    t.equal("current", (s.get(b1, ck.CKA_CMK_CURRENT), s.get(b2, ck.CKA_CMK_CURRENT)), (b"\0", b"\1"))
    t.equal("destroyable", (s.get(b1, ck.CKA_DESTROYABLE), s.get(b2, ck.CKA_DESTROYABLE)), (b"\0", b"\1"))
    label = (ck.CKA_LABEL, "rotated")
    two = {s.get(b1, ck.CKA_UNIQUE_ID), s.get(b2, ck.CKA_UNIQUE_ID)}

    def views():
        uniques = lambda template: sorted(s.get(o, ck.CKA_UNIQUE_ID) for o in s.find(template))  # noqa: E731
        u1, u2 = s.get(b1, ck.CKA_UNIQUE_ID), s.get(b2, ck.CKA_UNIQUE_ID)
        t.equal("view-by-label", uniques([PRV, label]), [u2])
        t.equal("view-by-nothing", [u for u in uniques([PRV]) if u in two], [u2])
        t.equal("view-by-id-old", uniques([PRV, (ck.CKA_ID, b"first")]), [u1])
        t.equal("view-by-id-new", uniques([PRV, (ck.CKA_ID, s.get(b2, ck.CKA_ID))]), [u2])
        t.equal("view-by-id-and-label", uniques([PRV, label, (ck.CKA_ID, b"first")]), [u1])
        t.equal("view-by-unique-id", uniques([PRV, (ck.CKA_UNIQUE_ID, u1)]), [u1])
        t.equal("view-by-modulus", uniques([PRV, (ck.CKA_MODULUS, s.get(b1, ck.CKA_MODULUS))]), [u1])
        t.equal("view-by-public-info", uniques([PRV, (ck.CKA_PUBLIC_KEY_INFO, s.get(b1, ck.CKA_PUBLIC_KEY_INFO))]), [u1])
        t.equal("view-by-version", uniques([PRV, label, (ck.CKA_CMK_VERSION, 1)]), [u1])
        t.equal("view-not-current", uniques([PRV, label, (ck.CKA_CMK_CURRENT, False)]), [u1])
        t.equal("view-all-versions", uniques([PRV, label, (ck.CKA_CMK_ALL_VERSIONS, True)]), sorted([u1, u2]))
        t.equal("view-all-versions-false", uniques([PRV, label, (ck.CKA_CMK_ALL_VERSIONS, False)]), [u2])
        t.equal("view-other-label", uniques([PRV, (ck.CKA_ID, b"first"), (ck.CKA_LABEL, "orders")]), [])
        t.equal("view-both-halves", len(s.find([label])), 2)

    views()
    for name, handle, wrapped in (("new-handle-old-wrap", b2, w1), ("old-handle-new-wrap", b1, w2), ("old-handle-old-wrap", b1, w1), ("new-handle-new-wrap", b2, w2)):
        t.works(name, lambda: t.equal(name + "-value", s.get(s.unwrap(handle, wrapped, ck.oaep()), ck.CKA_VALUE), value))
    t.equal("a-handle-names-its-version", s.number(a1, ck.CKA_MODULUS_BITS), 2048)
    t.equal("another-key-does-not-unwrap", refusal(s.unwrap, s.kek("orders")[1], w1, ck.oaep()), "WRAPPED_KEY_INVALID")
    t.equal("destroy-old", refusal(s.destroy, b1), "ACTION_PROHIBITED")
    t.equal("destroy-used", refusal(s.destroy, b2), "ACTION_PROHIBITED")
    a3, b3 = s.pair("rotated")
    unique3 = s.get(b3, ck.CKA_UNIQUE_ID)
    t.equal("destroy-unused", refusal(s.destroy, b3), "OK")
    t.equal("undone-is-gone", (s.get_rv(a3, ck.CKA_ID)[0], s.get_rv(b3, ck.CKA_ID)[0], s.find([(ck.CKA_UNIQUE_ID, unique3)])), ("OBJECT_HANDLE_INVALID", "OBJECT_HANDLE_INVALID", []))
    views()
    alone = s.pair("alone")
    t.equal("undo-first-version", (refusal(s.destroy, alone[1]), s.find([(ck.CKA_LABEL, "alone")])), ("OK", []))
    unnamed = s.pair(None)
    t.equal("unnamed", len(s.get(unnamed[1], ck.CKA_LABEL)), 32)

    # templates of a pair that are refused, and leave nothing behind
    n_keys = len(s.find([(ck.CKA_TOKEN, True), (ck.CKA_CMK_ALL_VERSIONS, True), PRV]))
    refused_private = [(k, True) for k in (ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_DECRYPT, ck.CKA_DERIVE, ck.CKA_EXTRACTABLE, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_WRAP_WITH_TRUSTED)] + [
        (ck.CKA_SENSITIVE, False), (ck.CKA_PRIVATE, False), (ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_COPYABLE, True)]
    for kind, value_ in refused_private:
        t.equal("private-%x-%s" % (kind, value_), refusal(lambda: s.pair("bad", private=[(kind, value_)])), "TEMPLATE_INCONSISTENT")
    for kind, value_ in [(k, True) for k in (ck.CKA_ENCRYPT, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER, ck.CKA_DERIVE)] + [(ck.CKA_PRIVATE, True), (ck.CKA_CLASS, ck.CKO_SECRET_KEY)]:
        t.equal("public-%x-%s" % (kind, value_), refusal(lambda: s.pair("bad", public=[(kind, value_)])), "TEMPLATE_INCONSISTENT")
    t.check("public-trusted", refusal(lambda: s.pair("bad", public=[(ck.CKA_TRUSTED, True)])) in ("TEMPLATE_INCONSISTENT", "ATTRIBUTE_READ_ONLY"))
    for kind in (ck.CKA_LOCAL, ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE):
        t.check("computed-%x" % kind, refusal(lambda: s.pair("bad", private=[(kind, True)])) in ("ATTRIBUTE_READ_ONLY", "TEMPLATE_INCONSISTENT"))
    t.equal("different-labels", refusal(lambda: s.pair("bad", private=[(ck.CKA_LABEL, "worse")])) in ("TEMPLATE_INCONSISTENT", "OK"), True)
    for bits in (0, 512, 1024, 2047, 2049, 8192, 2**32 + 2048):
        t.equal("bits-%d" % bits, refusal(s.pair, "bad", bits), "KEY_SIZE_RANGE")
    t.equal("id-taken", refusal(lambda: s.pair("bad", private=[(ck.CKA_ID, b"first")])), "ATTRIBUTE_VALUE_INVALID")
    for name in ("a/b", ".hidden", "-x", "blank ", "x" * 128, "new\nline"):
        t.equal("name-%r" % name[:10], refusal(s.pair, name), "ATTRIBUTE_VALUE_INVALID")
    for exponent in (b"", b"\1", b"\2", b"\1\0\0", b"\0"):
        t.check("exponent-" + exponent.hex(), refusal(lambda: s.pair("bad", public=[(ck.CKA_PUBLIC_EXPONENT, exponent)])) in ("ATTRIBUTE_VALUE_INVALID", "TEMPLATE_INCONSISTENT"))
    t.equal("nothing-left-behind", (s.find([(ck.CKA_LABEL, "bad")]), len(s.find([(ck.CKA_TOKEN, True), (ck.CKA_CMK_ALL_VERSIONS, True), PRV]))), ([], n_keys))
    # a second process, started now, has the same views
    m.stop()
    s = start()
    b1, b2 = s.one([PRV, (ck.CKA_ID, b"first")]), s.kek("rotated")[1]
    views()
    m.stop()


def unwrapping():
    """Templates of C_UnwrapKey and C_WrapKey, sizes, wrong handles, read-only sessions."""
    s = start()
    pub, prv = s.kek("orders")
    dek = s.generate([(ck.CKA_VALUE_LEN, 32), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SENSITIVE, False)])
    value = s.get(dek, ck.CKA_VALUE)
    wrapped = s.wrap(pub, dek, ck.oaep())
    AES = [(ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, ck.CKK_AES)]

    def ask(*items, base=AES, handle=prv, session=s, data=wrapped, mech=None):
        return session.unwrap(handle, data, mech or ck.oaep(), ck.changed(base, *items))

    plain = ask()
    want = {"TOKEN": False, "PRIVATE": True, "SENSITIVE": False, "EXTRACTABLE": True, "LOCAL": False, "ALWAYS_SENSITIVE": False, "NEVER_EXTRACTABLE": False, "WRAP": False,
            "UNWRAP": False, "DERIVE": False, "TRUSTED": False}
    t.equal("defaults", {n: s.get(plain, getattr(ck, "CKA_" + n)) for n in want}, {n: bytes([v]) for n, v in want.items()})
    t.equal("value-and-length", (s.get(plain, ck.CKA_VALUE), s.number(plain, ck.CKA_VALUE_LEN)), (value, 32))
    t.equal("key-type-only", s.get(ask(base=[(ck.CKA_KEY_TYPE, ck.CKK_AES)]), ck.CKA_VALUE), value)
    t.equal("generic-secret", s.get(ask((ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)), ck.CKA_VALUE), value)
    closed = ask((ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, False))
    t.equal("sensitive", s.get_rv(closed, ck.CKA_VALUE), ("ATTRIBUTE_SENSITIVE", ck.UNAVAILABLE))
    t.equal("sensitive-is-not-always", (s.get(closed, ck.CKA_ALWAYS_SENSITIVE), s.get(closed, ck.CKA_NEVER_EXTRACTABLE)), (b"\0", b"\0"))
    t.equal("usage-flags", refusal(lambda: ask((ck.CKA_ENCRYPT, True), (ck.CKA_DECRYPT, True), (ck.CKA_SIGN, True))), "OK")
    t.equal("length-right", refusal(lambda: ask((ck.CKA_VALUE_LEN, 32))), "OK")
    t.equal("length-wrong", refusal(lambda: ask((ck.CKA_VALUE_LEN, 16))), "WRAPPED_KEY_INVALID")
    t.equal("length-of-no-aes-key", refusal(lambda: ask((ck.CKA_VALUE_LEN, 31))), "KEY_SIZE_RANGE")
    for kind in ("WRAP", "UNWRAP", "DERIVE"):
        t.equal("policy-" + kind, refusal(lambda: ask((getattr(ck, "CKA_" + kind), True))), "TEMPLATE_INCONSISTENT")
        t.equal("policy-%s-false" % kind, refusal(lambda: ask((getattr(ck, "CKA_" + kind), False))), "OK")
    t.check("policy-TRUSTED", refusal(lambda: ask((ck.CKA_TRUSTED, True))) in ("TEMPLATE_INCONSISTENT", "ATTRIBUTE_READ_ONLY"))
    t.check("given-value", refusal(lambda: ask((ck.CKA_VALUE, bytes(32)))) in ("TEMPLATE_INCONSISTENT", "ATTRIBUTE_READ_ONLY"))
    for name, item, want in (("no-key-type", None, "TEMPLATE_INCOMPLETE"), ("class-private", (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), "TEMPLATE_INCONSISTENT"),
                             ("class-data", (ck.CKA_CLASS, ck.CKO_DATA), "TEMPLATE_INCONSISTENT"), ("type-rsa", (ck.CKA_KEY_TYPE, ck.CKK_RSA), "TEMPLATE_INCONSISTENT"),
                             ("type-des", (ck.CKA_KEY_TYPE, ck.CKK_DES3), "TEMPLATE_INCONSISTENT"), ("unknown", (0x81234567, True), "ATTRIBUTE_TYPE_INVALID"),
                             ("modulus", (ck.CKA_MODULUS, b"x"), "ATTRIBUTE_TYPE_INVALID"), ("bool-of-2", (ck.CKA_TOKEN, b"\2"), "ATTRIBUTE_VALUE_INVALID"),
                             ("bool-of-8-bytes", (ck.CKA_SENSITIVE, 1), "ATTRIBUTE_VALUE_INVALID"), ("ulong-of-4-bytes", (ck.CKA_KEY_TYPE, b"\x1f\0\0\0"), "ATTRIBUTE_VALUE_INVALID")):
        t.equal("template-" + name, refusal(lambda: ask(item) if item else ask(base=[(ck.CKA_CLASS, ck.CKO_SECRET_KEY)])), want)
    twice = [*AES, (ck.CKA_TOKEN, False), (ck.CKA_TOKEN, True)]
    t.equal("template-contradiction", refusal(s.unwrap, prv, wrapped, ck.oaep(), twice), "TEMPLATE_INCONSISTENT")
    t.equal("template-null", s.name("C_UnwrapKey", byref(ck.oaep().raw), prv, wrapped, len(wrapped), None, 2, byref(c_ulong())), "ARGUMENTS_BAD")
    arr = ck.Template(AES)
    t.equal("null-handle", s.name("C_UnwrapKey", byref(ck.oaep().raw), prv, wrapped, len(wrapped), arr.array, 2, None), "ARGUMENTS_BAD")
    t.equal("null-wrapped", s.name("C_UnwrapKey", byref(ck.oaep().raw), prv, None, len(wrapped), arr.array, 2, byref(c_ulong())), "ARGUMENTS_BAD")
    t.equal("null-mechanism", s.name("C_UnwrapKey", None, prv, wrapped, len(wrapped), arr.array, 2, byref(c_ulong())), "ARGUMENTS_BAD")
    for length in (0, 1, 255, 257, 384, 512):
        t.equal("length-%d" % length, refusal(lambda: ask(data=(wrapped * 2)[:length])), "WRAPPED_KEY_LEN_RANGE")
    t.equal("public-half", refusal(lambda: ask(handle=pub)), "UNWRAPPING_KEY_TYPE_INCONSISTENT")
    t.equal("private-half-wraps", refusal(s.wrap, prv, dek, ck.oaep()), "WRAPPING_KEY_TYPE_INCONSISTENT")
    t.equal("secret-key-unwraps", refusal(lambda: ask(handle=dek)), "UNWRAPPING_KEY_TYPE_INCONSISTENT")
    for handle in (0, 12345, 2**63, 2**64 - 1):
        t.equal("handle-%x" % handle, (refusal(lambda: ask(handle=handle)), refusal(s.wrap, handle, dek, ck.oaep()), refusal(s.wrap, pub, handle, ck.oaep())),
                ("UNWRAPPING_KEY_HANDLE_INVALID", "WRAPPING_KEY_HANDLE_INVALID", "KEY_HANDLE_INVALID"))
    for name, mech in (("rsa-pkcs", ck.CKM_RSA_PKCS), ("x509", ck.CKM_RSA_X_509), ("aes-gcm", ck.CKM_AES_GCM), ("unknown", 0x77777777)):
        t.equal("mechanism-" + name, (refusal(lambda: ask(mech=ck.Mechanism(mech))), refusal(s.wrap, pub, dek, ck.Mechanism(mech))), ("MECHANISM_INVALID",) * 2)
    t.equal("wrap-itself", refusal(s.wrap, pub, prv, ck.oaep()), "KEY_UNEXTRACTABLE")
    t.equal("wrap-unextractable", refusal(s.wrap, pub, closed, ck.oaep()), "KEY_UNEXTRACTABLE")
    t.equal("wrap-public-key", refusal(s.wrap, pub, pub, ck.oaep()), "KEY_NOT_WRAPPABLE")

    # sizes: a query, a short buffer, the right one, a large one
    mech, n = ck.oaep(), c_ulong(7)
    room = create_string_buffer(b"\xaa" * 400, 400)
    t.equal("size-query", (s.name("C_WrapKey", byref(mech.raw), pub, dek, None, byref(n)), n.value), ("OK", 256))
    n = c_ulong(255)
    t.equal("size-short", (s.name("C_WrapKey", byref(mech.raw), pub, dek, room, byref(n)), n.value, room.raw), ("BUFFER_TOO_SMALL", 256, b"\xaa" * 400))
    n = c_ulong(400)
    rv = s.name("C_WrapKey", byref(mech.raw), pub, dek, room, byref(n))
    t.check("size-large", rv == "OK" and n.value == 256 and room.raw[256:] == b"\xaa" * 144, (rv, n.value))
    t.equal("size-null", s.name("C_WrapKey", byref(mech.raw), pub, dek, room, None), "ARGUMENTS_BAD")
    aes = ck.Mechanism(ck.CKM_AES_CBC_PAD, bytes(16))
    s.call("C_EncryptInit", byref(aes.raw), dek)
    t.equal("encrypt-twice", s.name("C_EncryptInit", byref(aes.raw), dek), "OPERATION_ACTIVE")
    n = c_ulong(0)
    t.equal("encrypt-size-query", (s.name("C_Encrypt", b"x" * 20, 20, None, byref(n)), n.value), ("OK", 32))
    n = c_ulong(31)
    t.equal("encrypt-short", (s.name("C_Encrypt", b"x" * 20, 20, room, byref(n)), n.value), ("BUFFER_TOO_SMALL", 32))
    n = c_ulong(32)
    t.equal("encrypt-right", (s.name("C_Encrypt", b"x" * 20, 20, room, byref(n)), n.value), ("OK", 32))
    t.equal("encrypt-over", s.name("C_Encrypt", b"x" * 20, 20, room, byref(n)), "OPERATION_NOT_INITIALIZED")
    s.call("C_EncryptInit", byref(aes.raw), dek)
    n = c_ulong(400)
    t.equal("encrypt-update-then-one-shot", (s.name("C_EncryptUpdate", b"x" * 20, 20, room, byref(n)), s.name("C_Encrypt", b"x", 1, room, byref(c_ulong(400)))), ("OK", "OPERATION_ACTIVE"))
    t.equal("kek-does-not-encrypt", (s.name("C_EncryptInit", byref(ck.oaep().raw), pub), s.name("C_DecryptInit", byref(ck.oaep().raw), prv)), ("KEY_FUNCTION_NOT_PERMITTED",) * 2)
    for name in ("C_SignInit", "C_VerifyInit", "C_SignRecoverInit"):
        t.check("kek-%s" % name, s.name(name, byref(ck.Mechanism(ck.CKM_SHA256_RSA_PKCS).raw), prv) in ("FUNCTION_NOT_SUPPORTED", "MECHANISM_INVALID", "KEY_FUNCTION_NOT_PERMITTED"))

    # read-only sessions wrap and unwrap into session objects
    ro = m.open(m.slot_of("raw"), False)
    t.equal("read-only", ro.get(ask(session=ro), ck.CKA_VALUE), value)
    t.equal("read-only-wraps", len(ro.wrap(pub, dek, ck.oaep())), 256)
    t.equal("read-only-token-object", refusal(lambda: ask((ck.CKA_TOKEN, True), session=ro)), "SESSION_READ_ONLY")
    kept = ask((ck.CKA_TOKEN, True), (ck.CKA_LABEL, "kept"), (ck.CKA_ID, b"kept"))
    m.stop()
    s = start()
    kept = s.one([(ck.CKA_LABEL, "kept"), (ck.CKA_CLASS, ck.CKO_SECRET_KEY)])
    t.equal("token-object-stays", (s.get(kept, ck.CKA_VALUE), s.get(kept, ck.CKA_ID)), (value, b"kept"))
    s.destroy(kept)
    t.equal("token-object-goes", s.find([(ck.CKA_LABEL, "kept")]), [])
    m.stop()


def handles():
    """Handles of what is gone are nobody's."""
    s = start()
    pub, prv = s.kek("orders")
    other = m.open(m.slot_of("raw"))
    mine = s.generate([(ck.CKA_VALUE_LEN, 16)])
    token = s.generate([(ck.CKA_VALUE_LEN, 16), (ck.CKA_TOKEN, True), (ck.CKA_LABEL, "stale")])
    t.equal("another-session-sees-it", other.get_rv(mine, ck.CKA_CLASS)[0], "OK")
    gone = s.generate([(ck.CKA_VALUE_LEN, 16)])
    s.destroy(gone)
    t.equal("destroyed", (s.get_rv(gone, ck.CKA_CLASS)[0], refusal(s.destroy, gone)), ("OBJECT_HANDLE_INVALID",) * 2)
    fresh = [s.generate([(ck.CKA_VALUE_LEN, 16)]) for _ in range(2000)]
    t.check("handles-are-not-reused", gone not in fresh and len(set(fresh)) == 2000)
    for h in fresh:
        s.destroy(h)
    s.call("C_FindObjectsInit", None, 0)
    t.equal("two-searches", s.name("C_FindObjectsInit", None, 0), "OPERATION_ACTIVE")
    t.equal("search-ends", (s.name("C_FindObjectsFinal"), s.name("C_FindObjectsFinal")), ("OK", "OPERATION_NOT_INITIALIZED"))
    s.call("C_FindObjectsInit", None, 0)
    s.logout()
    room, n = (c_ulong * 100)(), c_ulong(0)
    s.rv("C_FindObjects", room, 100, byref(n))
    t.equal("a-search-over-a-logout-shows-no-private-object", [h for h in room[: n.value] if s.get_rv(h, ck.CKA_PRIVATE) == ("OK", b"\1")], [])
    s.rv("C_FindObjectsFinal")
    t.equal("after-logout", {s.get_rv(h, ck.CKA_CLASS)[0] for h in (prv, mine, token)}, {"OBJECT_HANDLE_INVALID"})
    t.equal("unwrap-after-logout", refusal(s.unwrap, prv, bytes(256), ck.oaep()), "UNWRAPPING_KEY_HANDLE_INVALID")
    s.login(PIN)
    t.equal("after-login-again", {s.get_rv(h, ck.CKA_CLASS)[0] for h in (prv, mine, token)}, {"OBJECT_HANDLE_INVALID"})
    t.equal("public-goes-on", s.get_rv(pub, ck.CKA_LABEL), ("OK", b"orders"))
    prv = s.kek("orders")[1]
    mine = s.generate([(ck.CKA_VALUE_LEN, 16)])
    s.close()
    t.equal("session-object-dies-with-its-session", other.get_rv(mine, ck.CKA_CLASS)[0], "OBJECT_HANDLE_INVALID")
    t.equal("token-object-lives", other.get_rv(prv, ck.CKA_LABEL), ("OK", b"orders"))
    m.stop()
    s = start()
    t.equal("after-finalize", {s.get_rv(h, ck.CKA_CLASS)[0] for h in (prv, pub, mine, token)}, {"OBJECT_HANDLE_INVALID"})
    for h in s.find([(ck.CKA_LABEL, "stale")]):
        s.destroy(h)
    second = m.login("second", PIN)
    t.equal("a-handle-of-another-token", second.get_rv(s.kek("orders")[0], ck.CKA_LABEL)[0], "OBJECT_HANDLE_INVALID")
    m.stop()


def processes():
    """Objects and keys of other processes; several making keys at once."""
    s = start()
    dek = s.generate([(ck.CKA_VALUE_LEN, 32), (ck.CKA_TOKEN, True), (ck.CKA_LABEL, "shared"), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SENSITIVE, False)])
    value = s.get(dek, ck.CKA_VALUE)
    pub, _ = s.pair("from-here")
    wrapped = s.wrap(pub, dek, ck.oaep())
    out = child("look", wrapped.hex())
    t.equal("token-key-in-another-process", out, [value.hex(), value.hex()])
    child("rotate", "from-here")
    t.equal("rotation-of-another-process", s.number(s.kek("from-here")[1], ck.CKA_CMK_VERSION), 2)
    t.equal("old-wrap-after-it", s.get(s.unwrap(s.kek("from-here")[1], wrapped, ck.oaep()), ck.CKA_VALUE), value)
    child("destroy", "shared")
    t.equal("destroyed-by-another-process", (s.find([(ck.CKA_LABEL, "shared")]), s.get_rv(dek, ck.CKA_LABEL)[0]), ([], "OBJECT_HANDLE_INVALID"))
    running = [subprocess.Popen([sys.executable, __file__, "child", "make", str(i)], stdout=subprocess.PIPE, text=True) for i in range(6)]
    outputs = [p.communicate()[0] for p in running]
    t.equal("makers-end-well", [p.returncode for p in running], [0] * 6)
    made = [line for o in outputs for line in o.split()]
    t.equal("made", len(made), 6 * 4)
    t.equal("every-key-is-there", [x for x in made if len(s.find([(ck.CKA_UNIQUE_ID, x), (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)])) != 1], [])
    all_ = s.find([(ck.CKA_LABEL, "common"), (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), (ck.CKA_CMK_ALL_VERSIONS, True)])
    t.equal("common-versions", sorted(s.number(o, ck.CKA_CMK_VERSION) for o in all_), list(range(1, 13)))
    t.equal("one-is-current", [s.number(o, ck.CKA_CMK_VERSION) for o in all_ if s.get(o, ck.CKA_CMK_CURRENT) == b"\1"], [12])
    m.stop()


def child(*args):
    return subprocess.run([sys.executable, __file__, "child", *args], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.split()


def child_main(action, arg):
    s = start()
    if action == "look":
        dek = s.one([(ck.CKA_LABEL, "shared"), (ck.CKA_CLASS, ck.CKO_SECRET_KEY)])
        print(s.get(dek, ck.CKA_VALUE).hex())
        print(s.get(s.unwrap(s.kek("from-here")[1], bytes.fromhex(arg), ck.oaep()), ck.CKA_VALUE).hex())
    elif action == "rotate":
        s.pair(arg)
    elif action == "destroy":
        s.destroy(s.one([(ck.CKA_LABEL, arg)]))
    elif action == "make":
        for i in range(2):
            print(s.get(s.pair("own-%s-%d" % (arg, i))[1], ck.CKA_UNIQUE_ID).decode())
            print(s.get(s.pair("common")[1], ck.CKA_UNIQUE_ID).decode())
    m.stop()


if part == "child":
    child_main(*sys.argv[2:])
else:
    try:
        globals()[part]()
    except Exception as e:  # noqa: one verdict for what the checks did not expect
        import traceback

        traceback.print_exc(file=sys.stdout)
        t.check("ran-to-the-end", False, e)
    t.finish()
