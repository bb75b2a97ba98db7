"""Downloads from a server on loopback: whole, broken, resumed, wrong, refused."""

import hashlib
import http.server
import io
import multiprocessing
import random
import shutil
import stat
import threading
import zipfile
from collections import namedtuple
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dha_utils.cli.main import app
from dha_utils.core.errors import FetchError
from dha_utils.datasets import DATASETS, esc, fetch, unpack
from dha_utils.datasets import download as download_module
from dha_utils.datasets.registry import Archive


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; understands Range unless told otherwise, and breaks off after so many bytes when asked to."""

    files, ranges, break_after, asked = {}, True, [], []

    def do_GET(self):
        content = self.files.get(self.path.lstrip("/"))
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(content) and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = self.break_after.pop(0) if self.break_after else None
        self.wfile.write(content[start:][:limit])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Handler", (Server,), {"files": {}, "break_after": [], "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}"
        yield handler
        running.shutdown()
        thread.join()


def make_zip(members, links=()) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc")
    return buffer.getvalue()


@pytest.fixture
def registered(server, monkeypatch):
    """Return a function that puts a data set "esc10" of one set "Sounds" with these archives into the registry."""

    def register(limit=10**6, **archives):
        entries = []
        for name, content in archives.items():
            server.files[f"{name}.zip"] = content
            digest = f"md5:{hashlib.md5(content).hexdigest()}"
            entries.append(
                {
                    "url": f"{server.url}/{name}.zip",
                    "hash": digest,
                    "bytes": len(content),
                    "unpacked_at_most": limit,
                }
            )
        sets = {"Sounds": [Archive(**entry) for entry in entries]}
        monkeypatch.setitem(DATASETS, "esc10", replace(DATASETS["esc10"], sets=sets))
        return sets["Sounds"]

    return register


def run(root, *more):
    return CliRunner().invoke(app, ["fetch", "esc10", "--root", str(root), *more])


def listing(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_fetched_unpacked_recorded_and_not_again(registered, server, tmp_path):
    registered(
        one=make_zip({"Sounds-1a2b/audio/a.wav": b"aaa"}),
        two=make_zip({"audio/b.wav": b"bbb", "meta.txt": b"m"}),
    )
    root = tmp_path / "new" / "data"
    result = run(root)
    assert (result.exit_code, result.stdout) == (0, f"{root / 'Sounds'}\n")
    assert result.stderr.splitlines()[0].startswith("fetching one.zip")
    assert listing(root) == [
        f"Sounds/{name}" for name in (".dha-fetched.json", "audio/a.wav", "audio/b.wav", "meta.txt")
    ]
    n_asked = len(server.asked)
    assert run(root).exit_code == 0
    assert len(server.asked) == n_asked
    (root / "Sounds" / "audio" / "a.wav").write_bytes(b"changed")
    result = run(root)
    assert result.exit_code == 1
    assert "a.wav: is not the published file; move it away" in result.stderr
    assert (root / "Sounds" / "audio" / "a.wav").read_bytes() == b"changed"


def test_dry_run_says_what_and_how_much_and_asks_nothing(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    result = run(tmp_path / "data", "--dry-run")
    assert result.exit_code == 0
    assert f"to fetch  {server.url}/one.zip  ({len(server.files['one.zip'])} bytes)" in result.stdout
    assert server.asked == []
    assert not (tmp_path / "data").exists()


def test_the_real_registry_is_pinned(tmp_path):
    sizes = {}
    assert fetch.fetchable() == ["esc10", "esc50", "dcase2016"]
    for name in fetch.fetchable():
        for folder, archives in DATASETS[name].sets.items():
            for archive in archives:
                assert archive.url.startswith("https://")
                # Either the archive has a published hash, or every file in it does.
                assert archive.hash or all(DATASETS[name].code.FILES[folder](tmp_path).values())
                sizes[archive.name] = archive.bytes
    assert len(sizes) == 18
    assert len(esc.FILES["ESC-10"](tmp_path)) == 400
    assert len(esc.FILES["ESC-50"](tmp_path)) == 2001
    assert "size unknown until asked" in "\n".join(fetch.plan("esc10"))


@pytest.mark.parametrize("url", ["file:///tmp/mine.zip", "mine.zip", "ftp://127.0.0.1/mine.zip"])
def test_what_is_no_web_address_is_said_to_be_none(url, tmp_path):
    with pytest.raises(FetchError, match=r"mine\.zip: only http:// and https:// can be fetched"):
        download_module.download(url, "md5:0", tmp_path)
    with pytest.raises(FetchError, match=r"^https:///mine\.zip: cannot be downloaded \(Invalid URL"):
        download_module.download("https:///mine.zip", "md5:0", tmp_path)


def test_certificates_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(
        FetchError, match=r"/none\.pem.*; are \$REQUESTS_CA_BUNDLE and \$CURL_CA_BUNDLE right\?$"
    ):
        download_module.download("https://127.0.0.1:9/one.zip", "md5:0", tmp_path)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_gone_on_with(registered, server, tmp_path, ranges):
    registered(one=make_zip({"a.wav": NOISE}))
    server.ranges = ranges
    server.break_after[:] = [70_000]
    assert run(tmp_path / "data").exit_code == 0
    assert (tmp_path / "data" / "Sounds" / "a.wav").read_bytes() == NOISE
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={4 * download_module.CHUNK}-"]


def test_what_has_come_is_kept_for_the_next_run(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": NOISE}))
    attempts = download_module.ATTEMPTS
    server.break_after[:] = [20_000] * attempts
    result = run(tmp_path / "data")
    assert result.exit_code == 1
    assert "broke after 0.1 MB of one.zip; run the same command again to go on" in result.stderr
    assert listing(tmp_path / "data") == ["one.zip.part"]
    assert run(tmp_path / "data").exit_code == 0
    assert server.asked[-1] == ("/one.zip", f"bytes={attempts * download_module.CHUNK}-")
    assert "one.zip.part" not in listing(tmp_path / "data")


def test_a_kill_when_all_has_come_leaves_the_part_alone(registered, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    registered(one=make_zip({"Sounds/a.wav": b"a"}))
    with monkeypatch.context() as patch:
        patch.setattr(download_module, "_has", killed)
        assert run(tmp_path).exit_code == 130
    assert listing(tmp_path) == ["one.zip.part"]
    assert run(tmp_path).exit_code == 0
    assert listing(tmp_path) == ["Sounds/.dha-fetched.json", "Sounds/a.wav"]


def test_a_whole_part_needs_nothing_more(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    (tmp_path / "one.zip.part").write_bytes(server.files["one.zip"])
    assert run(tmp_path).exit_code == 0
    assert server.asked == []
    assert listing(tmp_path) == ["Sounds/.dha-fetched.json", "Sounds/a.wav"]


def test_an_archive_that_was_unpacked_before_a_kill_goes(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    assert run(tmp_path).exit_code == 0
    (tmp_path / "one.zip.part").write_bytes(server.files["one.zip"])
    assert run(tmp_path).exit_code == 0
    assert listing(tmp_path) == ["Sounds/.dha-fetched.json", "Sounds/a.wav"]


def test_an_archive_of_the_users_own_is_read_and_left(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    (tmp_path / "one.zip").write_bytes(server.files["one.zip"])
    for _ in range(2):
        assert run(tmp_path).exit_code == 0
        assert listing(tmp_path) == ["Sounds/.dha-fetched.json", "Sounds/a.wav", "one.zip"]
    assert server.asked == []


def test_the_next_archive_after_a_failed_one(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}), two=make_zip({"b.wav": b"bbb"}))
    whole = server.files.pop("two.zip")
    result = run(tmp_path / "data")
    assert "two.zip: the server answers 404" in result.stderr
    assert listing(tmp_path / "data") == ["Sounds/.dha-fetched.json", "Sounds/a.wav"]
    server.files["two.zip"] = whole
    assert run(tmp_path / "data").exit_code == 0
    assert [path for path, _ in server.asked] == ["/one.zip", "/two.zip", "/two.zip"]


def test_offline_leaves_nothing(registered, server, tmp_path):
    archives = registered(one=make_zip({"a.wav": b"aaa"}))
    archives[0] = replace(archives[0], url="http://127.0.0.1:9/one.zip")  # nobody listens there
    result = run(tmp_path / "deep" / "data")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "dha: 127.0.0.1:9 cannot be reached: is there a network? Nothing was changed; try again later"
    )
    assert not (tmp_path / "deep").exists()


def test_another_content_is_thrown_away(registered, server, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    server.files["one.zip"] = make_zip({"a.wav": b"evil"})
    result = run(tmp_path / "data")
    assert result.exit_code == 1
    assert "has not the published hash" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()


def test_a_copy_of_the_users_own_is_recognised(server, tmp_path, monkeypatch):
    known = {"audio/a.wav": f"md5:{hashlib.md5(b'aaa').hexdigest()}"}
    monkeypatch.setitem(esc.FILES, "ESC-50", lambda folder: known)
    (tmp_path / "ESC-50" / "audio").mkdir(parents=True)
    (tmp_path / "ESC-50" / "audio" / "a.wav").write_bytes(b"aaa")
    fetch.fetch_dataset("esc50", tmp_path)
    assert listing(tmp_path) == ["ESC-50/audio/a.wav"]


def test_files_with_published_hashes_are_checked_one_by_one(registered, tmp_path, monkeypatch):
    registered(one=make_zip({"a.wav": b"aaa", "b.wav": b"bbb"}))
    good = {
        name: f"sha256:{hashlib.sha256(name[:1].encode() * 3).hexdigest()}" for name in ("a.wav", "b.wav")
    }
    monkeypatch.setitem(esc.FILES, "Sounds", lambda folder: good | {"a.wav": "sha256:00"})
    assert "a.wav in" in (error := run(tmp_path / "data").stderr.splitlines()[-1])
    assert "is not the published file (it has another sha256)" in error
    assert not (tmp_path / "data" / "Sounds" / "a.wav").exists()
    monkeypatch.setitem(esc.FILES, "Sounds", lambda folder: good | {"c.wav": "sha256:00"})
    assert "1 published files did not come, such as c.wav" in run(tmp_path / "data").stderr


def test_what_is_there_is_not_overwritten(registered, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa", "b.wav": b"bbb"}))
    mine = tmp_path / "data" / "Sounds" / "a.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert "a.wav: is there and is not the published file; move it away" in run(tmp_path / "data").stderr
    assert mine.read_bytes() == b"mine"
    mine.write_bytes(b"aaa")
    assert run(tmp_path / "data").exit_code == 0


def hold(root, ready, done):
    with fetch._alone(root):
        ready.set()
        done.wait(30)


def test_two_processes_at_once(registered, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, done))
    other.start()
    try:
        assert ready.wait(30)
        result = run(tmp_path)
        assert result.exit_code == 1
        assert result.stderr == f"dha: another process is fetching into {tmp_path}; wait until it has ended\n"
    finally:
        done.set()
        other.join()
    assert run(tmp_path).exit_code == 0


NOISE = random.Random(0).randbytes(100_000)
BOMB = make_zip({"a.wav": bytes(10**7)})
ENCRYPTED = bytearray(make_zip({"a.wav": b"aaa"}))
ENCRYPTED[ENCRYPTED.rfind(b"PK\x01\x02") + 8] |= 1
LIES = bytearray(make_zip({"a.wav": bytes(5000)}))
LIES[LIES.rfind(b"PK\x01\x02") + 24] = 1  # says that fewer bytes come out than do


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (make_zip({"../a.wav": b"x"}), "its member '../a.wav' would be written outside"),
        (make_zip({"Sounds/../../a.wav": b"x"}), "would be written outside"),
        (make_zip({"/etc/a.wav": b"x"}), "its member '/etc/a.wav' would be written outside"),
        (make_zip({"..\\a.wav": b"x"}), "would be written outside"),
        (make_zip({"C:/a.wav": b"x"}), "would be written outside"),
        (make_zip({"good.wav": b"x"}, links=["link"]), "its member 'link' is a link or a device"),
        (make_zip({"a.wav": b"x", "A.wav": b"y"}), "occurs twice"),
        (bytes(ENCRYPTED), "its member 'a.wav' is encrypted"),
        (BOMB, "it would unpack to 10 MB; 1 MB at most are expected"),
        (bytes(LIES), "is damaged"),
        (
            make_zip({"ä.wav": b"x"}).replace("ä".encode(), b"\xa4\x81", 1),
            "is damaged",
        ),  # before the file alone
        (make_zip({"a.wav": bytes(range(256)) * 20})[:-40], "is not a whole zip archive"),
        (b"<html>not found</html>", "is not a whole zip archive"),
        (b"", "is not a whole zip archive"),
    ],
)
def test_archives_that_are_refused(registered, tmp_path, content, error):
    registered(one=content)
    result = run(tmp_path / "data")
    assert result.exit_code == 1
    assert error in result.stderr.splitlines()[-1]
    assert [name for name in listing(tmp_path / "data") if name != "one.zip.part"] == []
    assert not (tmp_path / "a.wav").exists()


def test_a_link_in_the_target_leads_nowhere(registered, tmp_path):
    registered(one=make_zip({"audio/a.wav": b"aaa"}))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "Sounds").mkdir(parents=True)
    (tmp_path / "data" / "Sounds" / "audio").symlink_to(tmp_path / "elsewhere")
    assert "leads out of" in run(tmp_path / "data").stderr
    assert listing(tmp_path / "elsewhere") == []


def test_a_full_disk_is_seen_beforehand(registered, tmp_path, monkeypatch, server):
    registered(one=make_zip({"a.wav": b"aaa"}))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10))
    assert "fetching Sounds needs 0.0 GB" in run(tmp_path / "data").stderr
    assert server.asked == []
    assert not (tmp_path / "data").exists()


def test_a_disk_that_fills_up(registered, tmp_path, monkeypatch):
    registered(one=make_zip({"a.wav": b"aaa"}))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpack, "_unpack_one", full)
    error = run(tmp_path / "data").stderr.splitlines()[-1]
    assert (
        "cannot be written (No space left on device); make room there and run the same command again" in error
    )
    assert listing(tmp_path / "data") == ["one.zip.part"]  # need not be downloaded again


def test_a_target_that_cannot_be_made(registered, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    (tmp_path / "file").write_text("mine")
    assert (
        "cannot be written (Not a directory); choose another folder" in run(tmp_path / "file" / "data").stderr
    )
    assert "cannot be written" in run(tmp_path / "file").stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_unknown_names_and_damaged_records(registered, tmp_path):
    registered(one=make_zip({"a.wav": b"aaa"}))
    with pytest.raises(FetchError, match=r"unknown data set to fetch 'esc11' .did you mean 'esc10'"):
        fetch.fetch_dataset("esc11", tmp_path)
    (tmp_path / "Sounds").mkdir()
    (tmp_path / "Sounds" / ".dha-fetched.json").write_text("{")
    assert "cannot be read" in run(tmp_path).stderr


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://[bad", "http://host:port", "nonsense"])
def test_proxies_that_cannot_be_used_are_named(proxy, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(
        FetchError, match=r"proxies in .*all_proxy right|through the proxy of|cannot be reached"
    ) as caught:
        download_module.download("http://nowhere.invalid/x.zip", None, tmp_path)
    assert "hash" not in str(caught.value)
    assert "\n" not in str(caught.value)
