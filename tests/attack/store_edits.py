"""Edits a small store in every way that a writer of the file has, and looks at it with the command and the module: store_edits.py DIRECTORY [PATTERN].

An observation (what one command or one group of calls says) may be the same as before the edit, or a refusal that says the store is damaged. Anything else is
a wrong answer: a key that is silently missing, a forged state that is believed, a crash, a hang. An edit that changes no observation is *unnoticed*, which is
only good where ALLOWED says why.
"""
import json
import os
import queue
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cryptoki as ck
from store_look import COMMANDS, SO_1, SO_2, USER_1, USER_2, Worker, commands

KINDS = {1: "ROOT", 2: "NODE", 3: "BUCKET", 16: "VAULT", 17: "PRINCIPAL", 18: "SEALED", 19: "CREDENTIAL", 32: "KEY", 33: "VERSION", 34: "KEYKEY", 35: "MATERIAL",
         36: "CERTIFICATE", 48: "OBJECT"}
CODES = {"tampered", "rollback", "store-damaged", "schema-newer", "format", "permission", "io"}
REFUSALS = {"DEVICE_ERROR", "TOKEN_NOT_RECOGNIZED", "GENERAL_ERROR", "SEES-NO-SUCH-TOKEN", "NOT-LOGGED-IN", "DEVICE_REMOVED"}
LIVE_REFUSALS = REFUSALS | {"SESSION_HANDLE_INVALID", "USER_NOT_LOGGED_IN", "UNWRAPPING_KEY_HANDLE_INVALID", "OBJECT_HANDLE_INVALID"}

# Edits without an effect on any observation that are as they should be.
ALLOWED = [
    (r"(flip|remove|body|swap|swap-all|foreign|remove-all)/CERTIFICATE", "no command and no call shows certificates yet; VERSION has their hash"),
    (r"revision/(NODE|BUCKET|MATERIAL|CERTIFICATE)", "the revision of what is verified by its hash only serves compare-and-swap"),
    (r"(planted|copied)/(NODE|BUCKET|PRINCIPAL|SEALED|CREDENTIAL|KEYKEY|MATERIAL|CERTIFICATE)", "a record that no verified record leads to is not read"),
    (r"entry-(remove|redirect|value)/1", "the index of vault names is a hint: vaults are looked through and verified"),
    (r"entry-(redirect|value|add)/", "index entries are hints: what they lead to is verified and compared"),
    (r"entry-remove/(7|8)", "an object that none of the observations looks for by this value"),
    (r"attempts/", "counters of failures are not signed: who can write the file has the credentials to guess offline"),
    (r"setting/|schema/no-table-setting", "settings only say which group may open the files, whose modes are checked against it"),
    (r"schema/trigger", "triggers are switched off"),
    (r"schema/extra-table", "a table that nobody reads"),
    (r"file/junk-wal", "SQLite ignores a log without valid frames"),
    (r"same-records/", "every record of the vault that is looked at is as before: what differs is free space, a hint, a certificate or the other vault"),
]
# Answers that differ without an error, as the design states.
STATED = [
    (r"(entry-(remove|redirect|value)/(7|8)|(remove|remove-all)/OBJECT)|live/remove/OBJECT", r"^(object by|public data)",
     "a look-up of objects by value, or before a login, does not show what was removed; the list after a login does (decision 0001, Objects)"),
    (r"(flip|body)/OBJECT", r"^public data", "a public object whose signature names another key is not shown before a login (decision 0001, Objects)"),
    (r"(flip|body|old|old-body|swap|swap-all|foreign)/CREDENTIAL", r"login", "a credential opens under the PIN alone: a damaged or old one is a wrong PIN"),
    (r"file/(symbolic-link|fifo|directory|world-writable|directory-world-writable)$", r"slots", "a store that may not be used shows no slots and logs why"),
]

# ---------------------------------------------------------------- judging


def judge_one(name, was, is_, refusals):
    if is_ == was:
        return "same"
    if is_[0] == "refused" and is_[1] in (CODES if name in COMMANDS else refusals):
        return "noticed"
    if name == "vault list" and is_[0] == "ok":
        before = {v["id"]: v for v in was[1]["vaults"]}
        after = {v["id"]: v for v in is_[1]["vaults"]}
        bad = [v for i, v in after.items() if v["health"] in CODES]
        good = [v for i, v in after.items() if v["health"] == "ok"]
        if bad and all(i in after for i in before) and all(v == before.get(v["id"]) for v in good):
            return "noticed"
    if name == "vault show v" and is_[0] == "ok" and is_[1].get("health") in CODES:
        return "noticed"
    # A damaged vault is a token that can't be written, without a serial number.
    if name == "slots" and is_[0] == "ok" and any(len(x) == 2 and x[1] in REFUSALS or len(x) == 4 and x[3] & 2 and not x[2].strip() for x in is_[1]):
        good = [x for x in is_[1] if len(x) == 4 and x[2].strip()]
        return "noticed" if all(x in was[1] for x in good) and len(is_[1]) >= len(was[1]) else "wrong"
    return "wrong"


class Store:
    """The final store, its snapshots, and what is seen in it."""

    def __init__(self, root):
        self.root, self.snapshots = root, []
        self.final = os.path.join(root, "final")

    def cli(self, *words, **env):
        subprocess.run([os.environ["CMK11"], *words], env=dict(os.environ, CMK11_STORE=self.final, **env), check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def snapshot(self):
        where = os.path.join(self.root, "snapshot-%d" % len(self.snapshots))
        shutil.copytree(self.final, where)
        self.snapshots.append(where)

    def make(self):
        pins = {"CMK11_PIN": USER_1, "CMK11_SO_PIN": SO_1}
        for vault in ("v", "w"):
            self.cli("vault", "init", vault, **pins)
        self.snapshot()
        self.cli("key", "create", "v", "a", "--size", "2048", **pins)
        self.cli("key", "create", "w", "a", "--size", "2048", **pins)
        self.snapshot()
        for step in ("objects", "rotate", "change", "pins"):
            subprocess.run([sys.executable, __file__, "--step", step], env=dict(os.environ, CMK11_STORE=self.final), check=True)
            self.snapshot()
        self.cli("key", "create", "v", "b", "--size", "2048", "--expires", "2099-01-01", CMK11_PIN=USER_2)
        self.snapshot()
        known = subprocess.run([sys.executable, __file__, "--step", "known"], env=dict(os.environ, CMK11_STORE=self.final), check=True, stdout=subprocess.PIPE, text=True)
        self.known = json.loads(known.stdout)
        self.snapshots.pop()
        self.rows()
        self.content = self.records(self.final)

    def records(self, where):
        """The records of v without its certificates; None where they can't be read."""
        try:
            db = sqlite3.connect("file:%s/cmk11.db?immutable=1" % where, uri=True)
            try:
                return db.execute("SELECT kind, id, revision, body FROM record WHERE vault = ? AND kind <> 36 ORDER BY kind, id", (self.vaults["v"],)).fetchall()
            finally:
                db.close()
        except sqlite3.Error:
            return None

    def rows(self, where=None):
        db = sqlite3.connect(os.path.join(where or self.final, "cmk11.db"))
        names = dict(db.execute("SELECT vault, 'w' FROM record WHERE kind = 16"))
        first = db.execute("SELECT vault FROM record WHERE kind = 16 AND number = (SELECT min(number) FROM record WHERE kind = 16)").fetchone()[0]
        names[first] = "v"
        rows = {(k, names[v], i): (n, r, b) for n, k, v, i, r, b in db.execute("SELECT number, kind, vault, id, revision, body FROM record")}
        self.vaults = {n: v for v, n in names.items()}
        db.close()
        return rows


def step(what):
    """One change of the store through the module, so that older rows come to exist."""
    m = ck.Module()
    m.start()
    pins = (USER_2, SO_2) if what == "known" else (USER_1, SO_1)
    s = m.login("v", pins[0])
    if what == "objects":
        for vault in (s, m.login("w", pins[0])):
            for label, private in (("dek", True), ("dek 2", True)):
                vault.create([(ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_TOKEN, True), (ck.CKA_PRIVATE, private), (ck.CKA_LABEL, label),
                              (ck.CKA_ID, (label + " id").encode()), (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_VALUE, os.urandom(32))])
            vault.create([(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_TOKEN, True), (ck.CKA_PRIVATE, False), (ck.CKA_LABEL, "note"), (ck.CKA_VALUE, b"first text")])
    elif what == "rotate":
        s.pair("a")
    elif what == "change":
        s.set(s.one([(ck.CKA_LABEL, "dek 2")]), [(ck.CKA_LABEL, "dek two")])
        s.set(s.one([(ck.CKA_LABEL, "note")]), [(ck.CKA_APPLICATION, "changed")])
    elif what == "pins":
        s.call("C_SetPIN", USER_1.encode(), len(USER_1), USER_2.encode(), len(USER_2))
        s.logout()
        s.login(SO_1, ck.CKU_SO)
        s.call("C_SetPIN", SO_1.encode(), len(SO_1), SO_2.encode(), len(SO_2))
        s.logout()
        s.login(USER_2)
        s.logout()
        s.login(SO_2, ck.CKU_SO)
    elif what == "known":
        known = []
        for o in s.find([(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_CMK_ALL_VERSIONS, True)]):
            dek = s.create(ck.changed(ck.DEK, (ck.CKA_VALUE, os.urandom(32))))
            known.append({"id": s.get(o, ck.CKA_ID).hex(), "unique": s.get(o, ck.CKA_UNIQUE_ID).hex(), "modulus": s.get(o, ck.CKA_MODULUS).hex(), "wrapped": s.wrap(o, dek, ck.oaep()).hex()})
        print(json.dumps(known))
    m.stop()


# ---------------------------------------------------------------- the edits


def sql(*statements):
    """An edit by SQL; each statement must change something."""

    def edit(directory):
        db = sqlite3.connect(os.path.join(directory, "cmk11.db"))
        for text, *values in statements:
            if db.execute(text, values).rowcount == 0:
                raise RuntimeError("no row for " + text)
        db.commit()
        db.close()

    return edit


def on_file(change, name="cmk11.db"):
    def edit(directory):
        path = os.path.join(directory, name)
        data = open(path, "rb").read()
        new = change(data)
        if new != data:
            open(path, "wb").write(new)

    return edit


def flip(data, position, bit):
    data = bytearray(data)
    data[position] ^= 1 << bit
    return bytes(data)


def title(key):
    kind, vault, id_ = key
    return "%s/%s/%s" % (KINDS.get(kind, kind), vault, id_[:20].hex() or "-")


def edits(store):
    """Yields (name, edit)."""
    random.seed(11)
    rows = store.rows()
    of_v = {k: row for k, row in rows.items() if k[1] == "v"}
    set_body = "UPDATE record SET body = ? WHERE number = ?"
    for key, (n, revision, body) in of_v.items():
        places = {0, len(body) - 1, len(body) // 2, random.randrange(len(body))} if key[0] in (2, 3) else {0, 1, len(body) // 3, len(body) // 2, len(body) - 1, *[random.randrange(len(body)) for _ in range(4)]}
        for p in sorted(places):
            yield "flip/%s/%d" % (title(key), p), sql((set_body, flip(body, p, random.randrange(8)), n))
        yield "revision/%s/up" % title(key), sql(("UPDATE record SET revision = revision + 1 WHERE number = ?", n))
        if revision > 1:
            yield "revision/%s/down" % title(key), sql(("UPDATE record SET revision = revision - 1 WHERE number = ?", n))
        yield "body/%s/empty" % title(key), sql((set_body, b"", n))
        yield "body/%s/cut" % title(key), sql((set_body, body[:-1], n))
        yield "body/%s/longer" % title(key), sql((set_body, body + b"\0", n))
        yield "remove/%s" % title(key), sql(("DELETE FROM record WHERE number = ?", n))
    # its own older version
    seen = set()
    for i, where in enumerate(store.snapshots):
        for key, (_, revision, body) in store.rows(where).items():
            if key in of_v and (revision, body) != of_v[key][1:] and (key, body) not in seen:
                seen.add((key, body))
                n = of_v[key][0]
                yield "old/%s/snapshot-%d" % (title(key), i), sql(("UPDATE record SET body = ?, revision = ? WHERE number = ?", body, revision, n))
                yield "old-body/%s/snapshot-%d" % (title(key), i), sql((set_body, body, n))
    # swapped within the vault, and with the other vault
    by_kind = {}
    for key, row in rows.items():
        by_kind.setdefault((key[0], key[1]), []).append((key, row))
    for (kind, vault), members in sorted(by_kind.items()):
        if vault != "v":
            continue
        for (k1, r1), (k2, r2) in zip(members, members[1:]):
            yield "swap/%s/%s" % (title(k1), k2[2][:20].hex()), sql((set_body, r2[2], r1[0]), (set_body, r1[2], r2[0]))
            yield "swap-all/%s/%s" % (title(k1), k2[2][:20].hex()), sql(("UPDATE record SET body = ?, revision = ? WHERE number = ?", *r2[2:0:-1], r1[0]),
                                                                        ("UPDATE record SET body = ?, revision = ? WHERE number = ?", *r1[2:0:-1], r2[0]))
        theirs = by_kind.get((kind, "w"), [])
        for i, (k1, r1) in enumerate(members[:8]):
            if theirs:
                k2, r2 = theirs[i % len(theirs)]
                yield "foreign/%s" % title(k1), sql(("UPDATE record SET body = ?, revision = ? WHERE number = ?", *r2[2:0:-1], r1[0]),
                                                     ("UPDATE record SET body = ?, revision = ? WHERE number = ?", *r1[2:0:-1], r2[0]))
        for k2, r2 in theirs[:6]:
            if (kind, "v", k2[2]) not in rows:
                yield "planted/%s" % title((kind, "v", k2[2])), sql(("INSERT INTO record (kind, vault, id, revision, body) VALUES (?, ?, ?, ?, ?)", kind, store.vaults["v"], k2[2], r2[1], r2[2]))
    # a version or key that never was: copies of real rows under new ids
    for kind in (32, 33, 34, 35, 36, 17, 18, 19, 48):
        for key, row in by_kind[(kind, "v")][:2]:
            id_ = key[2][:-1] + bytes([key[2][-1] ^ 7])
            yield "copied/%s" % title(key), sql(("INSERT INTO record (kind, vault, id, revision, body) VALUES (?, ?, ?, ?, ?)", kind, store.vaults["v"], id_, row[1], row[2]))
    # vaults exchanged whole, taken away whole, a second one of the same name
    v, w = store.vaults["v"], store.vaults["w"]
    yield "vaults/exchanged", sql(("UPDATE record SET vault = x'00' WHERE vault = ?", v), ("UPDATE record SET vault = ? WHERE vault = ?", v, w), ("UPDATE record SET vault = ? WHERE vault = x'00'", w))
    yield "vaults/vault-records-exchanged", sql(("UPDATE record SET vault = x'00' WHERE kind = 16 AND vault = ?", v), ("UPDATE record SET vault = ? WHERE kind = 16 AND vault = ?", v, w),
                                                ("UPDATE record SET vault = ? WHERE kind = 16 AND vault = x'00'", w))
    yield "vaults/copied", sql(("INSERT INTO record (kind, vault, id, revision, body) SELECT kind, x'%s', id, revision, body FROM record WHERE vault = ?" % (b"\7" * 16).hex(), v))
    for kind in sorted({k[0] for k in of_v}):
        yield "remove-all/%s" % KINDS[kind], sql(("DELETE FROM record WHERE kind = ? AND vault = ?", kind, v))
    # keys with all that belongs to them
    for key in [k for k in of_v if k[0] == 32]:
        yield "remove-key/%s" % title(key), sql(("DELETE FROM record WHERE kind BETWEEN 32 AND 36 AND vault = ? AND substr(id, 1, 16) = ?", v, key[2]))
    for key in [k for k in of_v if k[0] == 33]:
        yield "remove-version/%s" % title(key), sql(("DELETE FROM record WHERE kind BETWEEN 33 AND 36 AND vault = ? AND id = ?", v, key[2]))
    # the index
    db = sqlite3.connect(os.path.join(store.final, "cmk11.db"))
    entries = db.execute("SELECT kind, field, value, vault, record FROM entry WHERE vault = ?", (v,)).fetchall()
    db.close()
    same = "kind = ? AND field = ? AND value = ? AND vault = ? AND record = ?"
    for e in entries:
        name = "%d/%s" % (e[1], e[2][:16].hex())
        yield "entry-remove/" + name, sql(("DELETE FROM entry WHERE " + same, *e))
        for target in [r[0] for k, r in rows.items() if k[0] == e[0] and r[0] != e[4]][:3]:
            yield "entry-redirect/%s/%d" % (name, target), sql(("UPDATE entry SET record = ? WHERE " + same, target, *e))
            yield "entry-add/%s/%d" % (name, target), sql(("INSERT INTO entry (kind, field, value, vault, record) VALUES (?, ?, ?, ?, ?)", *e[:4], target))
        yield "entry-redirect/%s/nowhere" % name, sql(("UPDATE entry SET record = 999999 WHERE " + same, *e))
        yield "entry-value/" + name, sql(("UPDATE entry SET value = ? WHERE " + same, flip(e[2], 0, 0), *e))
    # the frame
    for version in (0, 2, 99, -1):
        yield "schema/user-version-%d" % version, sql_pragma("user_version", version)
    yield "schema/application-id", sql_pragma("application_id", 1)
    yield "schema/attempts-file-as-records", lambda d: shutil.copy(os.path.join(d, "attempts.db"), os.path.join(d, "cmk11.db"))
    for table in ("record", "entry", "setting"):
        yield "schema/no-table-" + table, schema("DROP TABLE " + table)
    yield "schema/trigger", schema("CREATE TRIGGER t AFTER UPDATE ON record BEGIN DELETE FROM record; END")
    yield "schema/record-is-a-view", schema("ALTER TABLE record RENAME TO hidden; CREATE VIEW record AS SELECT * FROM hidden")
    yield "schema/extra-table", schema("CREATE TABLE extra (x)")
    yield "setting/store-group-0", sql(("INSERT INTO setting (name, value) VALUES ('store-group', 0)",))
    # the file
    size = os.path.getsize(os.path.join(store.final, "cmk11.db"))
    for n in sorted({0, 1, 15, 16, 99, 100, 511, 512, 4095, 4096, 8192, size // 4, size // 2, size - 4096, size - 512, size - 1}):
        yield "file/cut-%d" % n, on_file(lambda d, n=n: d[:n])
    yield "file/zeros", on_file(lambda d: bytes(len(d)))
    yield "file/zeros-behind-the-header", on_file(lambda d: d[:100] + bytes(len(d) - 100))
    yield "file/noise", on_file(lambda d: random.randbytes(len(d)))
    yield "file/removed", lambda d: os.remove(os.path.join(d, "cmk11.db"))
    yield "file/symbolic-link", lambda d: (os.rename(os.path.join(d, "cmk11.db"), os.path.join(d, "real")), os.symlink("real", os.path.join(d, "cmk11.db")))
    yield "file/fifo", lambda d: (os.remove(os.path.join(d, "cmk11.db")), os.mkfifo(os.path.join(d, "cmk11.db"), 0o600))
    yield "file/directory", lambda d: (os.remove(os.path.join(d, "cmk11.db")), os.mkdir(os.path.join(d, "cmk11.db")))
    yield "file/world-writable", lambda d: os.chmod(os.path.join(d, "cmk11.db"), 0o666)
    yield "file/directory-world-writable", lambda d: os.chmod(d, 0o777)
    yield "file/junk-wal", lambda d: open(os.path.join(d, "cmk11.db-wal"), "wb").write(random.randbytes(50000)) and os.chmod(os.path.join(d, "cmk11.db-wal"), 0o600)
    pages = open(os.path.join(store.final, "cmk11.db"), "rb").read()
    for page in range(0, size // 4096):
        if any(pages[page * 4096 : (page + 1) * 4096]):
            yield "file/zero-page-%d" % page, on_file(lambda d, p=page: d[: p * 4096] + bytes(4096) + d[(p + 1) * 4096 :])
    for _ in range(120):
        p, b = random.randrange(size), random.randrange(8)
        yield "raw/%d.%d" % (p, b), on_file(lambda d, p=p, b=b: flip(d, p, b))
    yield "attempts/removed", lambda d: os.remove(os.path.join(d, "attempts.db"))
    yield "attempts/emptied", on_file(lambda d: b"", "attempts.db")
    yield "attempts/zeros", on_file(lambda d: bytes(len(d)), "attempts.db")


def sql_pragma(name, value):
    return schema("PRAGMA %s = %d" % (name, value))


def schema(text):
    def edit(directory):
        db = sqlite3.connect(os.path.join(directory, "cmk11.db"))
        db.executescript(text)
        db.close()

    return edit


# ---------------------------------------------------------------- running


def dump(directory):
    """What the store holds; None where it can't be read."""
    path = os.path.join(directory, "cmk11.db")
    if not os.path.isfile(path):
        return None
    try:
        db = sqlite3.connect("file:%s?immutable=1" % path, uri=True)
        try:
            return db.execute("SELECT * FROM record ORDER BY number").fetchall(), db.execute("SELECT * FROM entry").fetchall()
        finally:
            db.close()
    except sqlite3.Error:
        return open(path, "rb").read()


def restore(store, directory):
    for name in ("cmk11.db", "cmk11.db-wal", "cmk11.db-shm"):
        path = os.path.join(directory, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.lexists(path) and os.remove(path)
    os.chmod(directory, 0o700)
    shutil.copy2(os.path.join(store.final, "cmk11.db"), directory)
    if not os.path.exists(os.path.join(directory, "attempts.db")) or os.path.getsize(os.path.join(directory, "attempts.db")) == 0 or not any(open(os.path.join(directory, "attempts.db"), "rb").read(16)):
        shutil.copy2(os.path.join(store.final, "attempts.db"), directory)


def judge(name, base, seen, refusals=REFUSALS):
    """(verdict, details): noticed, unnoticed, or wrong."""
    wrong, noticed = [], False
    for what in seen:
        verdict = judge_one(what, base[what], seen[what], refusals) if what in base else "wrong" if seen[what][0] == "crash" else "noticed"
        if verdict == "wrong" and any(re.match(e, name) and re.search(o, what) for e, o, _ in STATED):
            verdict = "noticed"
        if verdict == "wrong" and name == "file/removed" and seen[what][1] in ("not-found",):
            verdict = "noticed"
        if verdict == "wrong" and name == "file/removed" and what == "slots" and len(seen[what][1]) == 1:
            verdict = "noticed"
        noticed = noticed or verdict == "noticed"
        if verdict == "wrong":
            wrong.append("%s: %s, was %s" % (what, str(seen[what])[:160], str(base[what] if what in base else "nothing")[:160]))
    return ("wrong", wrong) if wrong else ("noticed" if noticed else "unnoticed", [])


def one_case(store, pool, base, name, edit):
    module, number = pool.get()
    directory = os.path.join(store.root, "case-%d" % number)
    try:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(store.final, directory)
        edit(directory)
        before = dump(directory)
        seen = commands(directory)
        seen.update(module.ask("whole", directory, store.known))
        verdict, details = judge(name, base, seen)
        if dump(directory) != before:
            verdict, details = "wrong", details + ["looking changed the store"]
        if verdict == "unnoticed" and name.split("/")[0] in ("raw", "file") and store.records(directory) == store.content:
            name = "same-records/" + name
        restore(store, directory)
        again = module.ask("whole", directory, store.known)
        lost = {k: again.get(k) for k in base if k not in COMMANDS and again.get(k) != base[k]}
        if lost:
            verdict, details = "wrong", details + ["after restoring: %s" % str(lost)[:300]]
        return name, verdict, details
    except Exception as e:  # noqa: a case that can't be run counts as a failure of the test
        return name, "wrong", ["the test failed: %s: %s" % (type(e).__name__, e)]
    finally:
        pool.put((module, number))


def live_cases(store):
    """Edits under a process that is logged in: it has seen the newest state, so older state shows even where the store agrees with itself."""
    rows = store.rows()
    set_all = "UPDATE record SET body = ?, revision = ? WHERE number = ?"
    for i, where in enumerate(store.snapshots):
        yield "live/database-replaced/snapshot-%d" % i, lambda d, w=where: (shutil.copy2(os.path.join(w, "cmk11.db"), os.path.join(d, "new")), os.rename(os.path.join(d, "new"), os.path.join(d, "cmk11.db")))
        old = store.rows(where)
        changed = [(body, revision, rows[k][0]) for k, (_, revision, body) in old.items() if k in rows and k[1] == "v" and (revision, body) != rows[k][1:]]
        gone = [n for k, (n, _, _) in rows.items() if k not in old and k[1] == "v"]
        if changed or gone:
            yield "live/rows-rolled-back/snapshot-%d" % i, sql(*[(set_all, *c) for c in changed], *[("DELETE FROM record WHERE number = ?", n) for n in gone])
        for k, (_, revision, body) in old.items():
            if k in rows and k[1] == "v" and k[0] not in (2, 3, 19) and (revision, body) != rows[k][1:]:
                yield "live/old/%s/snapshot-%d" % (title(k), i), sql((set_all, body, revision, rows[k][0]))
    for k, (n, revision, body) in rows.items():
        if k[1] == "v" and k[0] in (1, 16, 17, 32, 33, 34, 48):
            yield "live/flip/%s" % title(k), sql((set_all, flip(body, len(body) // 2, 3), revision, n))
            yield "live/remove/%s" % title(k), sql(("DELETE FROM record WHERE number = ?", n))


def one_live_case(store, pool, name, edit):
    module, number = pool.get()
    directory = os.path.join(store.root, "case-%d" % number)
    try:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(store.final, directory)
        base = module.ask("open", directory, store.known)
        edit(directory)
        verdict, details = judge(name, base, module.ask("live", directory, store.known), LIVE_REFUSALS)
        if module.p:
            module.ask("close", directory, store.known)
        return name, verdict, details
    except Exception as e:  # noqa
        return name, "wrong", ["the test failed: %s: %s" % (type(e).__name__, e)]
    finally:
        pool.put((module, number))


LIVE_ALLOWED = [(r"live/(old|flip|remove)/(PRINCIPAL|SEALED|VAULT)", "a record that nothing in this session needed again"),
                (r"live/(flip|remove)/KEYKEY", "its key is in memory, verified when it was read"),
                (r"live/(flip|remove)/ROOT/v/01|live/old/ROOT/v/01", "the admin tree is needed again at the next login")]


def report(results, allowed):
    groups, bad = {}, 0
    for name, verdict, details in results:
        g = groups.setdefault(name.split("/")[0] if not name.startswith("live") else "/".join(name.split("/")[:2]), {"noticed": 0, "allowed": {}, "failed": []})
        if verdict == "unnoticed":
            why = next((reason for pattern, reason in allowed if re.match(pattern, name)), None)
            if why:
                g["allowed"][why] = g["allowed"].get(why, 0) + 1
                continue
        if verdict == "noticed":
            g["noticed"] += 1
        else:
            g["failed"].append((name, verdict, details))
    for group, g in groups.items():
        n_allowed = sum(g["allowed"].values())
        total = g["noticed"] + n_allowed + len(g["failed"])
        print("%s store_edits/%s: %d edits, %d noticed, %d without effect and allowed, %d not good" % ("FAIL" if g["failed"] else "PASS", group, total, g["noticed"], n_allowed, len(g["failed"])))
        for why, n in g["allowed"].items():
            print("    %d allowed: %s" % (n, why))
        for name, verdict, details in g["failed"]:
            print("    %s: %s" % (verdict, name))
            for d in details[:4]:
                print("        %s" % d)
        bad += len(g["failed"])
    print("%d edits in all, %d not good" % (len(results), bad))
    return bad


def main():
    root, pattern = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    store = Store(root)
    store.make()
    pool = queue.Queue()
    width = max(2, os.cpu_count() or 2)
    for i in range(width):
        pool.put((Worker(), i))
    module, number = pool.get()
    first = os.path.join(root, "case-base")
    shutil.copytree(store.final, first)
    base = dict(commands(first), **module.ask("whole", first, store.known))
    pool.put((module, number))
    refused = {k: v for k, v in base.items() if v[0] != "ok" and "old" not in k and "by name" not in k}
    print("%s store_edits/base: %d observations of a store with %d records" % ("FAIL" if refused else "PASS", len(base), len(store.rows())))
    if refused:
        print("    %s" % refused)
        return 1
    with ThreadPoolExecutor(width) as threads:
        cases = [(n, e) for n, e in edits(store) if re.search(pattern, n)]
        results = list(threads.map(lambda c: one_case(store, pool, base, *c), cases))
        live = [(n, e) for n, e in live_cases(store) if re.search(pattern, n)]
        live_results = list(threads.map(lambda c: one_live_case(store, pool, *c), live))
    while not pool.empty():
        pool.get()[0].end()
    bad = report(results, ALLOWED) + report(live_results, LIVE_ALLOWED)
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        step(sys.argv[2])
    else:
        sys.exit(main())
