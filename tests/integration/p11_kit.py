"""Wrap and unwrap with OAEP parameters through a module that stands in front of ours: p11_kit.py NAME MODULE."""
import os
import sys

import cryptoki as ck

t = ck.Checks("p11_kit/" + sys.argv[1])
m = ck.Module(sys.argv[2])
m.start()
s = m.login("kit", os.environ["CMK11_PIN"])
pub, prv = s.kek("orders")
dek = s.generate([(ck.CKA_VALUE_LEN, 32), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SENSITIVE, False)])
value = s.get(dek, ck.CKA_VALUE)
for name, mech in {"sha256": ck.oaep(), "sha1": ck.oaep(ck.CKM_SHA_1, ck.CKG_MGF1_SHA1), "label": ck.oaep(label=b"a label"),
                   "sha512-mgf1-sha256": ck.oaep(ck.CKM_SHA512, ck.CKG_MGF1_SHA256)}.items():
    t.works("oaep-" + name, lambda: t.equal("oaep-%s-value" % name, s.get(s.unwrap(prv, s.wrap(pub, dek, mech), mech), ck.CKA_VALUE), value))
wrapped = s.wrap(pub, dek, ck.oaep(label=b"one"))
t.refused("another-label", "WRAPPED_KEY_INVALID", s.unwrap, prv, wrapped, ck.oaep(label=b"two"))
t.refused("no-value-of-the-kek", "ATTRIBUTE_SENSITIVE", s.get, prv, ck.CKA_PRIVATE_EXPONENT)
t.equal("vendor-attribute", s.number(prv, ck.CKA_CMK_VERSION) & 0xffffffff, 1)
t.equal("vendor-attribute-in-a-search", len(s.find([(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), (ck.CKA_LABEL, "orders"), (ck.CKA_CMK_CURRENT, True)])), 1)
a, b = s.pair("made-over-" + sys.argv[1])
t.works("made-through-it", lambda: s.unwrap(b, s.wrap(a, dek, ck.oaep()), ck.oaep()))
s.logout()
t.equal("handles-die", s.get_rv(prv, ck.CKA_LABEL)[0], "OBJECT_HANDLE_INVALID")
m.stop()
t.finish()
