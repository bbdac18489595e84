"""Wraps and unwraps a key under each of the named KEKs: use_all.py MODULE PIN NAME…; exits 0 when all of them work."""
import sys
import PyKCS11 as p

lib = p.PyKCS11Lib()
lib.load(sys.argv[1])
for slot in lib.getSlotList(tokenPresent=True):
    if lib.getTokenInfo(slot).label.strip() == "v":
        break
session = lib.openSession(slot, p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION)
session.login(sys.argv[2])
mech = p.RSAOAEPMechanism(p.CKM_SHA256, p.CKG_MGF1_SHA256)
dek = session.generateKey([(p.CKA_CLASS, p.CKO_SECRET_KEY), (p.CKA_KEY_TYPE, p.CKK_AES), (p.CKA_VALUE_LEN, 32), (p.CKA_TOKEN, False), (p.CKA_SENSITIVE, False),
                           (p.CKA_EXTRACTABLE, True)], p.MechanismAESGENERATEKEY)
value = bytes(session.getAttributeValue(dek, [p.CKA_VALUE])[0])
for name in sys.argv[3:]:
    pair = [session.findObjects([(p.CKA_CLASS, c), (p.CKA_LABEL, name)]) for c in (p.CKO_PUBLIC_KEY, p.CKO_PRIVATE_KEY)]
    assert [len(x) for x in pair] == [1, 1], "%s: %r" % (name, pair)
    wrapped = session.wrapKey(pair[0][0], dek, mech)
    again = session.unwrapKey(pair[1][0], wrapped, [(p.CKA_CLASS, p.CKO_SECRET_KEY), (p.CKA_KEY_TYPE, p.CKK_AES), (p.CKA_TOKEN, False), (p.CKA_SENSITIVE, False),
                                                    (p.CKA_EXTRACTABLE, True)], mech)
    assert bytes(session.getAttributeValue(again, [p.CKA_VALUE])[0]) == value, name
print("%d KEKs work" % len(sys.argv[3:]))
