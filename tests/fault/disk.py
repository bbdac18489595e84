"""Full and read-only disks: disk.py DIRECTORY mounted|limited. `mounted`: DIRECTORY is a small file system of our own, that may be remounted."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys

import cryptoki as ck

DISK, MOUNTED = sys.argv[1], sys.argv[2] == "mounted"
STORE, BALLAST = os.path.join(DISK, "store"), os.path.join(DISK, "ballast")
PIN, SO_PIN = "disk-user-pin", "disk-so-pin-12"
os.environ.update(CMK11_STORE=STORE, CMK11_PIN=PIN, CMK11_SO_PIN=SO_PIN)
t = ck.Checks("disk")
CLEAR = r"^cmk11: .*(space|full|disk|too large|read-only|written|limit)"


def limit(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)) if size is not None else None


def run(*words, size=None):
    p = subprocess.run([os.environ["CMK11"], *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, preexec_fn=limit(size), restore_signals=False, timeout=60)
    return p.returncode, p.stdout, p.stderr


def keys(vault="v"):
    status, out, err = run("key", "list", vault, "--json")
    if status != 0:
        return "key list: " + err
    names = []
    for key in json.loads(out)["keys"]:
        status, out, err = run("key", "show", vault, key["name"], "--json")
        if status != 0 or len(json.loads(out)["versions"]) != 1:
            return "key show %s: %s" % (key["name"], err or out)
        names.append(key["name"])
    return names


def uses():
    """Every key wraps and unwraps; the objects are as they were."""
    code = """
import cryptoki as ck, os
m = ck.Module(); m.start(); s = m.login('v', os.environ['CMK11_PIN'])
for o in s.find([(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), (ck.CKA_TOKEN, True)]):
    pub = s.one([(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_ID, s.get(o, ck.CKA_ID))])
    dek = s.generate([(ck.CKA_VALUE_LEN, 16), (ck.CKA_EXTRACTABLE, True)])
    s.unwrap(o, s.wrap(pub, dek, ck.oaep()), ck.oaep())
print(len([s.get(o, ck.CKA_VALUE) for o in s.find([(ck.CKA_CLASS, ck.CKO_DATA)])]))
"""
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return int(p.stdout) if p.returncode == 0 else p.stderr.strip().splitlines()[-1]


def free_bytes(n):
    """Leaves n bytes of the file system free."""
    with open(BALLAST, "wb") as f:
        room = os.statvfs(DISK)
        f.write(b"\1" * max(room.f_bavail * room.f_frsize - n, 0))


def fresh(base):
    for path in (STORE, BALLAST):
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
    if base:
        shutil.copytree(base, STORE)


def levels(largest):
    """How much room is left: (what to call it, how to begin, how to end, what limits a process)."""
    if MOUNTED:
        for pages in [*range(0, 40), *range(40, 240, 8)]:
            yield "%d-pages-free" % pages, lambda p=pages: free_bytes(p * 4096), None
    else:
        for size in range(0, largest + 200000, max(largest // 30, 4096)):
            yield "files-to-%d" % size, lambda: None, size


def object_under(size):
    """Creates a data object with the module; what it answers."""
    code = """
import cryptoki as ck, os
m = ck.Module(); m.start()
try:
    s = m.login('v', os.environ['CMK11_PIN'])
    s.create([(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_TOKEN, True), (ck.CKA_VALUE, bytes(40000)), (ck.CKA_LABEL, 'large')])
    print('OK')
except ck.Refused as e:
    print(e.name)
m.stop()
"""
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit(size), restore_signals=False, timeout=60)
    return p.stdout.strip() or "ended with %d: %s" % (p.returncode, p.stderr[-200:])


def full_disk(base, base_keys):
    made = refused = 0
    wrong, answers, objects_made = [], {}, 0
    largest = os.path.getsize(os.path.join(base, "cmk11.db"))
    for name, begin, size in levels(largest):
        fresh(base)
        begin()
        status, out, err = run("key", "create", "v", "new", "--size", "2048", size=size)
        looked = keys() if MOUNTED else None
        answer = object_under(size)
        answers[answer] = answers.get(answer, 0) + 1
        if os.path.exists(BALLAST):
            os.remove(BALLAST)
        after = keys()
        want = sorted(base_keys + ["new"]) if status == 0 else base_keys
        if status not in (0, 1) or (status == 1 and not re.search(CLEAR, err, re.I)):
            wrong.append("%s: status %d, %r" % (name, status, err))
        if after != want:
            wrong.append("%s: %r instead of %r (status %d)" % (name, after, want, status))
        if looked is not None and looked != want and not (isinstance(looked, str) and re.search(CLEAR, looked.split(": ", 1)[1], re.I)):
            wrong.append("%s: while full: %r" % (name, looked))
        if answer not in ("OK", "DEVICE_MEMORY", "TOKEN_WRITE_PROTECTED"):
            wrong.append("%s: C_CreateObject answers %s" % (name, answer))
        objects = uses()
        if objects != 1 + (answer == "OK"):
            wrong.append("%s: afterwards %r objects, C_CreateObject said %s" % (name, objects, answer))
        if run("key", "create", "v", "after", "--size", "2048")[0] != 0:
            wrong.append("%s: no key can be made afterwards" % name)
        made, refused = made + (status == 0), refused + (status == 1)
    print("    %d keys made, %d refused; objects: %s" % (made, refused, answers))
    t.check("full/key-create", not wrong, "\n    ".join(wrong))
    t.check("full/both-outcomes", made > 0 and refused > 0, (made, refused))

    wrong = []
    for name, begin, size in levels(largest):
        fresh(None)
        begin()
        status, out, err = run("vault", "init", "v", size=size)
        if status not in (0, 1) or (status == 1 and not re.search(CLEAR, err, re.I)):
            wrong.append("%s: status %d, %r" % (name, status, err))
        if os.path.exists(BALLAST):
            os.remove(BALLAST)
        if status == 1 and run("vault", "init", "v")[0] != 0:
            wrong.append("%s: no vault can be made afterwards: %r" % (name, run("vault", "init", "v")))
        elif run("vault", "show", "v")[0] != 0:
            wrong.append("%s: it is not there" % name)
        left = set(os.listdir(STORE)) - {"cmk11.db", "attempts.db", "audit"}
        if left:
            wrong.append("%s: left behind: %s" % (name, sorted(left)))
    t.check("full/vault-init", not wrong, "\n    ".join(wrong))


def read_only(base, base_keys):
    fresh(base)
    before = open(os.path.join(STORE, "cmk11.db"), "rb").read()
    if MOUNTED:
        subprocess.run(["mount", "-o", "remount,ro", DISK], check=True)
    else:
        for name in os.listdir(STORE):
            os.chmod(os.path.join(STORE, name), 0o400)
        os.chmod(STORE, 0o500)
    try:
        for words in (("vault", "list"), ("vault", "show", "v"), ("key", "list", "v"), ("key", "show", "v", "k1"), ("status",)):
            status, out, err = run(*words)
            t.check("read-only/%s" % "-".join(words[:2]), (status == 0 and re.search("v|k1", out)) or (words == ("status",) and status in (0, 1)), (status, out, err))
        t.equal("read-only/keys", keys(), base_keys)
        for words in (("key", "create", "v", "new", "--size", "2048"), ("vault", "init", "other")):
            status, out, err = run(*words)
            t.check("read-only/%s" % "-".join(words[:2]), status == 1 and re.search(CLEAR, err, re.I) and len(err.splitlines()) == 1, (status, out, err))
        p = subprocess.run([sys.executable, "-c", "import cryptoki as ck; m = ck.Module(); m.start(); s = m.open(m.slot_of('v')); print(len(s.find([])), s.name('C_Login', 1, b'%s', %d))" % (PIN, len(PIN))],
                           capture_output=True, text=True)
        got = p.stdout.split()
        t.check("read-only/module", got and got[0] == "2" and got[1] in ("TOKEN_WRITE_PROTECTED", "OK"), (p.stdout, p.stderr[-200:]))
    finally:
        if MOUNTED:
            subprocess.run(["mount", "-o", "remount,rw", DISK], check=True)
        else:
            os.chmod(STORE, 0o700)
            for name in os.listdir(STORE):
                os.chmod(os.path.join(STORE, name), 0o600)
    t.check("read-only/nothing-changed", open(os.path.join(STORE, "cmk11.db"), "rb").read() == before)
    t.equal("read-only/afterwards", (run("key", "create", "v", "new", "--size", "2048")[0], keys()), (0, sorted(base_keys + ["new"])))
    t.equal("read-only/afterwards-used", uses(), 1)


def main():
    os.environ["CMK11_STORE"] = STORE
    status, out, err = run("vault", "init", "v")
    for name in ("k1", "k2"):
        status = status or run("key", "create", "v", name, "--size", "2048")[0]
    m = ck.Module()
    m.start()
    s = m.login("v", PIN)
    s.create([(ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_TOKEN, True), (ck.CKA_VALUE, b"kept"), (ck.CKA_LABEL, "kept")])
    m.stop()
    if not t.check("base", status == 0 and keys() == ["k1", "k2"], (status, err)):
        return
    base = os.path.join(os.environ["HOME"], "base")
    shutil.copytree(STORE, base)
    t.equal("base-used", uses(), 1)
    full_disk(base, ["k1", "k2"])
    read_only(base, ["k1", "k2"])


main()
t.finish()
