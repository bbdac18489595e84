"""What a small store says to the command and to the module: the observations of store_edits.py.

As a program it is the process that the module lives in, and may crash or hang in: one request a line, one answer a line.
"""
import json
import os
import signal
import subprocess
import sys
import threading

import cryptoki as ck

USER_1, USER_2, SO_1, SO_2 = "first user pin", "second user pin", "first so pin", "second so pin"

# ---------------------------------------------------------------- observing: the module, in a process of its own


def attempt(function, *args):
    try:
        return ["ok", function(*args)]
    except ck.Refused as e:
        return ["refused", e.name]
    except LookupError as e:
        return ["missing", str(e)]


def slots_seen(m):
    seen = []
    for slot in m.slots():
        try:
            info = m.token_info(slot)
            seen.append([slot, bytes(info.label).decode("utf-8", "replace").rstrip(), bytes(info.serial).decode("ascii", "replace"), info.flags & 0x40F])
        except ck.Refused as e:
            seen.append([slot, e.name])
    return seen


def objects_by(s, template):
    return sorted([s.get(o, ck.CKA_LABEL).decode("utf-8", "replace"), s.get(o, ck.CKA_VALUE).hex(), s.number(o, ck.CKA_CLASS)] for o in s.find([(ck.CKA_TOKEN, True), *template]))


def keks_by(s, template):
    kinds = (ck.CKA_LABEL, ck.CKA_UNIQUE_ID, ck.CKA_ID, ck.CKA_CMK_VERSION, ck.CKA_CMK_CURRENT, ck.CKA_CMK_ENABLED, ck.CKA_CMK_EXPIRES, ck.CKA_MODULUS, ck.CKA_CMK_DELETED)
    return sorted([s.get(o, kind).hex() for kind in kinds] for o in s.find([(ck.CKA_KEY_TYPE, ck.CKK_RSA), *template]))


def inside(s, known):
    """What a session that is logged in sees."""
    PRV = (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)
    out = {
        "keks": attempt(keks_by, s, [PRV]),
        "keks of all versions": attempt(keks_by, s, [PRV, (ck.CKA_CMK_ALL_VERSIONS, True)]),
        "kek by label a": attempt(keks_by, s, [PRV, (ck.CKA_LABEL, "a")]),
        "kek by label b": attempt(keks_by, s, [PRV, (ck.CKA_LABEL, "b")]),
        "kek versions of a": attempt(keks_by, s, [PRV, (ck.CKA_LABEL, "a"), (ck.CKA_CMK_ALL_VERSIONS, True)]),
        "kek that is not there": attempt(keks_by, s, [PRV, (ck.CKA_LABEL, "c")]),
        "objects": attempt(objects_by, s, [(ck.CKA_CLASS, ck.CKO_SECRET_KEY)]),
        "data": attempt(objects_by, s, [(ck.CKA_CLASS, ck.CKO_DATA)]),
        "object by label": attempt(objects_by, s, [(ck.CKA_LABEL, "dek")]),
        "object by id": attempt(objects_by, s, [(ck.CKA_ID, b"dek id")]),
        "object by label note": attempt(objects_by, s, [(ck.CKA_LABEL, "note")]),
    }
    for i, k in enumerate(known):
        for name, item in (("id", (ck.CKA_ID, bytes.fromhex(k["id"]))), ("unique id", (ck.CKA_UNIQUE_ID, bytes.fromhex(k["unique"]))), ("modulus", (ck.CKA_MODULUS, bytes.fromhex(k["modulus"])))):
            out["kek %d by %s" % (i, name)] = attempt(keks_by, s, [PRV, item])
        out["kek %d unwraps" % i] = attempt(lambda: s.get(s.unwrap(s.one([PRV, (ck.CKA_ID, bytes.fromhex(k["id"]))]), bytes.fromhex(k["wrapped"]), ck.oaep()), ck.CKA_VALUE).hex())
        out["kek %d wraps" % i] = attempt(lambda: wrap_again(s, bytes.fromhex(k["id"])))
    return out


def wrap_again(s, id_):
    pub, prv = [s.one([(ck.CKA_CLASS, c), (ck.CKA_ID, id_)]) for c in (ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY)]
    dek = s.create(ck.changed(ck.DEK, (ck.CKA_VALUE, b"0123456789abcdef")))
    return s.get(s.unwrap(prv, s.wrap(pub, dek, ck.oaep()), ck.oaep()), ck.CKA_VALUE).hex()


def whole(m, known):
    """Everything, from C_Initialize on."""
    m.start()
    try:
        out = {"slots": attempt(slots_seen, m)}
        try:
            slot = m.slot_of("v")
        except (LookupError, ck.Refused):
            slot = None
        try:
            s = m.open(slot) if slot is not None else None
        except ck.Refused as e:
            s, out["session"] = None, ["refused", e.name]
        nothing = ["refused", "SEES-NO-SUCH-TOKEN"]
        for i, k in enumerate(known):  # first of all, while nothing is cached that answers it
            out["public kek %d by unique id" % i] = attempt(keks_by, s, [(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_UNIQUE_ID, bytes.fromhex(k["unique"]))]) if s else nothing
        out["public"] = attempt(keks_by, s, [(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY)]) if s else nothing
        out["public data"] = attempt(objects_by, s, [(ck.CKA_CLASS, ck.CKO_DATA)]) if s else nothing
        out["login with the old PIN"] = attempt(s.login, USER_1) if s else nothing
        if out["login with the old PIN"][0] == "ok":
            s.logout()
        out["login with the old SO PIN"] = attempt(s.login, SO_1, ck.CKU_SO) if s else nothing
        if out["login with the old SO PIN"][0] == "ok":
            s.logout()
        out["login"] = attempt(s.login, USER_2) if s else nothing
        out.update(inside(s, known) if out["login"][0] == "ok" else {k: ["refused", "NOT-LOGGED-IN"] for k in inside_names(known)})
        if s:
            s.rv("C_Logout")
        for who in ("user:" + USER_2, "so:" + SO_2, "nobody:" + USER_2):
            out["login by name " + who.split(":")[0]] = attempt(s.login, who) if s else nothing
            if out["login by name " + who.split(":")[0]][0] == "ok":
                s.logout()
        out["login of the SO"] = attempt(s.login, SO_2, ck.CKU_SO) if s else nothing
        return out
    finally:
        m.stop()


def inside_names(known):
    names = ["keks", "keks of all versions", "kek by label a", "kek by label b", "kek versions of a", "kek that is not there", "objects", "data", "object by label", "object by id",
             "object by label note"]
    return names + ["kek %d %s" % (i, n) for i in range(len(known)) for n in ("by id", "by unique id", "by modulus", "unwraps", "wraps")]


def worker():
    """Serves one request a line: a whole look, or parts of a life in which the store is edited."""
    m, live = ck.Module(), None
    for line in sys.stdin:
        q = json.loads(line)
        os.environ["CMK11_STORE"] = q["store"]
        if q["do"] == "whole":
            answer = whole(m, q["known"])
        elif q["do"] == "open":
            m.start()
            live = m.login("v", USER_2)
            answer = inside(live, q["known"])
        elif q["do"] == "live":
            answer = inside(live, q["known"])
        else:
            m.stop()
            answer = {}
        print(json.dumps(answer), flush=True)


class Worker:
    """The module in a process that may crash or hang."""

    def __init__(self):
        self.p = None

    def ask(self, do, store, known, seconds=20):
        if self.p is None:
            self.p = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        timer = threading.Timer(seconds, self.p.kill)
        timer.start()
        try:
            self.p.stdin.write(json.dumps({"do": do, "store": store, "known": known}) + "\n")
            self.p.stdin.flush()
            line = self.p.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alive = timer.is_alive()
            timer.cancel()
        if line:
            return json.loads(line)
        status = self.p.wait()
        self.p = None
        return {"module": ["crash", "hang of %d s" % seconds if not alive else "ended by %s" % (signal.Signals(-status).name if status < 0 else status)]}

    def end(self):
        if self.p:
            self.p.stdin.close()
            self.p.wait()


# ---------------------------------------------------------------- observing: the command

COMMANDS = ["vault list", "vault show v", "key list v", "key show v a", "key show v b", "key versions v a"]


def command(store, words):
    env = dict(os.environ, CMK11_STORE=store)
    try:
        p = subprocess.run([os.environ["CMK11"], *words.split(), "--json"], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return ["crash", "hang of 20 s"]
    err = p.stderr.decode("utf-8", "replace")
    try:
        j = json.loads(p.stdout)
    except ValueError:
        return ["crash", "status %d, no JSON: %r, stderr %r" % (p.returncode, p.stdout[:200], err[:300])]
    if p.returncode == 0:
        j.pop("pins", None)  # failures since the last login are another file's
        return ["ok", j]
    if p.returncode != 1 or not err.startswith("cmk11: ") or len(err.splitlines()[-1]) < 20:
        return ["crash", "status %d: %s" % (p.returncode, err[:300])]
    return ["refused", j["error"]["code"]]


def commands(store):
    return {words: command(store, words) for words in COMMANDS}


if __name__ == "__main__":
    worker()
